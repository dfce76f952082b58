"""Linear layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from neurotorch.dimension import SizeTypes
from neurotorch.functional import LayerCall
from neurotorch.modules.layers._base_layer import State
from neurotorch.modules.layers._fused import ReadoutLayer
from neurotorch.modules.layers._lengths import checked_lengths, silence


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

    def forward_sequence(
        self,
        x: Tensor,
        state: Any = None,
        *,
        trace: bool = False,
        recompute_every: int = 0,
        lengths: Any = None,
    ) -> tuple[Tensor, State]:
        """See :meth:`FusedLayer.forward_sequence`; there may be axes between time and features, ``[B, T, ..., F]``."""
        options: dict[str, Any] = {"trace": trace, "recompute_every": recompute_every}
        if x.dim() <= 3 or self.stepwise_reason() is not None:
            return super().forward_sequence(x, state, lengths=lengths, **options)
        if lengths is not None:
            lengths = checked_lengths(lengths, x.shape[0], x.shape[1], x.device)
            x = silence(x, lengths)
        flat, hidden = super().forward_sequence(x.flatten(1, -2), state, **options)
        out = flat.reshape(*x.shape[:-1], flat.shape[-1])
        return out if lengths is None else silence(out, lengths), hidden


class LinearJtoI(Linear):
    """:class:`Linear` whose stored weights are transposed, ``[postsynaptic, presynaptic]`` as in torch.

    ``activation(x W^T + b)``. With Dale's law every input has one sign, as in :class:`Linear`.

    Parameters
    ----------
    forward_weights : array-like [N, F], optional
        Initial weights.
    input_size, output_size, name, device, use_bias, bias_weights, **kwargs
        See :class:`Linear`.
    """

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        shapes = super()._shapes()
        return {**shapes, "forward_weights": shapes["forward_weights"][::-1]} if shapes else shapes

    def _effective(self, weights: Tensor | None, sign: Tensor | None) -> Tensor | None:
        return super()._effective(weights, None if sign is None else sign.T)

    def _operator_call(self) -> LayerCall:
        call = super()._operator_call()
        return call if call.weight is None else call._replace(weight=call.weight.T)


class LinearRNN(ReadoutLayer):
    """Linear network ``V_t = x_t W + V_{t-1} R + b``; the output is ``activation(V)``, the state ``(V,)``.

    The recurrent weights see V, not the output: the dynamics are linear whatever the activation.

    Parameters
    ----------
    use_bias : bool
        Whether there is a bias, by default True.
    bias_weights : array-like [N], optional
        Its initial value, by default zero.
    input_size, output_size, name, use_recurrent_connection, device, **kwargs
        See :class:`~neurotorch.modules.layers.base.BaseNeuronsLayer`.
    """

    model = "linear_rnn"
    state_names = ("V",)

    def __init__(
        self,
        input_size: SizeTypes | None = None,
        output_size: SizeTypes | None = None,
        name: str | None = None,
        use_recurrent_connection: bool = True,
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
            use_recurrent_connection,
            device=device,
            use_bias=use_bias,
            bias_weights=bias_weights,
            **kwargs,
        )

    def _model_constants(self) -> tuple[Tensor | float, ...]:
        return (self.bias_weights,)
