"""Layers that run in the fused whole-sequence operators."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import Parameter

from neurotorch.functional import LayerCall, run_sequence
from neurotorch.functional._events import dense, is_sparse
from neurotorch.modules.layers._activations import fused_name
from neurotorch.modules.layers._base_layer import State, is_own
from neurotorch.modules.layers._constants import ConstantsLayer
from neurotorch.modules.layers._lengths import checked_lengths, freeze, last_step, silence
from neurotorch.modules.layers._weights import checked
from neurotorch.modules.layers.base import BaseNeuronsLayer


class FusedLayer(ConstantsLayer, BaseNeuronsLayer):
    """A layer with a neuron model of the native library.

    A subclass names the model, its states in the model's order, and its constants.
    """

    model: ClassVar[str]
    beside: ClassVar[bool] = False  # whether what the operators cannot do runs beside them, instead of step by step

    def _model_constants(self) -> tuple[Tensor | float, ...]:
        """Constants in the order of the model."""
        raise NotImplementedError

    def _operator_call(self) -> LayerCall:
        """The call with everything that the operators can do; effective weights are computed here, once a sequence."""
        recurrent = self.recurrent_weights
        if recurrent is not None and self.rec_mask is not None:
            recurrent = recurrent * self.rec_mask.detach()
        return LayerCall(self.model, self.forward_weights, recurrent, self._model_constants())

    def _unfused_part(self) -> str | None:
        """What the operators cannot do of this layer, which therefore runs beside them; None when there is nothing."""
        return None

    def stepwise_reason(self) -> str | None:
        """Why :meth:`forward_sequence` calls the layer step by step; None when it does not."""
        if "forward" in self.__dict__:
            return "its forward was replaced"
        if self._forward_hooks or self._forward_pre_hooks or self._backward_hooks or self._backward_pre_hooks:
            return "it has hooks"
        kind = type(self)
        # A class that defines both entries knows what it does.
        if not (is_own(kind, "forward") and is_own(kind, "__call__")) and is_own(kind, "forward_sequence"):
            return f"{kind.__name__} defines its own forward"
        if self.regularize and not is_own(kind, "update_regularization_loss"):
            return f"{kind.__name__} defines its own update_regularization_loss"
        return None

    def fused_reason(self) -> str | None:
        """Why the fused operators cannot run the whole layer; None when they can."""
        return self.stepwise_reason() or self._unfused_part()

    def fused_call(self) -> LayerCall | None:
        """Model, effective weights and constants as differentiable expressions of the parameters.

        None when the operators cannot run the whole layer, see :meth:`fused_reason`, or the layer is not built.
        """
        return None if self.fused_reason() is not None or not self._is_built else self._operator_call()

    def _regularize_call(self, inputs: Tensor, state: Any) -> None:
        # A sequence was regularised over its traces.
        if inputs.dim() != 3:
            self.update_regularization_loss(state)

    def forward(self, inputs: Tensor, state: Any = None, *, lengths: Any = None, **kwargs: Any) -> Any:
        """Run one step or a whole sequence.

        Parameters
        ----------
        inputs : Tensor [B, F] or [B, T, F]
            Cast to the dtype of the weights.
        state : tuple of Tensor [B, N], optional
            State before the first step; the layer makes one, or the entries that are None.
        lengths : Tensor or sequence of int [B], optional
            See :meth:`forward_sequence`; of a sequence only.
        **kwargs
            Ignored: containers pass the time step and the like.

        Returns
        -------
        out : Tensor [B, N] or [B, T, N]
        state : tuple of Tensor [B, N]
            After the last step.

        Raises
        ------
        AssertionError
            The inputs are neither 2-D nor 3-D.
        """
        if inputs.dim() == 3:
            return self._run_regularized(inputs, state, False, 0, lengths)
        assert inputs.dim() == 2, f"inputs: expected shape [B, F] or [B, T, F], got {list(inputs.shape)}"
        out, state = self._run(inputs.unsqueeze(1), state, False, 0)
        return out.squeeze(1), state

    def forward_sequence(
        self,
        x: Tensor,
        state: Any = None,
        *,
        trace: bool = False,
        recompute_every: int = 0,
        lengths: Any = None,
    ) -> tuple[Tensor, State]:
        """Run a whole sequence in one fused operator, forward and backward.

        Replaced or overridden ``forward`` methods and hooks are respected: the layer is then called step by step.

        Parameters
        ----------
        x : Tensor [B, T, F]
            Cast to the dtype of the weights. A sparse tensor gives the same numbers.
        state : tuple of Tensor [B, N], optional
            State before the first step; the layer makes one, or the entries that are None.
        trace : bool
            Return the state after every step instead of after the last one.
        recompute_every : int
            K > 0 keeps the state every K steps only and computes the rest again in the backward pass.
        lengths : Tensor or sequence of int [B], optional
            Number of steps of each sample, 1 to T, by default T. Beyond them `x` may hold anything: outputs are zero
            and the state stays what it was at the end of the sample. The operator keeps the traces of all states then.

        Returns
        -------
        out : Tensor [B, T, N]
        state : tuple of Tensor
            ``[B, N]`` each, or the traces ``[B, T, N]``, differentiable.

        Raises
        ------
        ValueError
            A shape does not fit, or a length is out of range.
        """
        if self.stepwise_reason() is not None:
            x = dense(x)
            return super().forward_sequence(x, state, trace=trace, recompute_every=recompute_every, lengths=lengths)
        if x.dim() != 3:
            raise ValueError(f"x: expected shape [B, T, F], got {list(x.shape)}")
        x, state = self._prepare(x, state)
        if self.regularize:
            self.reset_regularization_loss()
        return self._run_regularized(x, state, trace, recompute_every, lengths)

    def _run_regularized(
        self, x: Tensor, state: Any, trace: bool, recompute_every: int, lengths: Any = None
    ) -> tuple[Tensor, State]:
        if lengths is not None:
            lengths = checked_lengths(lengths, x.shape[0], x.shape[1], x.device)
            x = silence(dense(x), lengths)
        traced = trace or self.regularize or lengths is not None
        out, states = self._run(x, state, traced, recompute_every)
        if lengths is not None:
            out = silence(out, lengths)
        if self.regularize:
            self.update_regularization_loss(states if lengths is None else tuple(silence(s, lengths) for s in states))
        if trace:
            return out, states if lengths is None else tuple(freeze(s, lengths) for s in states)
        if not traced:
            return out, states
        return out, tuple(s[:, -1] if lengths is None else last_step(s, lengths) for s in states)

    def _run(self, x: Tensor, state: Any, trace: bool, recompute_every: int) -> tuple[Tensor, State]:
        if x.shape[1] == 0:
            raise ValueError(f"inputs: expected at least one step, got shape {list(x.shape)}")
        x = x.to(self._reference_tensor().dtype)
        full = self._init_forward_state(state, x.shape[0], inputs=dense(x[:, 0]))
        return self._run_operator(x, tuple(s.to(x.dtype) for s in full), trace, recompute_every)

    def _run_operator(self, x: Tensor, state: State, trace: bool, recompute_every: int) -> tuple[Tensor, State]:
        call = self._operator_call()
        steps = x.shape[1]
        if (
            steps > 1
            and not is_sparse(x)
            and x.stride(1) == 0
            and call.weight is not None
            and call.input_activation is None
        ):
            # One input at every step, not copied: one product serves them all.
            x = (x[:, 0] @ call.weight).unsqueeze(1).expand(-1, steps, -1)
            call = call._replace(weight=None)
        return run_sequence(call, x, state, trace=trace, recompute_every=recompute_every)


class ReadoutLayer(FusedLayer):
    """A layer with bias and output activation, and without spikes."""

    beside = True
    bias_comes_first: ClassVar[bool] = True
    bias_weights: Tensor

    def _set_default_kwargs(self) -> None:
        self.kwargs.setdefault("use_bias", True)
        self.kwargs.setdefault("activation", "identity")

    @property
    def use_bias(self) -> bool:
        """Whether there is a bias; without one ``bias_weights`` are zeros outside checkpoints."""
        return bool(self.kwargs["use_bias"])

    def _create_parameters(self) -> None:
        # The order of creation is that of the keys in checkpoints.
        if self.bias_comes_first:
            self._create_bias()
            super()._create_parameters()
        else:
            super()._create_parameters()
            self._create_bias()

    def _create_bias(self) -> None:
        zeros = self._reference_tensor().new_zeros(self._shapes()["bias_weights"])
        if self.use_bias:
            self.bias_weights = Parameter(zeros, requires_grad=self.requires_grad)
        else:
            self.register_buffer("bias_weights", zeros, persistent=False)

    @torch.no_grad()
    def initialize_weights_(self) -> None:
        """Give the weights their initial values, and the bias those of ``bias_weights`` or zero."""
        super().initialize_weights_()
        given = self.kwargs.get("bias_weights")
        if given is None or not self.use_bias:
            self.bias_weights.zero_()
        else:
            self.bias_weights.copy_(checked("bias_weights", given, self._shapes()["bias_weights"], self.bias_weights))

    def _freezable_parameters(self) -> list[Parameter]:
        bias = getattr(self, "bias_weights", None)
        return super()._freezable_parameters() + ([bias] if isinstance(bias, Parameter) else [])

    def _operator_call(self) -> LayerCall:
        return super()._operator_call()._replace(activation=fused_name(self.activation) or "identity")

    def _unfused_part(self) -> str | None:
        if fused_name(self.activation) is None:
            return f"its activation {type(self.activation).__name__.lower()} is applied outside the operator"
        return None

    def _run_operator(self, x: Tensor, state: State, trace: bool, recompute_every: int) -> tuple[Tensor, State]:
        out, states = super()._run_operator(x, state, trace, recompute_every)
        return (out if fused_name(self.activation) is not None else self.activation(out)), states

    def extra_repr(self) -> str:
        """Whether there is a bias."""
        return f", bias:{self.use_bias}"
