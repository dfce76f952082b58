"""Constants of neuron models: scalars or one value per neuron, some of them trained inside their range."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import Parameter

from neurotorch.modules.layers._connections import ConnectedLayer
from neurotorch.modules.layers._weights import checked

Constant: TypeAlias = float | Sequence[float] | np.ndarray | Tensor
"""A scalar, or one value per neuron ``[N]``."""


class _Range(NamedTuple):
    """How a constant with a range is trained: through a free parameter ``outer(constant)``, stored as its own key."""

    inner: Callable[[Tensor], Tensor]
    outer: Callable[[Tensor], Tensor]
    text: str


_RANGES = {
    "logit": _Range(torch.sigmoid, torch.logit, "between 0 and 1"),
    "log": _Range(torch.exp, torch.log, "above 0"),
}


def decay(dt: float, tau: Any) -> Any:
    """``exp(-dt / tau)`` in double precision, of a number or of one per neuron."""
    return np.exp(-dt / np.asarray(tau, dtype=np.float64))


class ConstantsLayer(ConnectedLayer):
    """The part of a layer that holds the constants of its model.

    A constant is a parameter without gradient under its own name. A trained one with a range, a decay per step in
    (0, 1) or a positive threshold, is computed at each access from a free parameter ``logit_<name>`` or
    ``log_<name>``. Checkpoints of either kind load into layers of the other.
    """

    dt: float

    def __getattr__(self, name: str) -> Any:
        kind = self.__dict__.get("_trained", {}).get(name)
        if kind is None:
            return super().__getattr__(name)
        stored = super().__getattr__(f"{kind}_{name}")
        assert isinstance(stored, Tensor)
        return _RANGES[kind].inner(stored)

    def __setattr__(self, name: str, value: Any) -> None:
        kind = self.__dict__.get("_trained", {}).get(name)
        if kind is None:
            super().__setattr__(name, value)
        else:
            stored = self._parameters[f"{kind}_{name}"]
            assert stored is not None
            stored.data.copy_(self._outside(name, kind, checked(name, value, None, stored)))

    def _outside(self, name: str, kind: str, value: Tensor) -> Tensor:
        stored = _RANGES[kind].outer(value)
        if not bool(torch.isfinite(stored).all()):
            raise ValueError(f"{name}: expected values {_RANGES[kind].text} to train it, got {value.tolist()}")
        return stored

    def _constant(self, value: Any, requires_grad: bool = False) -> Parameter:
        """A constant of the model, kept in checkpoints: a scalar, or one value per neuron."""
        like = self._reference_tensor()
        return Parameter(checked("constant", value, None, like), requires_grad=bool(requires_grad))

    def _add_constant(self, name: str, argument: str, value: Any, kind: str, learn: bool) -> None:
        """Make a constant with a range, trained if `learn`; `argument` is what a user gave for it."""
        like = self._reference_tensor()
        self.__dict__.setdefault("_ranges", {})[name] = (kind, argument)
        if learn:
            stored = self._outside(name, kind, checked(argument, value, None, like.double()))
            setattr(self, f"{kind}_{name}", Parameter(stored.to(like.dtype)))
            self.__dict__.setdefault("_trained", {})[name] = kind
        else:
            setattr(self, name, Parameter(checked(argument, value, None, like), requires_grad=False))

    def _decay_of(self, argument: str) -> Any:
        """``exp(-dt / tau)`` of a time constant in ``kwargs``; ValueError unless both are positive."""
        tau = np.asarray(self.kwargs[argument], dtype=np.float64)
        if not (self.dt > 0 and np.isfinite(tau).all() and (tau > 0).all()):
            raise ValueError(
                f"{argument}, dt: expected positive numbers of seconds, got {self.kwargs[argument]} and {self.dt}"
            )
        return decay(self.dt, tau) if tau.ndim else float(decay(self.dt, tau))

    def _add_decay(self, name: str, argument: str) -> None:
        """Make the decay per step `name` of the time constant `argument`, trained if ``learn_<argument>``."""
        learn = bool(self.kwargs.setdefault(f"learn_{argument}", False))
        self._add_constant(name, argument, self._decay_of(argument), "logit", learn)

    def _add_raw_decay(self, name: str, argument: str) -> None:
        """As :meth:`_add_decay`, for a decay that may be given and, with ``learn_<name>``, trained without bounds."""
        learn_raw = bool(self.kwargs.setdefault(f"learn_{name}", False))
        learn = bool(self.kwargs.setdefault(f"learn_{argument}", False))
        if learn and learn_raw:
            raise ValueError(f"learn_{name}, learn_{argument}: one decay is trained either way, not both")
        if name not in self.kwargs:
            self.kwargs[name] = self._decay_of(argument)
        self._add_constant(name, argument, self.kwargs[name], "logit", learn)
        if learn_raw:
            getattr(self, name).requires_grad_()

    def _add_threshold(self) -> None:
        learn = bool(self.kwargs.setdefault("learn_threshold", False))
        self._add_constant("threshold", "threshold", self.kwargs["threshold"], "log", learn)

    def get_time_constants(self) -> dict[str, Tensor]:
        """Present time constants in seconds by the name of their argument, scalars or ``[N]``, differentiable."""
        ranges: dict[str, tuple[str, str]] = self.__dict__.get("_ranges", {})
        return {
            argument: -self.dt / torch.log(getattr(self, name))
            for name, (kind, argument) in ranges.items()
            if kind == "logit" and argument != name
        }

    def _check_constants(self, n: int) -> None:
        """ValueError unless every constant is a scalar or has one value for each of n neurons."""
        ranges = self.__dict__.get("_ranges", {})
        for key, parameter in self._constant_parameters().items():
            if parameter.dim() > 0 and tuple(parameter.shape) != (n,):
                name = key.removeprefix("logit_").removeprefix("log_")
                argument = ranges.get(name, ("", name))[1]
                raise ValueError(
                    f"{argument}{f' ({name})' if argument != name else ''}: expected a scalar or one value for each "
                    f"of {n} neurons, got shape {list(parameter.shape)}"
                )

    def _constant_parameters(self) -> dict[str, Parameter]:
        others = ("rec_mask", "bias_weights")
        named = self._parameters.items()
        return {key: p for key, p in named if p is not None and not key.startswith("_") and key not in others}

    def fixed_parameters(self) -> list[Parameter]:
        """Constants that were not asked to be learned, and the mask of the recurrent connections."""
        fixed = [
            p
            for key, p in self._constant_parameters().items()
            if not key.startswith(("logit_", "log_")) and not self.kwargs.get(f"learn_{key.removesuffix('_sqrt')}")
        ]
        mask = self._parameters.get("rec_mask")
        return fixed if mask is None else [*fixed, mask]

    def _create_parameters(self) -> None:
        self._check_constants(int(self._output_size or 0))
        super()._create_parameters()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for name, (kind, _) in self.__dict__.get("_ranges", {}).items():
            plain, stored = f"{prefix}{name}", f"{prefix}{kind}_{name}"
            trained = name in self.__dict__.get("_trained", {})
            if trained and plain in state_dict and stored not in state_dict:
                state_dict[stored] = self._outside(name, kind, state_dict.pop(plain))
            elif not trained and name in self._parameters and stored in state_dict and plain not in state_dict:
                state_dict[plain] = _RANGES[kind].inner(state_dict.pop(stored))
        super()._load_from_state_dict(state_dict, prefix, *args)
