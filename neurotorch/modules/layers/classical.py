"""Layers without memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from neurotorch.dimension import SizeTypes
from neurotorch.modules.layers._base_layer import State
from neurotorch.modules.layers._fused import ReadoutLayer


class Linear(ReadoutLayer):
    """``activation(x W + b)`` over the last axis, with Dale's law and the other options of neuron layers.

    Parameters
    ----------
    use_bias : bool
        Whether there is a bias, by default True.
    bias_weights : array-like [N], optional
        Its initial value, by default zero.
    input_size, output_size, name, device, **kwargs
        See :class:`~neurotorch.modules.layers.base.BaseNeuronsLayer`. There is no recurrent connection.
    """

    model = "linear"
    state_names = ()

    def __init__(
        self,
        input_size: SizeTypes | None = None,
        output_size: SizeTypes | None = None,
        name: str | None = None,
        device: torch.device | str | None = None,
        *,
        use_bias: bool | None = None,
        bias_weights: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            input_size,
            output_size,
            name,
            use_recurrent_connection=False,
            device=device,
            use_bias=use_bias,
            bias_weights=bias_weights,
            **kwargs,
        )

    def _model_constants(self) -> tuple[Tensor | float, ...]:
        return (self.bias_weights,)

    def _init_forward_state(self, state: Any = None, batch_size: int = 1, **kwargs: Any) -> State:
        return ()

    def forward(self, inputs: Tensor, state: Any = None, **kwargs: Any) -> Tensor:
        """Apply the map.

        Parameters
        ----------
        inputs : Tensor [..., F]
            Cast to the dtype of the weights.
        state, **kwargs
            Ignored: there is no state, and containers pass the time step and the like.

        Returns
        -------
        Tensor [..., N]
        """
        flat = inputs if inputs.dim() == 3 else inputs.reshape(-1, 1, inputs.shape[-1])
        out, _ = self._run(flat, None, False, 0)
        return out.reshape(*inputs.shape[:-1], out.shape[-1])
