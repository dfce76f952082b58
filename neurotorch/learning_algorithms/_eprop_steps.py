"""E-prop step by step in Python: for subclasses that override a part of the rule, and for layers of a user's own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from neurotorch.learning_algorithms._eprop_errors import Errors
from neurotorch.learning_algorithms._rule import ModelRule
from neurotorch.learning_algorithms._windows import windows
from neurotorch.modules._engine import Network, Result, Schedule, State, call_layer, run_steps
from neurotorch.modules.layers.classical import LinearJtoI

HOOKS = (
    "compute_errors",
    "compute_learning_signals",
    "update_grads",
    "_hidden_backward_at_t",
    "_backward_at_t",
    "_make_optim_step",
    "eligibility_traces_zeros_",
)


def clip_norm(tensors: Sequence[Tensor], limit: float) -> None:
    """Scale tensors in place to a largest joint norm."""
    if limit < math.inf and tensors:
        norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(t) for t in tensors]))
        for t in tensors:
            t.mul_((limit / (norm + 1e-6)).clamp(max=1.0))


def local_gradients(output: Tensor, params: Sequence[Tensor]) -> list[Tensor]:
    """Gradients of the sum of an output; zeros where a parameter is frozen or has no part in it."""
    wanted = [p for p in params if p.requires_grad]
    if not wanted or not output.requires_grad:
        return [torch.zeros_like(p) for p in params]
    with torch.enable_grad():
        found = torch.autograd.grad(output.sum(), wanted, allow_unused=True, retain_graph=True)
    by_id = {id(p): grad for p, grad in zip(wanted, found) if grad is not None}
    return [by_id[id(p)] if id(p) in by_id else torch.zeros_like(p) for p in params]


class StepRun:
    """One training batch; layers are called once per time step, with states that are detached after each window.

    Raises
    ------
    NotImplementedError
        The rule is one that this engine does not have.
    """

    def __init__(self, rule: Any, network: Network, errors: Errors, schedule: Schedule, batch: int) -> None:
        for argument, actual, expected in (
            ("eligibility", rule.eligibility, "instantaneous"),
            ("feedback", rule.feedback, "random"),
        ):
            if actual != expected:
                raise NotImplementedError(f"{argument}: expected {expected!r} step by step, got {actual!r}")
        if batch > 1 and rule.batch_reduction != "mean_error":
            raise NotImplementedError(
                'batch_reduction: expected "mean_error" step by step, or one sample, got "per_sample"'
            )
        for layer in (*network.inputs, *network.hidden):
            if isinstance(layer, LinearJtoI):
                raise NotImplementedError("LinearJtoI: its weights are stored transposed, which steps cannot learn")
        self.rule, self.network, self.errors, self.schedule = rule, network, errors, schedule
        self.every = schedule.total if rule.update == "sequence" else rule.update
        self.names = [getattr(layer, "name", str(k)) for k, layer in enumerate(network.layers)]

    def run(self, x: list[Tensor], states: list[State]) -> Result:
        """Run, learn, and return outputs and hidden states."""
        network, schedule = self.network, self.schedule
        ends = dict(windows(schedule.total, self.rule.backward_time_steps, self.every))  # whether a step follows

        def call(k: int, x_t: Tensor, state: Any, extra: dict[str, Any]) -> tuple[Tensor, Any]:
            with torch.enable_grad():
                out, state = call_layer(network.layers[k], network.stateful[k], x_t, state, extra)
            t = extra["t"]
            self.rule._layers_buffer.setdefault(self.names[k], []).append(out)
            if t + 1 in ends:
                self._learn(k, t)
                state = _detached(state)
            return out.detach(), state

        def update(t: int) -> None:
            if ends.get(t + 1, False) and t >= self.errors.first:
                self.rule._make_optim_step()

        return run_steps(network, x, states, schedule, call=call, after=update)

    def _learn(self, k: int, t: int) -> None:
        """Hand the outputs of a window that ends with step t, which still have their graph, to the rule."""
        name, buffer = self.names[k], self.rule._layers_buffer
        output = k - len(self.network.inputs) - len(self.network.hidden)
        if output < 0:
            self.rule._hidden_backward_at_t(t, len(buffer[name]), name)
        else:
            first = self.schedule.total - self.errors.targets[output].shape[1]
            scored = min(len(buffer[name]), t + 1 - first)
            if scored > 0:
                buffer[name] = buffer[name][-scored:]
                self.rule._backward_at_t(t, scored, name)
        buffer[name] = []


def _detached(state: Any) -> Any:
    if isinstance(state, Tensor):
        return state.detach()
    return tuple(_detached(one) for one in state) if isinstance(state, (tuple, list)) else state


class EpropSteps(ModelRule):
    """The part of the rule that runs in steps, in methods that subclasses may override."""

    DEFAULT_Y_KEY = "default_key"

    gamma: float
    alpha: float
    nan: float
    posinf: float
    neginf: float
    eligibility_traces_norm_clip_value: float
    learning_signal_norm_clip_value: float
    output_params: list[Parameter]
    feedback_weights: dict[str, list[Tensor]] | None
    eligibility_traces: list[Tensor]
    output_eligibility_traces: list[Tensor]
    _hidden_parameters: list[Parameter]
    _layers_buffer: dict[str, list[Tensor]]
    _layers: dict[str, torch.nn.Module]
    _errors: Errors | None

    def _own_hooks(self) -> list[str]:
        """Methods of :data:`HOOKS` that a subclass, or the object itself, has of its own."""
        kind = type(self)
        return [name for name in HOOKS if name in self.__dict__ or getattr(kind, name) is not getattr(EpropSteps, name)]

    def _begin_steps(self, run: StepRun) -> None:
        """Traces of zeros before a batch."""
        self.eligibility_traces_zeros_()
        self._errors = run.errors
        self._layers_buffer, self._layers = {}, dict(zip(run.names, run.network.layers))

    def eligibility_traces_zeros_(self) -> None:
        """Set the traces of hidden and output layers, one per parameter, to zeros."""
        self.eligibility_traces = [torch.zeros_like(p) for p in self.params]
        self.output_eligibility_traces = [torch.zeros_like(p) for p in self.output_params]

    def _finish_gradients(self) -> None:
        """Replace or refuse what is not finite, and clip."""
        raise NotImplementedError

    def _get_pred_batch_from_buffer(self, layer_name: str) -> Tensor:
        """What a layer gave in this window, ``[B, steps, N]``, with its graph."""
        with torch.enable_grad():
            return torch.stack(self._layers_buffer[layer_name], dim=1)

    def _get_y_batch_slice_from_trainer(self, t_first: int, t_last: int, layer_name: str) -> Tensor:
        """Targets of an output layer at steps [t_first, t_last) of the run, ``[B, steps, N]``."""
        assert self._errors is not None, "only within a batch"
        return self._errors.slice_of(layer_name, t_first, t_last)

    def _hidden_backward_at_t(self, t: int, backward_t: int, layer_name: str) -> None:
        """Move the traces of a hidden layer on, from its `backward_t` outputs up to step t."""
        own = {id(p) for p in self._layers[layer_name].parameters()}
        places = [k for k, p in enumerate(self.params) if id(p) in own]
        out = self._get_pred_batch_from_buffer(layer_name)
        for k, grad in zip(places, local_gradients(out, [self.params[k] for k in places])):
            grad = torch.nan_to_num(grad, self.nan, self.posinf, self.neginf)
            self.eligibility_traces[k] = self.gamma * self.eligibility_traces[k] + grad
        clip_norm(self.eligibility_traces, self.eligibility_traces_norm_clip_value)

    def _backward_at_t(self, t: int, backward_t: int, layer_name: str) -> None:
        """Learn from the `backward_t` outputs up to step t: move traces on, find errors, and add to the gradients."""
        pred = self._get_pred_batch_from_buffer(layer_name)
        y = self._get_y_batch_slice_from_trainer(t + 1 - backward_t, t + 1, layer_name).to(pred.dtype)
        own = {id(p) for p in self._layers[layer_name].parameters()}
        places = [k for k, p in enumerate(self.output_params) if id(p) in own]
        with torch.enable_grad():
            loss = self.apply_criterion(pred, y).mean()
        for k, grad in zip(places, local_gradients(loss, [self.output_params[k] for k in places])):
            self.output_eligibility_traces[k] = self.alpha * self.output_eligibility_traces[k] + grad
        clip_norm(self.output_eligibility_traces, self.eligibility_traces_norm_clip_value)
        self.update_grads(self.compute_errors({layer_name: pred.detach()}, {layer_name: y}))

    def compute_errors(self, pred_batch: Any, y_batch: Any) -> dict[str, Tensor]:
        """Prediction minus target by output, with the keys of `feedback_weights`."""
        pred = pred_batch if isinstance(pred_batch, Mapping) else {self.DEFAULT_Y_KEY: pred_batch}
        y = y_batch if isinstance(y_batch, Mapping) else dict.fromkeys(pred, y_batch)
        single = self.feedback_weights is not None and self.DEFAULT_Y_KEY in self.feedback_weights
        return {self.DEFAULT_Y_KEY if single else name: pred[name] - y[name].to(pred[name].device) for name in pred}

    def compute_learning_signals(self, errors: dict[str, Tensor]) -> list[Tensor]:
        """Mean errors of samples and steps through the feedback: a ``[1, last dimension]`` per entry of ``params``."""
        assert self.feedback_weights is not None
        positions = {id(p): k for k, p in enumerate(self._hidden_parameters)}
        signals = [p.new_zeros(1, p.shape[-1] if p.dim() else 1) for p in self.params]
        for name, error in errors.items():
            mean = torch.nan_to_num(error, self.nan, self.posinf, self.neginf).flatten(0, -2).mean(0, keepdim=True)
            clip_norm([mean], self.learning_signal_norm_clip_value)
            for k, p in enumerate(self.params):
                if id(p) in positions:
                    signals[k] = signals[k] + mean @ self.feedback_weights[name][positions[id(p)]]
        return signals

    def update_grads(self, errors: dict[str, Tensor]) -> None:
        """Add learning signal times trace to the gradients of the hidden layers, and the traces of the readout."""
        signals = self.compute_learning_signals(errors)
        for p, signal, trace in zip(self.params, signals, self.eligibility_traces):
            if p.requires_grad:
                part = (signal * trace).reshape(p.shape)
                p.grad = part if p.grad is None else p.grad + part
        for p, trace in zip(self.output_params, self.output_eligibility_traces):
            if p.requires_grad:
                p.grad = trace.clone() if p.grad is None else p.grad + trace

    def _make_optim_step(self, **kwargs: Any) -> None:  # type: ignore[override]
        """Clip the gradients, take a step, and forget them."""
        assert self.optimizer is not None
        self._finish_gradients()
        self.optimizer.step()
        self.optimizer.zero_grad()
