"""What is asked of a network over time: its trace, its last step, its maximum, probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from neurotorch.modules.base_model import map_tensors
from neurotorch.modules.layers._lengths import last_step, silence
from neurotorch.modules.sequential import Sequential


def last_over_time(x: Tensor, steps: Tensor | None) -> Tensor:
    """Last step of ``[B, L, N]``, of each sample's own steps where they are given."""
    return x[:, -1] if steps is None else last_step(x, steps)


def max_over_time(x: Tensor, steps: Tensor | None) -> Tensor:
    """Maximum over the steps of ``[B, L, N]``, of each sample's own steps where they are given."""
    return torch.max(x if steps is None else silence(x, steps, -math.inf), dim=1).values


def mean_over_time(x: Tensor, steps: Tensor | None) -> Tensor:
    """Mean over the steps of ``[B, L, N]``, of each sample's own steps where they are given."""
    return torch.mean(x, dim=1) if steps is None else silence(x, steps).sum(dim=1) / steps.unsqueeze(1)


def _unwrapped(values: dict[str, Any]) -> Any:
    return next(iter(values.values())) if len(values) == 1 else values


class SequencePredictions(Sequential):
    """Predictions of a container whose call returns ``(outputs, hidden states)``, both dicts by layer name."""

    def get_prediction_trace(
        self,
        inputs: Any,
        foresight_time_steps: int | None = None,
        return_hidden_states: bool = False,
        trunc_time_steps: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Outputs over time, as a tensor when there is one output layer.

        Parameters
        ----------
        inputs, foresight_time_steps
            As for a call.
        return_hidden_states : bool
            Return ``(trace, hidden states)``; those of a model of one layer without the dict.
        trunc_time_steps : int, optional
            Keep only this many last steps, at least 1.
        **kwargs
            Further arguments of a call.
        """
        if trunc_time_steps is not None and trunc_time_steps < 1:
            raise ValueError(f"trunc_time_steps: expected 1 or more, got {trunc_time_steps}")
        outputs, hidden = self(inputs, foresight_time_steps=foresight_time_steps, **kwargs)
        if trunc_time_steps is not None:
            outputs = {name: out[:, -trunc_time_steps:] for name, out in outputs.items()}
            hidden = {
                name: h[-trunc_time_steps:] if isinstance(h, list) else tuple(s[:, -trunc_time_steps:] for s in h)
                for name, h in hidden.items()
            }
        trace = _unwrapped(outputs)
        return (trace, _unwrapped(hidden)) if return_hidden_states else trace

    def get_raw_prediction(
        self, inputs: Any, re_outputs_trace: bool = True, re_hidden_states: bool = True, *, lengths: Any = None
    ) -> Any:
        """``(outputs, hidden states)``, the one that is asked for, or None."""
        outputs, hidden = self(inputs, lengths=lengths)
        if re_outputs_trace and re_hidden_states:
            return outputs, hidden
        return outputs if re_outputs_trace else hidden if re_hidden_states else None

    def get_fmt_prediction(
        self,
        inputs: Any,
        lambda_func: Callable[[Tensor], Tensor] = lambda x: x[:, -1],
        re_outputs_trace: bool = True,
        re_hidden_states: bool = True,
        *,
        lengths: Any = None,
    ) -> Any:
        """Outputs through ``lambda_func``, then the outputs and the hidden states where asked for."""
        outputs, hidden = self(inputs, lengths=lengths)
        item = map_tensors(lambda_func, outputs)
        extra = [value for value, wanted in ((outputs, re_outputs_trace), (hidden, re_hidden_states)) if wanted]
        return (item, *extra) if extra else item

    def _over_time(
        self,
        inputs: Any,
        reduce: Callable[[Tensor, Tensor | None], Tensor],
        re_outputs_trace: bool,
        re_hidden_states: bool,
        lengths: Any,
    ) -> Any:
        """Outputs reduced over the steps of each sample; `reduce` gets them and the number of each one's steps."""

        def own_steps(x: Tensor) -> Tensor:
            if lengths is None:
                return reduce(x, None)
            given = torch.as_tensor(lengths, device=x.device)
            # A sample ends that many steps before the end of the padded run; its outputs may have lost their first.
            return reduce(x, (x.shape[1] - self._given_steps(inputs) + given).clamp(min=1))

        return self.get_fmt_prediction(inputs, own_steps, re_outputs_trace, re_hidden_states, lengths=lengths)

    def _given_steps(self, inputs: Any) -> int:
        named = inputs.values() if isinstance(inputs, Mapping) else [inputs]
        return max(value.shape[1] if value.ndim > 2 else 1 for value in named)

    def get_last_prediction(
        self, inputs: Any, re_outputs_trace: bool = True, re_hidden_states: bool = True, *, lengths: Any = None
    ) -> Any:
        """Last time step of each output; see :meth:`get_fmt_prediction`."""
        return self._over_time(inputs, last_over_time, re_outputs_trace, re_hidden_states, lengths)

    def get_max_prediction(
        self, inputs: Any, re_outputs_trace: bool = True, re_hidden_states: bool = True, *, lengths: Any = None
    ) -> Any:
        """Maximum of each output over time; see :meth:`get_fmt_prediction`."""
        return self._over_time(inputs, max_over_time, re_outputs_trace, re_hidden_states, lengths)

    def get_mean_prediction(
        self, inputs: Any, re_outputs_trace: bool = True, re_hidden_states: bool = True, *, lengths: Any = None
    ) -> Any:
        """Mean of each output over time; see :meth:`get_fmt_prediction`."""
        return self._over_time(inputs, mean_over_time, re_outputs_trace, re_hidden_states, lengths)

    def get_prediction_proba(
        self, inputs: Any, re_outputs_trace: bool = True, re_hidden_states: bool = True, *, lengths: Any = None
    ) -> Any:
        """Softmax over features of the maximum over time; see :meth:`get_fmt_prediction`."""
        return self._over_time(
            inputs,
            lambda x, n: torch.softmax(max_over_time(x, n), dim=-1),
            re_outputs_trace,
            re_hidden_states,
            lengths,
        )

    def get_prediction_log_proba(
        self, inputs: Any, re_outputs_trace: bool = True, re_hidden_states: bool = True, *, lengths: Any = None
    ) -> Any:
        """Log-softmax over features of the maximum over time; see :meth:`get_fmt_prediction`."""
        return self._over_time(
            inputs,
            lambda x, n: torch.log_softmax(max_over_time(x, n), dim=-1),
            re_outputs_trace,
            re_hidden_states,
            lengths,
        )
