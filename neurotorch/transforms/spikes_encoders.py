"""Layers of spiking neurons that turn values into spikes: each value is a constant current."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from neurotorch.modules.layers import ALIFLayer, LIFLayer, SpyLIFLayer
from neurotorch.modules.layers.base import BaseNeuronsLayer
from neurotorch.transforms.base import ConstantValuesTransform
from neurotorch.utils import to_tensor


class SpikesEncoder(torch.nn.Module):
    """A layer of spiking neurons under a constant current, started from its empty state.

    The whole sequence is one call of a fused operator, and the current is multiplied with the weights once.

    Parameters
    ----------
    n_steps : int
        Number of time steps n.
    n_units : int
        Number of values, and of neurons.
    spikes_layer_type : type
        Class of the layer, for instance :class:`~neurotorch.SpyLIFLayer`.
    dt : float
        Length of a step in seconds.
    device : torch.device or str, optional
        By default the CPU.
    **kwargs
        Arguments of the layer. Those that are not given: ``forward_weights``, the identity;
        ``use_recurrent_connection``, False; ``name``, ``"encoder"``; ``freeze_weights``, False.

    Raises
    ------
    ValueError
        `n_steps` is less than 1.
    """

    def __init__(
        self,
        n_steps: int,
        n_units: int,
        spikes_layer_type: type[BaseNeuronsLayer],
        dt: float = 1e-3,
        device: torch.device | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if n_steps < 1:
            raise ValueError(f"n_steps: expected 1 or more, got {n_steps}")
        kwargs.setdefault("forward_weights", torch.eye(n_units))
        kwargs.setdefault("use_recurrent_connection", False)
        kwargs.setdefault("name", "encoder")
        kwargs.setdefault("freeze_weights", False)
        self.n_steps = n_steps
        self.const_transform = ConstantValuesTransform(n_steps, batch_wise=True)
        self.spikes_layer_type = spikes_layer_type
        self.dt = dt
        self.spikes_layer = spikes_layer_type(n_units, n_units, dt=dt, device=device, **kwargs)
        self.spikes_layer.build()

    def forward(self, x: Any) -> Tensor:
        """Spikes of every value.

        Parameters
        ----------
        x : Tensor or array [B, n_units] or [B, T, n_units]
            Currents. A sequence is repeated, and its first n steps are used.

        Returns
        -------
        Tensor [B, n_steps, n_units]
            Output of the layer at every step.

        Raises
        ------
        ValueError
            `x` has another shape.
        """
        layer = self.spikes_layer
        like = layer.forward_weights
        assert like is not None
        x = to_tensor(x, dtype=like.dtype).to(like.device)
        if x.dim() not in (2, 3) or x.shape[-1] != like.shape[0]:
            raise ValueError(f"x: expected shape [B, {like.shape[0]}] or [B, T, {like.shape[0]}], got {list(x.shape)}")
        if x.dim() == 2 or x.shape[1] == 1:
            # Expanded, not copied: the layer sees from this that the current is constant.
            x = x.reshape(x.shape[0], 1, -1).expand(-1, self.n_steps, -1)
        else:
            x = self.const_transform(x[:, : self.n_steps])[:, : self.n_steps]
        return layer.forward_sequence(x)[0]

    def get_and_reset_regularization_loss(self) -> Tensor:
        """Regularisation loss of the layer since the last reset, which is reset."""
        return self.spikes_layer.get_and_reset_regularization_loss()


class _NamedEncoder(SpikesEncoder):
    """An encoder whose subclasses name the layer."""

    _layer_type: ClassVar[type[BaseNeuronsLayer]]

    def __init__(
        self,
        n_steps: int,
        n_units: int,
        dt: float = 1e-3,
        device: torch.device | str | None = None,
        spikes_layer_kwargs: dict[str, Any] | None = None,
    ) -> None:
        arguments = spikes_layer_kwargs or {}
        for name in ("dt", "device"):
            assert name not in arguments, f"{name}: expected as an argument of the encoder, not in spikes_layer_kwargs"
        super().__init__(n_steps, n_units, self._layer_type, dt, device, **arguments)


class LIFEncoder(_NamedEncoder):
    """:class:`SpikesEncoder` with a :class:`~neurotorch.LIFLayer`.

    Parameters
    ----------
    n_steps, n_units, dt, device
        As in :class:`SpikesEncoder`.
    spikes_layer_kwargs : dict, optional
        Further arguments of the layer.
    """

    _layer_type = LIFLayer


class SpyLIFEncoder(_NamedEncoder):
    """:class:`SpikesEncoder` with a :class:`~neurotorch.SpyLIFLayer`.

    Parameters
    ----------
    n_steps, n_units, dt, device
        As in :class:`SpikesEncoder`.
    spikes_layer_kwargs : dict, optional
        Further arguments of the layer.
    """

    _layer_type = SpyLIFLayer


class ALIFEncoder(_NamedEncoder):
    """:class:`SpikesEncoder` with an :class:`~neurotorch.ALIFLayer`.

    Parameters
    ----------
    n_steps, n_units, dt, device
        As in :class:`SpikesEncoder`.
    spikes_layer_kwargs : dict, optional
        Further arguments of the layer.
    """

    _layer_type = ALIFLayer
