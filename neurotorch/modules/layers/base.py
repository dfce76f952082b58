"""What all layers of neurons share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from neurotorch.dimension import DimensionsLike as DimensionsLike
from neurotorch.dimension import SizeTypes
from neurotorch.modules.layers._activations import Activation, describe, make_activation
from neurotorch.modules.layers._base_layer import BaseLayer
from neurotorch.modules.layers._connections import ConnectedLayer
from neurotorch.modules.layers._initial_state import StatefulLayer
from neurotorch.utils import ConnectivityConvention

__all__ = ["BaseLayer", "BaseNeuronsLayer"]


class BaseNeuronsLayer(ConnectedLayer, StatefulLayer):
    """Base of all layers of neurons: forward and recurrent weights, Dale's law, initial states.

    The current of a neuron is ``x W + z R`` with x the inputs and z the previous spikes or activities. With Dale's law
    ``W = w^2 s(sigma)``, where w are the stored weights, sigma one stored sign per presynaptic neuron and s the sign
    activation; the same holds for R. W is multiplied by ``forward_mask`` where one is given, R by ``rec_mask``.

    Parameters
    ----------
    input_size, output_size : int, Dimension, Size or iterable, optional
        Number of presynaptic inputs F and of neurons N.
    name : str, optional
        By default the name of the class.
    use_recurrent_connection : bool
        Whether the neurons are connected among each other.
    use_rec_eye_mask : bool
        Forbid connections of a neuron to itself.
    dt : float
        Length of a step in seconds.
    device : torch.device or str, optional
        By default the CPU.
    forward_weights, recurrent_weights : array-like [F, N], [N, N], optional
        Initial weights; with Dale's law their magnitudes. By default normal, with the standard deviation that the layer
        class defines, here ``sqrt(2 / (F + N))`` (Xavier).
    forward_mask, recurrent_mask : array-like [F, N], [N, N], optional
        Which connections exist: 1, or 0 for those that do not. Their weights act as zeros whatever an optimiser does,
        get no gradient, and are stored as zeros. The recurrent mask is kept in ``rec_mask``.
    force_dale_law : bool
        Give every presynaptic neuron one sign.
    forward_sign, recurrent_sign : float or array-like [F, 1], [N, 1], optional
        Initial sigma, or the fraction of inhibitory neurons among random ones. By default ``N(0, 1)``.
    sign_activation : callable, optional
        s, by default tanh.
    activation : str or callable
        Output activation, of layers that have one.
    hh_init : {"zeros", "random", "inputs", "given"}
        Initial state: zeros; uniform from ``hh_init_mu`` to ``hh_init_mu + hh_init_std``; the first input; or `h0`.
    hh_init_mu, hh_init_std : float, optional
        Offset (0) and width (1) of the uniform distribution.
    hh_init_seed : int, optional
        By default random states follow torch's global generator.
    h0 : tuple of Tensor [B, N], optional
        The given state; a batch of 1 serves any batch.
    connectivity_convention : ConnectivityConvention or str
        Stored and exposed; weights are always ``[presynaptic, postsynaptic]``.
    regularize, freeze_weights
        See :class:`BaseLayer`.
    **kwargs
        Keywords of subclasses, kept in :attr:`kwargs`. Those that no class knows cause a UserWarning.

    Raises
    ------
    ValueError
        When built: weights, signs or masks have the wrong shape, or masks hold other numbers than 0 and 1.
    """

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
        forward_weights: Any = None,
        recurrent_weights: Any = None,
        forward_mask: Any = None,
        recurrent_mask: Any = None,
        force_dale_law: bool | None = None,
        forward_sign: Any = None,
        recurrent_sign: Any = None,
        sign_activation: Activation | None = None,
        activation: Activation | str | None = None,
        hh_init: str | None = None,
        hh_init_mu: float | None = None,
        hh_init_std: float | None = None,
        hh_init_seed: int | None = None,
        h0: Sequence[Tensor] | None = None,
        connectivity_convention: ConnectivityConvention | str | None = None,
        regularize: bool | None = None,
        freeze_weights: bool | None = None,
        **kwargs: Any,
    ) -> None:
        # Before the constructor of the base, which calls _set_default_kwargs: that hook may read them.
        self.dt = dt
        self.use_recurrent_connection = use_recurrent_connection
        self.use_rec_eye_mask = use_rec_eye_mask
        super().__init__(
            input_size=input_size,
            output_size=output_size,
            name=name,
            device=device,
            forward_weights=forward_weights,
            recurrent_weights=recurrent_weights,
            forward_mask=forward_mask,
            recurrent_mask=recurrent_mask,
            force_dale_law=force_dale_law,
            forward_sign=forward_sign,
            recurrent_sign=recurrent_sign,
            sign_activation=sign_activation,
            activation=activation,
            hh_init=hh_init,
            hh_init_mu=hh_init_mu,
            hh_init_std=hh_init_std,
            hh_init_seed=hh_init_seed,
            h0=h0,
            connectivity_convention=connectivity_convention,
            regularize=regularize,
            freeze_weights=freeze_weights,
            **kwargs,
        )
        self.kwargs.setdefault("force_dale_law", False)
        self.kwargs.setdefault("hh_init", "zeros")
        self.kwargs.setdefault("connectivity_convention", ConnectivityConvention.ItoJ)
        # Plain attributes until build() makes them parameters, whose order in checkpoints is that of creation.
        self._forward_weights = self._forward_sign = None
        self._recurrent_weights = self._recurrent_sign = self.rec_mask = None
        self.register_buffer("forward_mask", None)
        self.sign_activation = self.kwargs.setdefault("sign_activation", torch.nn.Tanh())
        self.activation: Activation = self._init_activation(self.kwargs.setdefault("activation", "identity"))

    def _init_activation(self, activation: Activation | str = "identity") -> Activation:
        """The activation of a name, or the callable itself."""
        return make_activation(activation)

    @property
    def connectivity_convention(self) -> ConnectivityConvention:
        """The convention that was given; it changes nothing."""
        return ConnectivityConvention.from_other(self.kwargs["connectivity_convention"])

    def _activations_repr(self) -> str:
        sign = f", sign_activation:{describe(self.sign_activation)}" if self.force_dale_law else ""
        return f", activation:{describe(self.activation)}{sign}"
