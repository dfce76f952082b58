"""Initial states of a layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from neurotorch.modules.layers._base_layer import BaseLayer, State


class StatefulLayer(BaseLayer):
    """The part of :class:`~neurotorch.modules.layers.base.BaseNeuronsLayer` that makes initial states."""

    state_names: tuple[str, ...] = ("V",)

    @property
    def hh_init(self) -> str:
        """How initial states are made, in lower case."""
        return str(self.kwargs["hh_init"]).lower()

    def create_empty_state(
        self, batch_size: int = 1, *, inputs: Tensor | None = None, n_hh: int | None = None, **kwargs: Any
    ) -> State:
        """State before the first step, as ``hh_init`` says, in the dtype of the weights.

        Parameters
        ----------
        batch_size : int
        inputs : Tensor [B, F], optional
            First input, for ``hh_init="inputs"``.
        n_hh : int, optional
            Number of tensors; by default one per entry of :attr:`state_names`.

        Returns
        -------
        tuple of Tensor [B, N]
            Zeros and random states are leaves that require gradients.

        Raises
        ------
        AssertionError
            The first input is missing or has not N features, or `h0` is not a tuple or list.
        ValueError
            ``hh_init`` is unknown, or `h0` has the wrong number of tensors.
        """
        state = self._initial_state(batch_size, inputs, n_hh)
        trainable = self.hh_init in ("zeros", "random")
        return tuple(s.requires_grad_() for s in state) if trainable else state

    def _fresh_state(self, batch_size: int, inputs: Tensor | None, **kwargs: Any) -> State:
        # Nobody else sees a state made here, so gradients for it would be computed in vain.
        if type(self).create_empty_state is StatefulLayer.create_empty_state:
            return self._initial_state(batch_size, inputs, kwargs.get("n_hh"))
        return super()._fresh_state(batch_size, inputs, **kwargs)

    def _initial_state(self, batch_size: int, inputs: Tensor | None, n_hh: int | None) -> State:
        like, n = self._reference_tensor(), int(self._output_size or 0)
        names = self.state_names if n_hh is None else tuple(str(k) for k in range(n_hh))
        if n_hh == len(self.state_names):
            names = self.state_names
        if self.hh_init == "zeros" or not names:
            return tuple(like.new_zeros(batch_size, n) for _ in names)
        if self.hh_init == "given":
            return self._given_state(batch_size, n, names)
        if self.hh_init not in ("random", "inputs"):
            raise ValueError(
                f"hh_init: expected 'zeros', 'random', 'inputs' or 'given', got {self.kwargs['hh_init']!r}"
            )
        if self.hh_init == "inputs":
            assert inputs is not None and tuple(inputs.shape) == (batch_size, n), (
                f"hh_init='inputs' needs a first input of shape {[batch_size, n]}, "
                f"got {None if inputs is None else list(inputs.shape)}"
            )
            inputs = inputs.to(like)
        drawn = self._drawn_state(names, self._uniform(batch_size, n, like), inputs)
        return tuple(drawn[name] for name in names)

    def _drawn_state(
        self, names: Sequence[str], uniform: Callable[[], Tensor], inputs: Tensor | None
    ) -> dict[str, Tensor]:
        """States by name for the modes "random" and "inputs"; subclasses have their own."""
        if self.hh_init == "inputs":
            assert inputs is not None
            return {name: inputs.clone() for name in names}
        mu, std = self.kwargs.get("hh_init_mu", 0.0), self.kwargs.get("hh_init_std", 1.0)
        return {name: uniform() * std + mu for name in names}

    def _uniform(self, batch_size: int, n: int, like: Tensor) -> Callable[[], Tensor]:
        """A source of uniform [0, 1) tensors ``[B, N]`` from one generator. Drawn in float32 whatever the dtype."""
        seed = self.kwargs.get("hh_init_seed")
        generator = None
        if seed is not None:
            if not isinstance(seed, Integral):
                raise TypeError(f"hh_init_seed: expected an integer or None, got {seed!r}")
            generator = torch.Generator(device=like.device).manual_seed(int(seed))

        def uniform() -> Tensor:
            return torch.rand(batch_size, n, generator=generator, device=like.device, dtype=torch.float32).to(like)

        return uniform

    def _given_state(self, batch_size: int, n: int, names: Sequence[str]) -> State:
        h0, like = self.kwargs.get("h0"), self._reference_tensor()
        assert isinstance(h0, (tuple, list)), f"h0: expected a tuple of {len(names)} tensors, got {type(h0).__name__}"
        if len(h0) != len(names):
            raise ValueError(f"h0: expected {len(names)} tensors {tuple(names)}, got {len(h0)}")
        try:
            return tuple(torch.as_tensor(s).to(like).expand(batch_size, n) for s in h0)
        except RuntimeError as error:
            shapes = [list(torch.as_tensor(s).shape) for s in h0]
            raise ValueError(f"h0: expected tensors of shape {[batch_size, n]}, got {shapes}") from error
