"""What is asked of a network over time: its trace, its last step, its maximum, probabilities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from neurotorch.modules.base_model import map_tensors
from neurotorch.modules.sequential import Sequential


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
            Keep only this many last steps.
        **kwargs
            Further arguments of a call.
        """
        outputs, hidden = self(inputs, foresight_time_steps=foresight_time_steps, **kwargs)
        if trunc_time_steps is not None:
            outputs = {name: out[:, -trunc_time_steps:] for name, out in outputs.items()}
            hidden = {
                name: h[-trunc_time_steps:] if isinstance(h, list) else tuple(s[:, -trunc_time_steps:] for s in h)
                for name, h in hidden.items()
            }
        trace = _unwrapped(outputs)
        return (trace, _unwrapped(hidden)) if return_hidden_states else trace

    def get_raw_prediction(self, inputs: Any, re_outputs_trace: bool = True, re_hidden_states: bool = True) -> Any:
        """``(outputs, hidden states)``, the one that is asked for, or None."""
        outputs, hidden = self(inputs)
        if re_outputs_trace and re_hidden_states:
            return outputs, hidden
        return outputs if re_outputs_trace else hidden if re_hidden_states else None

    def get_fmt_prediction(
        self,
        inputs: Any,
        lambda_func: Callable[[Tensor], Tensor] = lambda x: x[:, -1],
        re_outputs_trace: bool = True,
        re_hidden_states: bool = True,
    ) -> Any:
        """Outputs through ``lambda_func``, then the outputs and the hidden states where asked for."""
        outputs, hidden = self(inputs)
        item = map_tensors(lambda_func, outputs)
        extra = [value for value, wanted in ((outputs, re_outputs_trace), (hidden, re_hidden_states)) if wanted]
        return (item, *extra) if extra else item

    def get_last_prediction(self, inputs: Any, re_outputs_trace: bool = True, re_hidden_states: bool = True) -> Any:
        """Last time step of each output; see :meth:`get_fmt_prediction`."""
        return self.get_fmt_prediction(inputs, lambda x: x[:, -1], re_outputs_trace, re_hidden_states)

    def get_max_prediction(self, inputs: Any, re_outputs_trace: bool = True, re_hidden_states: bool = True) -> Any:
        """Maximum of each output over time; see :meth:`get_fmt_prediction`."""
        return self.get_fmt_prediction(inputs, lambda x: torch.max(x, dim=1).values, re_outputs_trace, re_hidden_states)

    def get_mean_prediction(self, inputs: Any, re_outputs_trace: bool = True, re_hidden_states: bool = True) -> Any:
        """Mean of each output over time; see :meth:`get_fmt_prediction`."""
        return self.get_fmt_prediction(inputs, lambda x: torch.mean(x, dim=1), re_outputs_trace, re_hidden_states)

    def get_prediction_proba(self, inputs: Any, re_outputs_trace: bool = True, re_hidden_states: bool = True) -> Any:
        """Softmax over features of the maximum over time; see :meth:`get_fmt_prediction`."""
        return self.get_fmt_prediction(
            inputs, lambda x: torch.softmax(torch.max(x, dim=1).values, dim=-1), re_outputs_trace, re_hidden_states
        )

    def get_prediction_log_proba(
        self, inputs: Any, re_outputs_trace: bool = True, re_hidden_states: bool = True
    ) -> Any:
        """Log-softmax over features of the maximum over time; see :meth:`get_fmt_prediction`."""
        return self.get_fmt_prediction(
            inputs, lambda x: torch.log_softmax(torch.max(x, dim=1).values, dim=-1), re_outputs_trace, re_hidden_states
        )
