"""Spiking neurons: LIF, ALIF, SpyLIF, SpyALIF, LIF with subtractive reset, and Izhikevich's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurotorch.dimension import SizeTypes
from neurotorch.modules.layers._base_layer import State
from neurotorch.modules.layers._constants import Constant, decay
from neurotorch.modules.layers._spiking import Adaptive, SpikingLayer
from neurotorch.modules.spike_funcs import HeavisidePhiApprox, HeavisideSigmoidApprox, SpikeFunction, SpikeFuncType

__all__ = [
    "ALIFLayer",
    "BellecLIFLayer",
    "IzhikevichLayer",
    "LIFLayer",
    "SpikingLayer",
    "SpyALIFLayer",
    "SpyLIFLayer",
    "decay",
]


class LIFLayer(SpikingLayer):
    """Leaky integrate-and-fire neurons.

    ``V_t = (alpha V_{t-1} + x_t W + Z_{t-1} R) (1 - Z_{t-1})`` and ``Z_t = 1`` where ``V_t >= threshold``, with
    ``alpha = exp(-dt / tau_m)``. No gradient flows through the reset. The output is Z, the state ``(V, Z)``.

    Parameters
    ----------
    spike_func : SpikeFunction class or SpikeFuncType
        Surrogate derivative, see :mod:`neurotorch.modules.spike_funcs`. With a class of one's own the layer runs in
        Python, step by step.
    tau_m : float or array-like [N]
        Membrane time constant in seconds, by default ``10 dt``.
    threshold : float or array-like [N]
        Firing threshold, by default 1.
    learn_tau_m, learn_threshold : bool
        Train them, also in a frozen layer: one value for all neurons where a number was given, else one per neuron.
        Checkpoints hold the free parameters ``logit_alpha`` and ``log_threshold``, which keep alpha between 0 and 1
        and the threshold positive.
    gamma : float or array-like [N]
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
        tau_m: Constant | None = None,
        learn_tau_m: bool | None = None,
        threshold: Constant | None = None,
        learn_threshold: bool | None = None,
        gamma: Constant | None = None,
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
            learn_tau_m=learn_tau_m,
            threshold=threshold,
            learn_threshold=learn_threshold,
            gamma=gamma,
            spikes_regularization_factor=spikes_regularization_factor,
            **kwargs,
        )
        self._add_decay("alpha", "tau_m")
        self._add_threshold()
        self.gamma = self._constant(self.kwargs["gamma"])

    def _set_default_kwargs(self) -> None:
        super()._set_default_kwargs()
        self.kwargs.setdefault("tau_m", 10.0 * self.dt)

    def _model_constants(self) -> tuple[Tensor | float, ...]:
        return self.alpha, self.threshold, self.gamma.detach()

    def _membrane(self, current: Tensor, state: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        v = (self.alpha * state["V"] + current) * (1.0 - state["Z"].detach())
        return {"V": v}, self.threshold


class BellecLIFLayer(LIFLayer):
    """Leaky integrate-and-fire neurons whose reset subtracts the threshold.

    ``V_t = alpha V_{t-1} + x_t W + Z_{t-1} R - Z_{t-1} threshold`` and ``Z_t = 1`` where ``V_t >= threshold``, with
    ``alpha = exp(-dt / tau_m)``. No gradient of the spike flows through the reset. The output is Z, the state
    ``(V, Z)``.

    Parameters
    ----------
    use_rec_eye_mask : bool
        Forbid connections of a neuron to itself, by default True.
    spike_func : SpikeFunction class or SpikeFuncType
        By default :class:`~neurotorch.modules.spike_funcs.HeavisidePhiApprox`.
    gamma : float
        Height or slope of the surrogate derivative, by default 1 (100 for the fast sigmoid); 0.3 in the publication.
    tau_m, learn_tau_m, threshold, learn_threshold, spikes_regularization_factor
        See :class:`LIFLayer`.
    input_size, output_size, name, use_recurrent_connection, dt, device, **kwargs
        See :class:`~neurotorch.modules.layers.base.BaseNeuronsLayer`.

    References
    ----------
    Bellec et al. (2020), doi:10.1038/s41467-020-17236-y.
    """

    model = "bellec_lif"

    def __init__(
        self,
        input_size: SizeTypes | None = None,
        output_size: SizeTypes | None = None,
        name: str | None = None,
        use_recurrent_connection: bool = True,
        use_rec_eye_mask: bool = True,
        spike_func: type[SpikeFunction] | SpikeFuncType = HeavisidePhiApprox,
        dt: float = 1e-3,
        device: torch.device | str | None = None,
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
            **kwargs,
        )

    def _membrane(self, current: Tensor, state: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        v = self.alpha * state["V"] + current - state["Z"].detach() * self.threshold
        return {"V": v}, self.threshold


class ALIFLayer(Adaptive, LIFLayer):
    """Leaky integrate-and-fire neurons with an adaptive threshold.

    As :class:`LIFLayer`, but ``Z_t = 1`` where ``V_t >= threshold + beta a_t``, with the adaptation
    ``a_t = rho a_{t-1} + Z_{t-1}`` and ``rho = exp(-dt / tau_a)``. The adaptation carries a gradient. The output is Z,
    the state ``(V, a, Z)``.

    Parameters
    ----------
    tau_m, tau_a : float or array-like [N]
        Time constants of membrane and adaptation in seconds, by default ``20 dt`` and ``200 dt``.
    beta : float or array-like [N]
        Strength of the adaptation: by how much a spike raises the threshold. By default 1.6.
    learn_beta : bool
        Train beta, also in a frozen layer.
    learn_tau_m, learn_tau_a : bool
        Train the time constants through ``logit_alpha`` and ``logit_rho``, see :class:`LIFLayer`.
    gamma : float
        Slope or height of the surrogate derivative, by default 100 for the fast sigmoid, 0.3 for
        :class:`~neurotorch.modules.spike_funcs.HeavisidePhiApprox` and 1 otherwise.
    spike_func, threshold, learn_threshold, spikes_regularization_factor
        See :class:`LIFLayer`.
    input_size, output_size, name, use_recurrent_connection, use_rec_eye_mask, dt, device, **kwargs
        See :class:`~neurotorch.modules.layers.base.BaseNeuronsLayer`.

    References
    ----------
    Bellec, Salaj, Subramoney, Legenstein & Maass (2018), arXiv:1803.09574; Gince et al. (2024),
    doi:10.1101/2024.12.29.630683.
    """

    model = "alif"
    state_names: tuple[str, ...] = ("V", "a", "Z")

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
        tau_a: Constant | None = None,
        learn_tau_a: bool | None = None,
        beta: Constant | None = None,
        learn_beta: bool | None = None,
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
            tau_a=tau_a,
            learn_tau_a=learn_tau_a,
            beta=beta,
            learn_beta=learn_beta,
            **kwargs,
        )
        self.beta = self._constant(self.kwargs["beta"], requires_grad=self.kwargs["learn_beta"])
        self._add_decay("rho", "tau_a")

    def _set_default_kwargs(self) -> None:
        self.kwargs.setdefault("tau_m", 20.0 * self.dt)
        self.kwargs.setdefault("tau_a", 200.0 * self.dt)
        self.kwargs.setdefault("beta", 1.6)
        self.kwargs.setdefault("learn_beta", False)
        if self.spike_func is HeavisidePhiApprox:
            self.kwargs.setdefault("gamma", 0.3)
        super()._set_default_kwargs()

    @property
    def _adaptation_strength(self) -> Tensor:
        return self.beta

    def _model_constants(self) -> tuple[Tensor | float, ...]:
        return self.alpha, self.threshold, self.gamma.detach(), self.beta, self.rho


class SpyLIFLayer(SpikingLayer):
    """Leaky integrate-and-fire neurons with a synaptic current.

    ``I_t = alpha I_{t-1} + x_t W + Z_{t-1} R``, ``V_t = (beta V_{t-1} + I_t) (1 - Z_{t-1})`` and ``Z_t = 1`` where
    ``V_t >= threshold``, with ``alpha = exp(-dt / tau_syn)`` and ``beta = exp(-dt / tau_mem)``. No gradient flows
    through the reset. The output is Z, the state ``(V, I_syn, Z)``.

    Weights start with the standard deviations ``0.2 / sqrt(F)`` and ``0.2 / sqrt(N)``. ``hh_init="random"`` draws V
    with offset ``threshold / 2`` and width ``0.341 threshold``, clips it at 0 and lets those above threshold spike.

    Parameters
    ----------
    tau_syn, tau_mem : float or array-like [N]
        Time constants of synapse and membrane in seconds, by default ``5 dt`` and ``10 dt``.
    learn_tau_syn, learn_tau_mem : bool
        Train them through ``logit_alpha`` and ``logit_beta``, see :class:`LIFLayer`.
    spike_func, threshold, learn_threshold, gamma, spikes_regularization_factor
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
        spike_func: type[SpikeFunction] | SpikeFuncType = HeavisideSigmoidApprox,
        tau_syn: Constant | None = None,
        learn_tau_syn: bool | None = None,
        tau_mem: Constant | None = None,
        learn_tau_mem: bool | None = None,
        threshold: Constant | None = None,
        learn_threshold: bool | None = None,
        gamma: Constant | None = None,
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
            tau_syn=tau_syn,
            learn_tau_syn=learn_tau_syn,
            tau_mem=tau_mem,
            learn_tau_mem=learn_tau_mem,
            threshold=threshold,
            learn_threshold=learn_threshold,
            gamma=gamma,
            spikes_regularization_factor=spikes_regularization_factor,
            **kwargs,
        )
        self._add_decay("alpha", "tau_syn")
        self._add_decay("beta", "tau_mem")
        self._add_threshold()
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
        return self.alpha, self.beta, self.threshold, self.gamma.detach()

    def _membrane(self, current: Tensor, state: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        i_syn = self.alpha * state["I_syn"] + current
        v = (self.beta * state["V"] + i_syn) * (1.0 - state["Z"].detach())
        return {"V": v, "I_syn": i_syn}, self.threshold

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


class SpyALIFLayer(Adaptive, SpyLIFLayer):
    """Leaky integrate-and-fire neurons with a synaptic current and an adaptive threshold.

    As :class:`SpyLIFLayer`, but ``Z_t = 1`` where ``V_t >= threshold + kappa a_t``, with the adaptation
    ``a_t = rho a_{t-1} + Z_{t-1}`` and ``rho = exp(-dt / tau_a)``. The adaptation carries a gradient. The output is Z,
    the state ``(V, I_syn, a, Z)``.

    ``hh_init="random"`` draws a uniformly from 0 to 1, after the states of :class:`SpyLIFLayer`; ``hh_init="inputs"``
    takes ``rho threshold`` times such a draw, plus Z.

    Parameters
    ----------
    tau_a : float or array-like [N]
        Time constant of the adaptation in seconds, by default ``200 dt``.
    kappa : float or array-like [N]
        Strength of the adaptation: by how much a spike raises the threshold. By default 1.6.
    learn_kappa : bool
        Train kappa, also in a frozen layer.
    learn_tau_a : bool
        Train the time constant through ``logit_rho``, see :class:`LIFLayer`.
    tau_syn, tau_mem, learn_tau_syn, learn_tau_mem, spike_func, threshold, gamma, spikes_regularization_factor
        See :class:`SpyLIFLayer`.
    input_size, output_size, name, use_recurrent_connection, use_rec_eye_mask, dt, device, **kwargs
        See :class:`~neurotorch.modules.layers.base.BaseNeuronsLayer`.

    References
    ----------
    Gince et al. (2024), doi:10.1101/2024.12.29.630683; Bellec et al. (2018), arXiv:1803.09574.
    """

    model = "spy_alif"
    state_names: tuple[str, ...] = ("V", "I_syn", "a", "Z")

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
        tau_a: Constant | None = None,
        learn_tau_a: bool | None = None,
        kappa: Constant | None = None,
        learn_kappa: bool | None = None,
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
            tau_a=tau_a,
            learn_tau_a=learn_tau_a,
            kappa=kappa,
            learn_kappa=learn_kappa,
            **kwargs,
        )
        self.kappa = self._constant(self.kwargs["kappa"], requires_grad=self.kwargs["learn_kappa"])
        self._add_decay("rho", "tau_a")

    def _set_default_kwargs(self) -> None:
        super()._set_default_kwargs()
        self.kwargs.setdefault("tau_a", 200.0 * self.dt)
        self.kwargs.setdefault("kappa", 1.6)
        self.kwargs.setdefault("learn_kappa", False)

    @property
    def _adaptation_strength(self) -> Tensor:
        return self.kappa

    def _model_constants(self) -> tuple[Tensor | float, ...]:
        return self.alpha, self.beta, self.threshold, self.gamma.detach(), self.kappa, self.rho

    def _drawn_state(
        self, names: Sequence[str], uniform: Callable[[], Tensor], inputs: Tensor | None
    ) -> dict[str, Tensor]:
        state = super()._drawn_state(names, uniform, inputs)
        if inputs is None or self.hh_init == "random":
            return {**state, "a": uniform()}
        return {**state, "a": self.rho * uniform() * self.threshold + state["Z"]}


class IzhikevichLayer(SpikingLayer):
    """Izhikevich's two-variable neurons, by forward Euler steps.

    With ``I_t = x_t W + Z_{t-1} R``,
    ``V_t = (V_{t-1} + dt / C (k (V_{t-1} - v_rest) (V_{t-1} - v_th) - u_{t-1} + I_t)) (1 - Z_{t-1}) + c Z_{t-1}``,
    ``u_t = u_{t-1} + dt a (b (V_{t-1} - v_rest) - u_{t-1}) + d Z_{t-1}`` and ``Z_t = 1`` where ``V_t >= v_peak``. A
    spike resets at the next step, so V shows the peak for one step. No gradient of the spike flows through the resets.
    The output is Z, the state ``(V, u, Z)``.

    The constants are those of a regular spiking neuron in mV, ms, pA, pF and nS [1]_, which has many other kinds; [2]_
    has the dimensionless form. `dt` is in seconds, as everywhere, and enters the equations in ms. Weights are currents
    in pA; they start with the standard deviations of :class:`LIFLayer` in units of ``C (v_th - v_rest) / dt``, the
    current that takes V from rest to v_th in a step.

    The state starts at rest, V = v_rest. ``hh_init="random"`` draws V uniformly from v_rest to v_th (or with
    ``hh_init_mu`` and ``hh_init_std``), ``hh_init="inputs"`` takes it from the first input; u and Z start at zero.

    Parameters
    ----------
    spike_func : SpikeFunction class or SpikeFuncType
        Surrogate derivative around v_peak, see :class:`LIFLayer`.
    C : float
        Membrane capacitance, by default 100 pF.
    v_rest, v_th, v_peak : float
        Resting potential, instantaneous threshold and peak of a spike, by default -60, -40 and 35 mV.
    k : float
        Steepness of the parabola, by default 0.7 nS / mV.
    a, b : float
        Rate and sensitivity of the recovery current, by default 0.03 / ms and -2 nS.
    c, d : float
        Potential after a spike and what it adds to the recovery current, by default -50 mV and 100 pA.
    gamma : float
        Slope or height of the surrogate derivative, by default 1 (per mV).
    spikes_regularization_factor : float
        See :class:`LIFLayer`.
    input_size, output_size, name, use_recurrent_connection, use_rec_eye_mask, dt, device, **kwargs
        See :class:`~neurotorch.modules.layers.base.BaseNeuronsLayer`.

    References
    ----------
    .. [1] Izhikevich (2007), Dynamical Systems in Neuroscience, MIT Press, chapter 8.
    .. [2] Izhikevich (2003), Simple model of spiking neurons, doi:10.1109/TNN.2003.820440.
    """

    model = "izhikevich"
    state_names = ("V", "u", "Z")

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
        C: Constant | None = None,
        v_rest: Constant | None = None,
        v_th: Constant | None = None,
        k: Constant | None = None,
        a: Constant | None = None,
        b: Constant | None = None,
        c: Constant | None = None,
        d: Constant | None = None,
        v_peak: Constant | None = None,
        gamma: Constant | None = None,
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
            C=C,
            v_rest=v_rest,
            v_th=v_th,
            k=k,
            a=a,
            b=b,
            c=c,
            d=d,
            v_peak=v_peak,
            gamma=gamma,
            spikes_regularization_factor=spikes_regularization_factor,
            **kwargs,
        )
        self.C = self._constant(self.kwargs["C"])
        self.v_rest = self._constant(self.kwargs["v_rest"])
        self.v_th = self._constant(self.kwargs["v_th"])
        self.k = self._constant(self.kwargs["k"])
        self.a = self._constant(self.kwargs["a"])
        self.b = self._constant(self.kwargs["b"])
        self.c = self._constant(self.kwargs["c"])
        self.d = self._constant(self.kwargs["d"])
        self.v_peak = self._constant(self.kwargs["v_peak"])
        self.gamma = self._constant(self.kwargs["gamma"])

    def _set_default_kwargs(self) -> None:
        defaults = {
            "C": 100.0,
            "v_rest": -60.0,
            "v_th": -40.0,
            "k": 0.7,
            "a": 0.03,
            "b": -2.0,
            "c": -50.0,
            "d": 100.0,
            "v_peak": 35.0,
            "gamma": 1.0,
            "spikes_regularization_factor": 0.0,
        }
        for name, value in defaults.items():
            self.kwargs.setdefault(name, value)

    def _milliseconds(self) -> float:
        return 1e3 * self.dt

    def _threshold_current(self) -> float:
        """The current that takes a neuron from rest to v_th within a step, its mean over the neurons."""
        distance = (self.v_th - self.v_rest).detach().abs()
        return float((self.C.detach() * distance).mean()) / self._milliseconds()

    def _forward_std(self) -> float:
        return super()._forward_std() * self._threshold_current()

    def _recurrent_std(self) -> float:
        return super()._recurrent_std() * self._threshold_current()

    def _model_constants(self) -> tuple[Tensor | float, ...]:
        constants = (self.C, self.v_rest, self.v_th, self.k, self.a, self.b, self.c, self.d, self.v_peak)
        return (*constants, self.gamma.detach(), self._milliseconds())

    def _membrane(self, current: Tensor, state: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        v, u, z, dt = state["V"], state["u"], state["Z"].detach(), self._milliseconds()
        drive = self.k * (v - self.v_rest) * (v - self.v_th) - u + current
        recovery = self.a * (self.b * (v - self.v_rest) - u)
        return {
            "V": (v + dt / self.C * drive) * (1.0 - z) + self.c * z,
            "u": u + dt * recovery + self.d * z,
        }, self.v_peak

    def _initial_state(self, batch_size: int, inputs: Tensor | None, n_hh: int | None) -> State:
        state = super()._initial_state(batch_size, inputs, n_hh)
        if self.hh_init != "zeros" or len(state) != len(self.state_names):
            return state
        return (self.v_rest + state[0], *state[1:])

    def _drawn_state(
        self, names: Sequence[str], uniform: Callable[[], Tensor], inputs: Tensor | None
    ) -> dict[str, Tensor]:
        if self.hh_init == "inputs" and inputs is not None:
            v = inputs.clone()
        else:
            v_rest, v_th = self.v_rest.detach(), self.v_th.detach()
            mu, std = self.kwargs.get("hh_init_mu", v_rest), self.kwargs.get("hh_init_std", v_th - v_rest)
            v = uniform() * std + mu
        return {"V": v, "u": torch.zeros_like(v), "Z": torch.zeros_like(v)}
