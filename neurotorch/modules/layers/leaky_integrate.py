"""Leaky integrators without spikes, for readouts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from neurotorch.dimension import SizeTypes
from neurotorch.modules.layers._constants import Constant
from neurotorch.modules.layers._fused import ReadoutLayer


class LILayer(ReadoutLayer):
    """Leaky integrators ``V_t = kappa V_{t-1} + x_t W + b``; the output is ``activation(V)``, the state ``(V,)``.

    Parameters
    ----------
    tau_out : float or array-like [N]
        Time constant in seconds, by default ``10 dt``.
    learn_tau_out : bool
        Train it through the free parameter ``logit_kappa``, which keeps kappa between 0 and 1; also in a frozen layer.
    kappa : float or array-like [N]
        Decay per step, by default ``exp(-dt / tau_out)``.
    learn_kappa : bool
        Train kappa itself, without bounds, also in a frozen layer.
    use_bias : bool
        Whether there is a bias, by default True.
    bias_weights : array-like [N], optional
        Its initial value, by default zero.
    input_size, output_size, name, dt, device, **kwargs
        See :class:`~neurotorch.modules.layers.base.BaseNeuronsLayer`. There is no recurrent connection.

    References
    ----------
    Gince et al. (2024), doi:10.1101/2024.12.29.630683.
    """

    model = "li"
    state_names = ("V",)
    kappa: Tensor

    def __init__(
        self,
        input_size: SizeTypes | None = None,
        output_size: SizeTypes | None = None,
        name: str | None = None,
        dt: float = 1e-3,
        device: torch.device | str | None = None,
        *,
        tau_out: Constant | None = None,
        learn_tau_out: bool | None = None,
        kappa: Constant | None = None,
        learn_kappa: bool | None = None,
        use_bias: bool | None = None,
        bias_weights: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            input_size,
            output_size,
            name,
            use_recurrent_connection=False,
            dt=dt,
            device=device,
            tau_out=tau_out,
            learn_tau_out=learn_tau_out,
            kappa=kappa,
            learn_kappa=learn_kappa,
            use_bias=use_bias,
            bias_weights=bias_weights,
            **kwargs,
        )
        self._add_raw_decay("kappa", "tau_out")

    def _set_default_kwargs(self) -> None:
        super()._set_default_kwargs()
        self.kwargs.setdefault("tau_out", 10.0 * self.dt)
        self.kwargs.setdefault("learn_kappa", False)

    def _model_constants(self) -> tuple[Tensor | float, ...]:
        return self.kappa, self.bias_weights


class SpyLILayer(ReadoutLayer):
    """Leaky integrators with a synaptic current: ``I_t = alpha I_{t-1} + x_t W``, ``V_t = beta V_{t-1} + I_t + b``.

    The output is ``activation(V)``, the state ``(V, I_syn)``. Weights start with standard deviation ``0.2 / sqrt(F)``.

    Parameters
    ----------
    tau_syn, tau_mem : float or array-like [N]
        Time constants of synapse and membrane in seconds, by default ``5 dt`` and ``10 dt``.
    learn_tau_syn, learn_tau_mem : bool
        Train them through the free parameters ``logit_alpha`` and ``logit_beta``, which keep the decays between 0
        and 1; also in a frozen layer.
    alpha, beta : float or array-like [N]
        Decays per step, by default ``exp(-dt / tau_syn)`` and ``exp(-dt / tau_mem)``.
    learn_alpha, learn_beta : bool
        Train the decays themselves, without bounds, also in a frozen layer.
    use_bias : bool
        Whether there is a bias, by default False.
    bias_weights : array-like [N], optional
        Its initial value, by default zero.
    input_size, output_size, name, dt, device, **kwargs
        See :class:`~neurotorch.modules.layers.base.BaseNeuronsLayer`. There is no recurrent connection.

    References
    ----------
    Neftci, Mostafa & Zenke (2019), doi:10.1109/MSP.2019.2931595; Gince et al. (2024), doi:10.1101/2024.12.29.630683.
    """

    model = "spy_li"
    state_names = ("V", "I_syn")
    bias_comes_first = False
    alpha: Tensor
    beta: Tensor

    def __init__(
        self,
        input_size: SizeTypes | None = None,
        output_size: SizeTypes | None = None,
        name: str | None = None,
        dt: float = 1e-3,
        device: torch.device | str | None = None,
        *,
        tau_syn: Constant | None = None,
        learn_tau_syn: bool | None = None,
        alpha: Constant | None = None,
        learn_alpha: bool | None = None,
        tau_mem: Constant | None = None,
        learn_tau_mem: bool | None = None,
        beta: Constant | None = None,
        learn_beta: bool | None = None,
        use_bias: bool | None = None,
        bias_weights: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            input_size,
            output_size,
            name,
            use_recurrent_connection=False,
            dt=dt,
            device=device,
            tau_syn=tau_syn,
            learn_tau_syn=learn_tau_syn,
            alpha=alpha,
            learn_alpha=learn_alpha,
            tau_mem=tau_mem,
            learn_tau_mem=learn_tau_mem,
            beta=beta,
            learn_beta=learn_beta,
            use_bias=use_bias,
            bias_weights=bias_weights,
            **kwargs,
        )
        self._add_raw_decay("alpha", "tau_syn")
        self._add_raw_decay("beta", "tau_mem")

    def _set_default_kwargs(self) -> None:
        self.kwargs.setdefault("use_bias", False)
        super()._set_default_kwargs()
        self.kwargs.setdefault("tau_syn", 5.0 * self.dt)
        self.kwargs.setdefault("learn_alpha", False)
        self.kwargs.setdefault("tau_mem", 10.0 * self.dt)
        self.kwargs.setdefault("learn_beta", False)

    def _forward_std(self) -> float:
        return float(0.2 / self._shapes()["forward_weights"][0] ** 0.5)

    def _model_constants(self) -> tuple[Tensor | float, ...]:
        return self.alpha, self.beta, self.bias_weights
