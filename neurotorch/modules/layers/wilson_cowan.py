"""Rate neurons."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import Parameter

from neurotorch.dimension import SizeTypes
from neurotorch.functional import LayerCall, run_sequence
from neurotorch.modules.layers._activations import fused_name
from neurotorch.modules.layers._base_layer import State
from neurotorch.modules.layers._fused import FusedLayer
from neurotorch.modules.layers._weights import checked


def _root(argument: str, value: Any) -> Any:
    """The square root of a scalar or array that must not be negative."""
    array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    if (array < 0).any():
        raise ValueError(f"{argument}: expected 0 or more, got {value}")
    return np.sqrt(array)


def _scalar_or_row(constant: Tensor) -> Tensor:
    """A constant of one of the shapes that the operators take."""
    return constant.squeeze() if constant.numel() == 1 else constant.flatten()


def _argument(name: str) -> property:
    """An argument of the layer as an attribute."""
    return property(lambda self: self.kwargs[name], doc=f"The argument `{name}`.")


class WilsonCowanLayer(FusedLayer):
    """Rate neurons of Wilson and Cowan.

    ``h_t = h_{t-1} + dt / tau (-h_{t-1} + (1 - r h_{t-1}) f(x_t W + h_{t-1} R - mu))`` with f the activation. Output
    and state ``(h,)`` are the same. The initial activity is by default the first input, which needs as many inputs as
    neurons.

    The layer stores the square roots of tau and r, so both stay positive when they are trained. An r of 0 has no
    gradient and stays 0.

    Parameters
    ----------
    std_weight : float
        Standard deviation of initial forward weights, by default 1.
    mu : float or array-like [N]
        Current at which the activation is taken at 0, by default 0.
    tau : float or array-like [N]
        Time constant in seconds, by default 1; it should be above `dt`.
    r : float or array-like [N]
        Refractory share of the activity, by default 0.
    learn_mu, learn_r, learn_tau : bool
        Train them, unless the layer is frozen. mu and r then have one value per neuron.
    mean_mu, std_mu, mean_r, std_r : float
        Normal distributions of initial values of a learned mu or r that was not given: means 2, deviations 0. Of r the
        magnitudes count.
    activation : str or callable
        f, by default ``"sigmoid"``. Others than ``"identity"``, ``"relu"``, ``"tanh"`` and ``"sigmoid"`` run in Python,
        step by step.
    hh_init : {"inputs", "zeros", "random", "given"}
        Initial activity. Random ones are the same at every call, with seed 0, unless ``hh_init_seed`` is given.
    input_size, output_size, dt, use_recurrent_connection, device, **kwargs
        See :class:`~neurotorch.modules.layers.base.BaseNeuronsLayer`.

    Raises
    ------
    ValueError
        `tau` or `r` is negative, or, when built, mu, tau or r have neither one value nor one per neuron.

    References
    ----------
    Wilson & Cowan (1972), doi:10.1016/S0006-3495(72)86068-5; Gince et al. (2024), doi:10.1101/2024.12.29.630683.
    """

    model = "wilson_cowan"
    state_names: tuple[str, ...] = ("hh",)
    mu: Parameter
    tau_sqrt: Parameter
    r_sqrt: Parameter
    _unused: ClassVar[tuple[str, ...]] = ()  # constants that the equations do not have

    def __init__(
        self,
        input_size: SizeTypes | None = None,
        output_size: SizeTypes | None = None,
        dt: float = 1e-3,
        use_recurrent_connection: bool = False,
        device: torch.device | str | None = None,
        *,
        std_weight: float | None = None,
        mu: Any = None,
        tau: Any = None,
        r: Any = None,
        learn_mu: bool | None = None,
        learn_r: bool | None = None,
        learn_tau: bool | None = None,
        mean_mu: float | None = None,
        std_mu: float | None = None,
        mean_r: float | None = None,
        std_r: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            input_size,
            output_size,
            use_recurrent_connection=use_recurrent_connection,
            dt=dt,
            device=device,
            std_weight=std_weight,
            mu=mu,
            tau=tau,
            r=r,
            learn_mu=learn_mu,
            learn_r=learn_r,
            learn_tau=learn_tau,
            mean_mu=mean_mu,
            std_mu=std_mu,
            mean_r=mean_r,
            std_r=std_r,
            **kwargs,
        )
        self.mu = self._constant(self.kwargs["mu"])
        self.tau_sqrt = self._constant(_root("tau", self.kwargs["tau"]))
        self.r_sqrt = self._constant(_root("r", self.kwargs["r"]))
        for name in self._unused:
            if self.kwargs[f"learn_{name}"]:
                cls = type(self).__name__
                warnings.warn(f"{cls}: learn_{name} makes a parameter that the equations do not use", stacklevel=2)

    def _set_default_kwargs(self) -> None:
        self._given = frozenset(self.kwargs)
        defaults = {
            "std_weight": 1.0,
            "mu": 0.0,
            "tau": 1.0,
            "r": 0.0,
            "learn_mu": False,
            "learn_r": False,
            "learn_tau": False,
            "mean_mu": 2.0,
            "std_mu": 0.0,
            "mean_r": 2.0,
            "std_r": 0.0,
            "hh_init": "inputs",
            "activation": "sigmoid",
        }
        for name, value in defaults.items():
            self.kwargs.setdefault(name, value)
        if str(self.kwargs["hh_init"]).lower() == "random":
            self.kwargs.setdefault("hh_init_seed", 0)

    def __setattr__(self, name: str, value: Any) -> None:
        # mu is a parameter under its own name, so it cannot be a property.
        if name == "mu" and not isinstance(value, Parameter) and "mu" in self._parameters:
            self._set_constant(self.mu, "mu", value)
        else:
            super().__setattr__(name, value)

    def _set_constant(self, parameter: Parameter, argument: str, value: Any) -> None:
        new = checked(argument, value, None, parameter)
        n = None if self._output_size is None else self._output_size.size
        if new.numel() != 1 and n is not None and new.numel() != n:
            raise ValueError(f"{argument}: expected a scalar or shape [{n}], got {list(new.shape)}")
        if new.dim() == 0 or new.numel() == parameter.numel():
            parameter.data.copy_(new.expand_as(parameter) if new.dim() == 0 else new.reshape(parameter.shape))
        else:
            parameter.data = new

    @property
    def tau(self) -> Tensor:
        """Time constant in seconds, differentiable. Assigning sets its magnitude."""
        return self.tau_sqrt.square()

    @tau.setter
    def tau(self, value: Any) -> None:
        self._set_constant(self.tau_sqrt, "tau", checked("tau", value, None, self.tau_sqrt).abs().sqrt())

    @property
    def r(self) -> Tensor:
        """Refractory share of the activity, differentiable. Assigning sets its magnitude."""
        return self.r_sqrt.square()

    @r.setter
    def r(self, value: Any) -> None:
        self._set_constant(self.r_sqrt, "r", checked("r", value, None, self.r_sqrt).abs().sqrt())

    def _learned(self) -> list[Parameter]:
        parameters = {"mu": self.mu, "tau": self.tau_sqrt, "r": self.r_sqrt}
        return [p for name, p in parameters.items() if self.kwargs[f"learn_{name}"]]

    def _freezable_parameters(self) -> list[Parameter]:
        return super()._freezable_parameters() + self._learned()

    def _check_constants(self, n: int) -> None:
        for name, parameter in (("mu", self.mu), ("tau", self.tau_sqrt), ("r", self.r_sqrt)):
            if parameter.numel() not in (1, n):
                raise ValueError(f"{name}: expected a scalar or shape [{n}], got {list(parameter.shape)}")

    def _create_parameters(self) -> None:
        n = int(self._output_size or 0)
        self._check_constants(n)
        # One value per neuron where they are trained; the objects stay those that were made with the layer.
        if self.kwargs["learn_mu"] and self.mu.dim() == 0:
            self.mu.data = self.mu.data.expand(1, n).clone()
        if self.kwargs["learn_r"]:
            self.r_sqrt.data = self.r_sqrt.data.reshape(1, -1).expand(1, n).clone()
        for parameter in self._learned():
            parameter.requires_grad_(self.requires_grad)
        super()._create_parameters()

    std_weight = _argument("std_weight")
    learn_mu, learn_r, learn_tau = _argument("learn_mu"), _argument("learn_r"), _argument("learn_tau")
    mean_mu, std_mu = _argument("mean_mu"), _argument("std_mu")
    mean_r, std_r = _argument("mean_r"), _argument("std_r")

    def _forward_std(self) -> float:
        return float(self.kwargs["std_weight"])

    @torch.no_grad()
    def initialize_weights_(self) -> None:
        """Give the weights their initial values, and draw a learned mu or r that was not given."""
        super().initialize_weights_()
        if self.kwargs["learn_mu"] and "mu" not in self._given:
            self.mu.normal_(self.kwargs["mean_mu"], self.kwargs["std_mu"])
        if self.kwargs["learn_r"] and "r" not in self._given:
            self.r_sqrt.normal_(self.kwargs["mean_r"], self.kwargs["std_r"]).abs_().sqrt_()

    def _rate(self) -> Tensor:
        """dt / tau."""
        return self.dt / self.tau.flatten()

    def _model_constants(self) -> tuple[Tensor | float, ...]:
        return _scalar_or_row(self._rate()), _scalar_or_row(self.r), _scalar_or_row(self.mu)

    def _operator_call(self) -> LayerCall:
        return super()._operator_call()._replace(activation=fused_name(self.activation) or "identity")

    def _unfused_part(self) -> str | None:
        if fused_name(self.activation) is None:
            return f"its activation {type(self.activation).__name__.lower()} runs in Python within every step"
        return None

    def _run_operator(self, x: Tensor, state: State, trace: bool, recompute_every: int) -> tuple[Tensor, State]:
        if self._unfused_part() is None:
            return super()._run_operator(x, state, trace, recompute_every)
        if recompute_every:
            raise ValueError(f"recompute_every: {self._unfused_part()}, which keeps every step")
        call = self._operator_call()
        assert call.weight is not None
        outs: list[Tensor] = []
        states: list[Tensor] = []
        (h,) = state
        for current in (x @ call.weight).unbind(1):
            out, h = self._step(current, h, call.recurrent_weight)
            outs.append(out)
            states.append(h)
        return torch.stack(outs, dim=1), (torch.stack(states, dim=1) if trace else h,)

    def _step(self, current: Tensor, h: Tensor, recurrent: Tensor | None) -> tuple[Tensor, Tensor]:
        """Output and activity after one step with an activation that the operator does not have."""
        if recurrent is not None:
            current = current + h @ recurrent
        q = self._rate()
        h = (1.0 - q) * h + q * (1.0 - self.r.flatten() * h) * self.activation(current - self.mu.flatten())
        return h, h


class WilsonCowanCURBDLayer(WilsonCowanLayer):
    """Rate neurons of current-based decomposition (CURBD).

    ``h_t = h_{t-1} + dt / tau (-h_{t-1} + x_t W + f(h_{t-1}) R)`` with f the activation. The output is ``f(h_{t-1})``:
    it lags by one step, so the last input of a sequence has no influence on the outputs. The state is ``(h,)``.

    mu and r are kept for checkpoints; the equations have neither, and training them changes nothing.

    Parameters
    ----------
    learn_mu, learn_r : bool
        Make parameters that never receive a gradient; they cause a UserWarning.
    input_size, output_size, dt, use_recurrent_connection, device, tau, learn_tau, activation, **kwargs
        See :class:`WilsonCowanLayer`.

    References
    ----------
    Perich et al. (2020), doi:10.1101/2020.12.18.423348; Gince et al. (2024), doi:10.1101/2024.12.29.630683.
    """

    model = "wilson_cowan_curbd"

    _unused = ("mu", "r")

    def _model_constants(self) -> tuple[Tensor | float, ...]:
        return (_scalar_or_row(self._rate()),)

    def _step(self, current: Tensor, h: Tensor, recurrent: Tensor | None) -> tuple[Tensor, Tensor]:
        out = self.activation(h)
        if recurrent is not None:
            current = current + out @ recurrent
        return out, h + self._rate() * (current - h)


class FiringRateLayer(WilsonCowanLayer):
    """Firing rates ``h_t = h_{t-1} R + f(x_t) W + mu + (1 - r) x_t``, f being the activation.

    There are as many inputs as neurons. Output and state ``(h,)`` are the same. Without recurrent connections nothing
    is carried from step to step. tau is kept for checkpoints; the equation does not have it, and training it changes
    nothing.

    Parameters
    ----------
    learn_tau : bool
        Makes a parameter that never receives a gradient; causes a UserWarning.
    activation : str or callable
        f, by default ``"sigmoid"``. Others than ``"identity"``, ``"relu"``, ``"tanh"`` and ``"sigmoid"`` are applied
        outside the operator.
    input_size, output_size, dt, use_recurrent_connection, device, mu, r, learn_mu, learn_r, **kwargs
        See :class:`WilsonCowanLayer`.

    Raises
    ------
    ValueError
        When built: the sizes differ.

    References
    ----------
    Gince et al. (2024), doi:10.1101/2024.12.29.630683.
    """

    model = "linear_rnn"
    beside = True
    _unused = ("tau",)

    def _create_parameters(self) -> None:
        f, n = self._shapes()["forward_weights"]
        if f != n:
            raise ValueError(f"input_size: {type(self).__name__} needs as many inputs as neurons, got {f} and {n}")
        super()._create_parameters()

    def _model_constants(self) -> tuple[Tensor | float, ...]:
        return (_scalar_or_row(self.mu),)

    def _passed_on(self) -> Tensor:
        """1 - r, the share of the input that is passed on."""
        return 1.0 - self.r.flatten()

    def _operator_call(self) -> LayerCall:
        call = super()._operator_call()
        assert call.weight is not None
        direct = torch.diag(self._passed_on().expand(call.weight.shape[1]))
        weight = torch.cat([call.weight, direct])
        return call._replace(weight=weight, activation="identity", input_activation=call.activation)

    def _unfused_part(self) -> str | None:
        if fused_name(self.activation) is None:
            return f"its activation {type(self.activation).__name__.lower()} is applied outside the operator"
        return None

    def _run_operator(self, x: Tensor, state: State, trace: bool, recompute_every: int) -> tuple[Tensor, State]:
        call = FusedLayer._operator_call(self)
        assert call.weight is not None
        current = self.activation(x) @ call.weight + self._passed_on() * x
        call = call._replace(weight=None)
        return run_sequence(call, current, state, trace=trace, recompute_every=recompute_every)
