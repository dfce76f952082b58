"""What all spiking layers share: spike functions, regularisation, and the path in steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from neurotorch.functional import LayerCall
from neurotorch.modules.layers._base_layer import State
from neurotorch.modules.layers._fused import FusedLayer
from neurotorch.modules.spike_funcs import (
    HeavisideArcTanApprox,
    HeavisideBoxcarApprox,
    HeavisideGaussianApprox,
    HeavisidePhiApprox,
    HeavisideSigmoidApprox,
    HeavisideSuperSpikeApprox,
    HeavisideTriangleApprox,
    SpikeFunction,
    SpikeFuncType,
    SpikeFuncType2Func,
)

_SURROGATES: dict[type[SpikeFunction], str] = {
    HeavisideSigmoidApprox: "fast_sigmoid",
    HeavisidePhiApprox: "phi",
    HeavisideBoxcarApprox: "boxcar",
    HeavisideTriangleApprox: "triangle",
    HeavisideArcTanApprox: "arctan",
    HeavisideSuperSpikeApprox: "super_spike",
    HeavisideGaussianApprox: "gaussian",
}


class SpikingLayer(FusedLayer):
    """Base of the layers whose output is spikes, or a trace of them.

    A subclass names its states, among them "V" and "Z", and has the equations of its membrane a second time, in
    :meth:`_membrane`, for spike functions that the operators do not know.
    """

    threshold: Tensor
    gamma: Tensor
    lpf_alpha: float | Tensor
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
        if recurrent is not None:
            current = current + state["Z"] @ recurrent
        new, threshold = self._membrane(current, state)
        new["Z"] = self.spike_func.apply(new["V"], threshold, self.gamma)  # type: ignore[no-untyped-call]
        if "Z_filtered" in state:
            new["Z_filtered"] = self.lpf_alpha * state["Z_filtered"] + new["Z"]
        return new

    def _membrane(self, current: Tensor, state: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """The new states but for spikes and their filter, and the potential from which on a neuron spikes."""
        raise NotImplementedError


class Adaptive(SpikingLayer):
    """Adds the adaptation ``a_t = rho a_{t-1} + Z_{t-1}`` of the threshold to a spiking layer, whose class follows."""

    rho: Tensor

    @property
    def _adaptation_strength(self) -> Tensor:
        raise NotImplementedError

    def _membrane(self, current: Tensor, state: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        new, threshold = super()._membrane(current, state)
        new["a"] = self.rho * state["a"] + state["Z"]
        return new, threshold + self._adaptation_strength * new["a"]
