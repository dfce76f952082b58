"""Spiking neurons: LIF and SpyLIF."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurotorch.dimension import SizeTypes
from neurotorch.functional import LayerCall
from neurotorch.modules.layers._base_layer import State
from neurotorch.modules.layers._fused import FusedLayer
from neurotorch.modules.spike_funcs import (
    HeavisidePhiApprox,
    HeavisideSigmoidApprox,
    SpikeFunction,
    SpikeFuncType,
    SpikeFuncType2Func,
)

_SURROGATES: dict[type[SpikeFunction], str] = {HeavisideSigmoidApprox: "fast_sigmoid", HeavisidePhiApprox: "phi"}


def decay(dt: float, tau: Any) -> Any:
    """``exp(-dt / tau)`` in double precision."""
    return np.exp(-dt / np.asarray(tau, dtype=np.float64))


class SpikingLayer(FusedLayer):
    """Base of the layers whose output is spikes, or a trace of them.

    A subclass names its states, among them "V" and "Z"; "I_syn" (synaptic current) and "Z_filtered" are the others that
    the equations below know.
    """

    threshold: Tensor
    gamma: Tensor
    alpha: Tensor
    beta: Tensor
    lpf_alpha: float
    _spike_func: type[SpikeFunction] = HeavisideSigmoidApprox
    _surrogate: str | None = "fast_sigmoid"

    @property
    def spike_func(self) -> type[SpikeFunction]:
        """Step and surrogate derivative."""
        return self._spike_func

    @spike_func.setter
    def spike_func(self, spike_func: type[SpikeFunction] | SpikeFuncType) -> None:
        self._spike_func = SpikeFuncType2Func[spike_func] if isinstance(spike_func, SpikeFuncType) else spike_func
        # Looked up here, since torch.compile cannot compare these classes.
        self._surrogate = _SURROGATES.get(self._spike_func)

    def _set_default_kwargs(self) -> None:
        self.kwargs.setdefault("threshold", 1.0)
        self.kwargs.setdefault("gamma", 100.0 if self.spike_func is HeavisideSigmoidApprox else 1.0)
        self.kwargs.setdefault("spikes_regularization_factor", 0.0)

    def update_regularization_loss(self, state: Any | None = None, *args: Any, **kwargs: Any) -> Tensor:
        """Add ``spikes_regularization_factor`` times the number of spikes in a state or in traces."""
        if state is not None:
            spikes = state[self.state_names.index("Z")]
            factor = self.kwargs["spikes_regularization_factor"]
            self._regularization_loss = self._regularization_loss + factor * spikes.sum()
        return self._regularization_loss

    def _operator_call(self) -> LayerCall:
        return super()._operator_call()._replace(surrogate=self._surrogate or "fast_sigmoid")

    def _unfused_part(self) -> str | None:
        if self._surrogate is None:
            return f"the spike function {self.spike_func.__name__} runs in Python"
        return None

    def _run_operator(self, x: Tensor, state: State, trace: bool, recompute_every: int) -> tuple[Tensor, State]:
        if self._unfused_part() is None:
            return super()._run_operator(x, state, trace, recompute_every)
        if recompute_every:
            raise ValueError(f"recompute_every: {self._unfused_part()}, which keeps every step")
        call = self._operator_call()
        assert call.weight is not None
        current = x @ call.weight
        states: list[dict[str, Tensor]] = [dict(zip(self.state_names, state, strict=True))]
        for current_t in current.unbind(1):
            states.append(self._step(current_t, states[-1], call.recurrent_weight))
        traces = {name: torch.stack([s[name] for s in states[1:]], dim=1) for name in self.state_names}
        out = traces["Z_filtered" if "Z_filtered" in traces else "Z"]
        final = traces if trace else states[-1]
        return out, tuple(final[name] for name in self.state_names)

    def _step(self, current: Tensor, state: dict[str, Tensor], recurrent: Tensor | None) -> dict[str, Tensor]:
        """One step with the layer's own spike function."""
        new: dict[str, Tensor] = {}
        if recurrent is not None:
            current = current + state["Z"] @ recurrent
        membrane_decay = self.alpha
        if "I_syn" in state:
            current = new["I_syn"] = self.alpha * state["I_syn"] + current
            membrane_decay = self.beta
        new["V"] = (membrane_decay * state["V"] + current) * (1.0 - state["Z"].detach())
        new["Z"] = self.spike_func.apply(new["V"], self.threshold, self.gamma)  # type: ignore[no-untyped-call]
        if "Z_filtered" in state:
            new["Z_filtered"] = self.lpf_alpha * state["Z_filtered"] + new["Z"]
        return new


class LIFLayer(SpikingLayer):
    """Leaky integrate-and-fire neurons.

    ``V_t = (alpha V_{t-1} + x_t W + Z_{t-1} R) (1 - Z_{t-1})`` and ``Z_t = 1`` where ``V_t >= threshold``, with
    ``alpha = exp(-dt / tau_m)``. No gradient flows through the reset. The output is Z, the state ``(V, Z)``.

    Parameters
    ----------
    spike_func : SpikeFunction class or SpikeFuncType
        Surrogate derivative. With a class of one's own the layer runs in Python, step by step.
    tau_m : float
        Membrane time constant in seconds, by default ``10 dt``.
    threshold : float
        Firing threshold, by default 1.
    gamma : float
        Slope or height of the surrogate derivative, by default 100 for the fast sigmoid and 1 otherwise.
    spikes_regularization_factor : float
        With ``regularize=True`` this times the number of spikes is the regularisation loss.
    input_size, output_size, name, use_recurrent_connection, use_rec_eye_mask, dt, device, **kwargs
        See :class:`~neurotorch.modules.layers.base.BaseNeuronsLayer`.

    References
    ----------
    Neftci, Mostafa & Zenke (2019), doi:10.1109/MSP.2019.2931595; Gince et al. (2024), doi:10.1101/2024.12.29.630683.
    """

    model = "lif"
    state_names: tuple[str, ...] = ("V", "Z")

    def __init__(
        self,
        input_size: SizeTypes | None = None,
        output_size: SizeTypes | None = None,
        name: str | None = None,
        use_recurrent_connection: bool = True,
        use_rec_eye_mask: bool = False,
        spike_func: type[SpikeFunction] | SpikeFuncType = HeavisideSigmoidApprox,
        dt: float = 1e-3,
        device: torch.device | str | None = None,
        *,
        tau_m: float | None = None,
        threshold: float | None = None,
        gamma: float | None = None,
        spikes_regularization_factor: float | None = None,
        **kwargs: Any,
    ) -> None:
        # Before the constructor of the base, whose hook for defaults reads it.
        self.spike_func = spike_func
        super().__init__(
            input_size,
            output_size,
            name,
            use_recurrent_connection,
            use_rec_eye_mask,
            dt,
            device,
            tau_m=tau_m,
            threshold=threshold,
            gamma=gamma,
            spikes_regularization_factor=spikes_regularization_factor,
            **kwargs,
        )
        self.alpha = self._constant(decay(dt, self.kwargs["tau_m"]))
        self.threshold = self._constant(self.kwargs["threshold"])
        self.gamma = self._constant(self.kwargs["gamma"])

    def _set_default_kwargs(self) -> None:
        super()._set_default_kwargs()
        self.kwargs.setdefault("tau_m", 10.0 * self.dt)

    def _model_constants(self) -> tuple[Tensor | float, ...]:
        return self.alpha, self.threshold, self.gamma


class SpyLIFLayer(SpikingLayer):
    """Leaky integrate-and-fire neurons with a synaptic current.

    ``I_t = alpha I_{t-1} + x_t W + Z_{t-1} R``, ``V_t = (beta V_{t-1} + I_t) (1 - Z_{t-1})`` and ``Z_t = 1`` where
    ``V_t >= threshold``, with ``alpha = exp(-dt / tau_syn)`` and ``beta = exp(-dt / tau_mem)``. No gradient flows
    through the reset. The output is Z, the state ``(V, I_syn, Z)``. The surrogate derivative is the fast sigmoid.

    Weights start with the standard deviations ``0.2 / sqrt(F)`` and ``0.2 / sqrt(N)``. ``hh_init="random"`` draws V
    with offset ``threshold / 2`` and width ``0.341 threshold``, clips it at 0 and lets those above threshold spike.

    Parameters
    ----------
    tau_syn, tau_mem : float
        Time constants of synapse and membrane in seconds, by default ``5 dt`` and ``10 dt``.
    threshold, gamma, spikes_regularization_factor
        See :class:`LIFLayer`.
    input_size, output_size, name, use_recurrent_connection, use_rec_eye_mask, dt, device, **kwargs
        See :class:`~neurotorch.modules.layers.base.BaseNeuronsLayer`.

    References
    ----------
    Neftci, Mostafa & Zenke (2019), doi:10.1109/MSP.2019.2931595; Gince et al. (2024), doi:10.1101/2024.12.29.630683.
    """

    model = "spy_lif"
    state_names: tuple[str, ...] = ("V", "I_syn", "Z")

    def __init__(
        self,
        input_size: SizeTypes | None = None,
        output_size: SizeTypes | None = None,
        name: str | None = None,
        use_recurrent_connection: bool = True,
        use_rec_eye_mask: bool = False,
        dt: float = 1e-3,
        device: torch.device | str | None = None,
        *,
        tau_syn: float | None = None,
        tau_mem: float | None = None,
        threshold: float | None = None,
        gamma: float | None = None,
        spikes_regularization_factor: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            input_size,
            output_size,
            name,
            use_recurrent_connection,
            use_rec_eye_mask,
            dt,
            device,
            tau_syn=tau_syn,
            tau_mem=tau_mem,
            threshold=threshold,
            gamma=gamma,
            spikes_regularization_factor=spikes_regularization_factor,
            **kwargs,
        )
        self.alpha = self._constant(decay(dt, self.kwargs["tau_syn"]))
        self.beta = self._constant(decay(dt, self.kwargs["tau_mem"]))
        self.threshold = self._constant(self.kwargs["threshold"])
        self.gamma = self._constant(self.kwargs["gamma"])

    def _set_default_kwargs(self) -> None:
        super()._set_default_kwargs()
        self.kwargs.setdefault("tau_syn", 5.0 * self.dt)
        self.kwargs.setdefault("tau_mem", 10.0 * self.dt)

    def _forward_std(self) -> float:
        return float(0.2 / np.sqrt(self._shapes()["forward_weights"][0]))

    def _recurrent_std(self) -> float:
        return float(0.2 / np.sqrt(self._shapes()["recurrent_weights"][0]))

    def _model_constants(self) -> tuple[Tensor | float, ...]:
        return self.alpha, self.beta, self.threshold, self.gamma

    def _drawn_state(
        self, names: Sequence[str], uniform: Callable[[], Tensor], inputs: Tensor | None
    ) -> dict[str, Tensor]:
        threshold = self.threshold.detach()
        mu, std = self.kwargs.get("hh_init_mu"), self.kwargs.get("hh_init_std")
        if inputs is None or self.hh_init == "random":
            mu, std = 0.5 * threshold if mu is None else mu, 0.341 * threshold if std is None else std
            v = torch.relu(uniform() * std + mu)
            i_syn = uniform()
            z = (v >= threshold).to(v.dtype)
            return {"V": v * (1.0 - z), "I_syn": i_syn, "Z": z}
        i_syn, z = uniform(), inputs.clone()
        v = uniform() * (threshold if std is None else std) + (0.0 if mu is None else mu)
        return {"V": (self.beta * v + self.alpha * i_syn) * (1.0 - z), "I_syn": i_syn, "Z": z}
