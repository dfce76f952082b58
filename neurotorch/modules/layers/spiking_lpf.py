"""Spiking neurons whose output is their low-pass filtered spikes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurotorch.dimension import SizeTypes
from neurotorch.modules.layers._base_layer import State
from neurotorch.modules.layers._constants import Constant
from neurotorch.modules.layers._spiking import SpikingLayer
from neurotorch.modules.layers.spiking import ALIFLayer, LIFLayer, SpyALIFLayer, SpyLIFLayer
from neurotorch.modules.spike_funcs import HeavisideSigmoidApprox, SpikeFunction, SpikeFuncType


class LowPass(SpikingLayer):
    """Adds the filter ``Z_filtered_t = lpf_alpha Z_filtered_{t-1} + Z_t`` to a spiking layer, whose class follows."""

    def _set_default_kwargs(self) -> None:
        super()._set_default_kwargs()
        tau = "tau_mem" if "tau_mem" in self.kwargs else "tau_m"
        if "lpf_alpha" not in self.kwargs:
            self.kwargs["lpf_alpha"] = self._decay_of(tau)

    def _add_filter(self) -> None:
        value, learn = self.kwargs["lpf_alpha"], bool(self.kwargs.setdefault("learn_lpf_alpha", False))
        if np.ndim(value) == 0 and not learn:
            self.lpf_alpha = float(value)
        else:
            self._add_constant("lpf_alpha", "lpf_alpha", value, "logit", learn)

    def _model_constants(self) -> tuple[Tensor | float, ...]:
        return (*super()._model_constants(), self.lpf_alpha)

    def _drawn_state(
        self, names: Sequence[str], uniform: Callable[[], Tensor], inputs: Tensor | None
    ) -> dict[str, Tensor]:
        unfiltered = [name for name in names if name != "Z_filtered"]
        state = super()._drawn_state(unfiltered, uniform, inputs)
        return {**state, "Z_filtered": state["Z"].clone()} if "Z" in state else state

    def _given_state(self, batch_size: int, n: int, names: Sequence[str]) -> State:
        h0 = self.kwargs.get("h0")
        if "Z_filtered" not in names or not isinstance(h0, (tuple, list)) or len(h0) != len(names) - 1:
            return super()._given_state(batch_size, n, names)
        # A state of the layer without filter: the filter starts from its spikes.
        unfiltered = [name for name in names if name != "Z_filtered"]
        state = dict(zip(unfiltered, super()._given_state(batch_size, n, unfiltered), strict=True))
        return tuple(state["Z" if name == "Z_filtered" else name] for name in names)

    def extra_repr(self) -> str:
        """The decay of the filter."""
        values = torch.as_tensor(self.lpf_alpha).detach()
        return f", lpf_alpha:{values.item():.4g}" if values.dim() == 0 else ", lpf_alpha per neuron"


class LIFLayerLPF(LowPass, LIFLayer):
    """:class:`LIFLayer` with low-pass filtered spikes as output, and the state ``(V, Z_filtered, Z)``.

    Parameters
    ----------
    spike_func
        See :class:`LIFLayer`.
    tau_mem : float or array-like [N]
        Time constant of the filter in seconds, by default ``tau_m``.
    lpf_alpha : float or array-like [N]
        Decay of the filter per step, by default ``exp(-dt / tau_mem)``. A number is not kept in checkpoints.
    learn_lpf_alpha : bool
        Train it through the free parameter ``logit_lpf_alpha``, which keeps it between 0 and 1; also in a frozen layer.
    input_size, output_size, name, use_recurrent_connection, use_rec_eye_mask, dt, device, **kwargs
        See :class:`LIFLayer`.
    """

    model = "lif_lpf"
    state_names = ("V", "Z_filtered", "Z")

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
        spike_func: type[SpikeFunction] | SpikeFuncType = HeavisideSigmoidApprox,
        tau_mem: Constant | None = None,
        lpf_alpha: Constant | None = None,
        learn_lpf_alpha: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            input_size,
            output_size,
            name,
            use_recurrent_connection,
            use_rec_eye_mask,
            spike_func,
            dt,
            device,
            tau_mem=tau_mem,
            lpf_alpha=lpf_alpha,
            learn_lpf_alpha=learn_lpf_alpha,
            **kwargs,
        )
        self._add_filter()


class ALIFLayerLPF(LowPass, ALIFLayer):
    """:class:`ALIFLayer` with low-pass filtered spikes as output, and the state ``(V, a, Z_filtered, Z)``.

    Parameters
    ----------
    spike_func
        See :class:`ALIFLayer`.
    tau_mem : float or array-like [N]
        Time constant of the filter in seconds, by default ``tau_m``.
    lpf_alpha : float or array-like [N]
        Decay of the filter per step, by default ``exp(-dt / tau_mem)``. A number is not kept in checkpoints.
    learn_lpf_alpha : bool
        Train it through the free parameter ``logit_lpf_alpha``, which keeps it between 0 and 1; also in a frozen layer.
    input_size, output_size, name, use_recurrent_connection, use_rec_eye_mask, dt, device, **kwargs
        See :class:`ALIFLayer`.
    """

    model = "alif_lpf"
    state_names = ("V", "a", "Z_filtered", "Z")

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
        spike_func: type[SpikeFunction] | SpikeFuncType = HeavisideSigmoidApprox,
        tau_mem: Constant | None = None,
        lpf_alpha: Constant | None = None,
        learn_lpf_alpha: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            input_size,
            output_size,
            name,
            use_recurrent_connection,
            use_rec_eye_mask,
            spike_func,
            dt,
            device,
            tau_mem=tau_mem,
            lpf_alpha=lpf_alpha,
            learn_lpf_alpha=learn_lpf_alpha,
            **kwargs,
        )
        self._add_filter()


class SpyLIFLayerLPF(LowPass, SpyLIFLayer):
    """:class:`SpyLIFLayer` with low-pass filtered spikes as output, and the state ``(V, I_syn, Z_filtered, Z)``.

    Parameters
    ----------
    lpf_alpha : float or array-like [N]
        Decay of the filter per step, by default ``exp(-dt / tau_mem)``. A number is not kept in checkpoints.
    learn_lpf_alpha : bool
        Train it through the free parameter ``logit_lpf_alpha``, which keeps it between 0 and 1; also in a frozen layer.
    input_size, output_size, name, use_recurrent_connection, use_rec_eye_mask, dt, device, **kwargs
        See :class:`SpyLIFLayer`.
    """

    model = "spy_lif_lpf"
    state_names = ("V", "I_syn", "Z_filtered", "Z")

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
        lpf_alpha: Constant | None = None,
        learn_lpf_alpha: bool | None = None,
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
            lpf_alpha=lpf_alpha,
            learn_lpf_alpha=learn_lpf_alpha,
            **kwargs,
        )
        self._add_filter()


class SpyALIFLayerLPF(LowPass, SpyALIFLayer):
    """:class:`SpyALIFLayer` with low-pass filtered spikes as output, and the state ``(V, I_syn, a, Z_filtered, Z)``.

    Parameters
    ----------
    lpf_alpha : float or array-like [N]
        Decay of the filter per step, by default ``exp(-dt / tau_mem)``. A number is not kept in checkpoints.
    learn_lpf_alpha : bool
        Train it through the free parameter ``logit_lpf_alpha``, which keeps it between 0 and 1; also in a frozen layer.
    input_size, output_size, name, use_recurrent_connection, use_rec_eye_mask, dt, device, **kwargs
        See :class:`SpyALIFLayer`.
    """

    model = "spy_alif_lpf"
    state_names = ("V", "I_syn", "a", "Z_filtered", "Z")

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
        lpf_alpha: Constant | None = None,
        learn_lpf_alpha: bool | None = None,
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
            lpf_alpha=lpf_alpha,
            learn_lpf_alpha=learn_lpf_alpha,
            **kwargs,
        )
        self._add_filter()
