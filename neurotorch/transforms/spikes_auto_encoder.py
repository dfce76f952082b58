"""Values to spikes and back."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from neurotorch.modules.base_model import BaseModel
from neurotorch.modules.layers import SpyLIFLayer
from neurotorch.modules.layers.base import BaseNeuronsLayer
from neurotorch.transforms.spikes_decoders import MeanConv
from neurotorch.transforms.spikes_encoders import SpikesEncoder
from neurotorch.utils.arguments import warn_unknown

_OF_THE_MODEL = ("name", "checkpoint_folder", "input_transform", "output_transform")
_OF_THE_DECODER = ("hard_tanh.min_val", "hard_tanh.max_val")


class SpikesAutoEncoder(BaseModel):
    """``decode(encode(x))``: values as spikes of one neuron each, and their means back as values.

    Parameters
    ----------
    n_units : int
        Number of values U.
    n_encoder_steps : int
        Number of time steps of the spikes.
    encoder_type : type, optional
        Class of the spiking layer of the default encoder, by default :class:`~neurotorch.SpyLIFLayer`.
    spikes_encoder : torch.nn.Module, optional
        ``[B, U]`` to spikes ``[B, T, U]``; by default a :class:`SpikesEncoder`.
    spikes_decoder : torch.nn.Module, optional
        Spikes to values; by default a :class:`MeanConv` over all steps with alpha 2, limited to 0 to 1.
    **kwargs
        ``device``, ``name``, ``checkpoint_folder``, ``input_transform`` and ``output_transform`` of
        :class:`~neurotorch.modules.BaseModel`; ``"hard_tanh.min_val"`` and ``"hard_tanh.max_val"``, limits of the
        default decoder; ``dt`` in seconds and all others, of the layer of the default encoder.

    Raises
    ------
    ValueError
        `encoder_type` and `spikes_encoder` are both given.
    """

    def __init__(
        self,
        n_units: int,
        n_encoder_steps: int,
        encoder_type: type[BaseNeuronsLayer] | None = None,
        spikes_encoder: torch.nn.Module | None = None,
        spikes_decoder: torch.nn.Module | None = None,
        *,
        device: torch.device | str | None = None,
        **kwargs: Any,
    ) -> None:
        if encoder_type is not None and spikes_encoder is not None:
            raise ValueError("encoder_type, spikes_encoder: expected one of them, got both")
        of_the_model = {name: kwargs.pop(name) for name in _OF_THE_MODEL if name in kwargs}
        super().__init__(n_units, n_units, device=device, **{"name": type(self).__name__, **of_the_model})
        self.kwargs = kwargs
        self.encoder_type: type[BaseNeuronsLayer] = SpyLIFLayer if encoder_type is None else encoder_type
        self.n_units = n_units
        self.n_encoder_steps = n_encoder_steps
        if spikes_encoder is not None:
            warn_unknown(type(self).__name__, kwargs, (*_OF_THE_MODEL, *_OF_THE_DECODER))
        self.spikes_encoder = self._create_default_encoder() if spikes_encoder is None else spikes_encoder
        self.spikes_decoder = self._create_default_decoder() if spikes_decoder is None else spikes_decoder
        self.to(self.device)

    def _create_default_encoder(self) -> torch.nn.Module:
        arguments = {name: value for name, value in self.kwargs.items() if name not in _OF_THE_DECODER}
        return SpikesEncoder(self.n_encoder_steps, self.n_units, self.encoder_type, device=self.device, **arguments)

    def _create_default_decoder(self) -> torch.nn.Module:
        low, high = (self.kwargs.get(name, value) for name, value in zip(_OF_THE_DECODER, (0.0, 1.0)))
        return MeanConv(self.n_encoder_steps, alpha=2.0, activation=torch.nn.Hardtanh(low, high))

    def encode(self, x: Tensor) -> Tensor:
        """Spikes ``[B, n_encoder_steps, U]`` of values ``[B, U]``."""
        spikes: Tensor = self.spikes_encoder(x)
        return spikes

    def decode(self, x: Tensor) -> Tensor:
        """Values ``[B, 1, U]`` of spikes ``[B, n_encoder_steps, U]``."""
        values: Tensor = self.spikes_decoder(x)
        return values

    def forward(self, x: Tensor, **kwargs: Any) -> Tensor:  # type: ignore[override]
        """Values ``[B, 1, U]`` that come back for values ``[B, U]``; keywords are ignored."""
        return self.decode(self.encode(x.to(self.device)))

    def get_prediction_trace(self, inputs: Any, **kwargs: Any) -> Tensor:
        """What :meth:`forward` returns."""
        return self.forward(inputs)

    def get_raw_prediction(self, inputs: Any, *args: Any, **kwargs: Any) -> Tensor:
        """What :meth:`forward` returns."""
        return self.forward(inputs)

    def get_and_reset_regularization_loss(self) -> Tensor:
        """Regularisation loss of encoder and decoder since the last reset, which is reset."""
        loss = torch.zeros((), device=self.device)
        for part in (self.spikes_encoder, self.spikes_decoder):
            own = getattr(part, "get_and_reset_regularization_loss", None)
            if callable(own):
                loss = loss + own()
        return loss
