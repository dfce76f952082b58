"""E-prop that updates while the sequence goes on: runs the native driver (csrc/cpu/online.h).

The driver does everything in one call where it knows the optimiser and the maps from parameters to effective weights.
Otherwise it runs up to the next update, and the gradients go through torch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from neurotorch.learning_algorithms._eprop_errors import Errors
from neurotorch.learning_algorithms._eprop_feedback import Signal, keep_adaptive_rows
from neurotorch.learning_algorithms._eprop_network import LearnedNetwork, add_gradients
from neurotorch.learning_algorithms._eprop_program import CONSTANT, INPUT, RECURRENT, OnlineProgram
from neurotorch.modules._engine import Result, Schedule, State


class OnlineRun(OnlineProgram):
    """One training batch."""

    def run(self) -> Result:
        """Run, learn, and return outputs and hidden states."""
        if self.optimizer is not None:
            self._run_fused()
        else:
            self._run_with_optimizer()
        self._keep_twins()
        return self.result()

    def _run_fused(self) -> None:
        assert self.optimizer is not None
        found = self.p.call(0, self.schedule.total)
        self.p.write_back()
        updated = [p for target in self.targets for p in target.params]
        updates = sum(self._is_due(t + 1) for t in range(self.errors.first, self.schedule.total))
        self.optimizer.count(updated, updates)
        if found:
            raise ValueError(
                f"Eprop: the gradients of the {'hidden' if found == 1 else 'output'} layers are not finite"
            )

    def _is_due(self, step: int) -> bool:
        """Whether an update follows so many steps."""
        return bool(step % self.rule.update == 0 or step == self.schedule.total)

    def _run_with_optimizer(self) -> None:
        begin = 0
        for end in range(1, self.schedule.total + 1):
            if self.custom:
                self.p.call(end - 1, end, learn=False)
                self._find_slopes(end - 1)
                self.p.call(end - 1, end, forward=False)
                begin = end
            if not self._is_due(end):
                continue
            if begin < end:
                self.p.call(begin, end)
            begin = end
            if end > self.errors.first:
                self._update()

    def _find_slopes(self, t: int) -> None:
        for k, (out, slope) in enumerate(zip(self.outs, self.slopes)):
            step = t - (self.schedule.total - self.errors.targets[k].shape[1])
            if step >= 0 and slope is not None:
                slope.copy_(self.errors.step_slope(k, out[:, t], step))

    def _update(self) -> None:
        """One step of the optimiser with the gradients since the last one."""
        for target, grad in zip(self.targets, self.grads):
            layer = self.net.layers[target.layer]
            own = grad[:, : layer.neurons].clone()
            constants: list[Tensor | None] = [None] * len(layer.constants)
            if target.source == CONSTANT:
                scalar = layer.constants[target.constant].dim() == 0
                constants[target.constant] = own.sum() if scalar else own[0]
            found = layer.parameter_gradients(
                target.params,
                own if target.source == INPUT else None,
                own if target.source == RECURRENT else None,
                constants,
            )
            add_gradients(target.params, found)
            grad.zero_()
        self.rule._finish_gradients()
        with self.rule.adapting(self.net, self.twins):
            self.rule.optimizer.step()
        self.rule.optimizer.zero_grad()
        self._refresh()

    def _refresh(self) -> None:
        """What the network reads, from the updated parameters."""
        for k, layer in enumerate(self.net.layers):
            if not layer.learned:
                continue
            with torch.enable_grad():
                layer.call = layer.layer._operator_call()
            for buffer, matrix in (
                (self.weights[k], layer.call.weight),
                (self.recurrent[k], layer.call.recurrent_weight),
            ):
                if buffer is not None and matrix is not None:
                    buffer[:, : layer.neurons].copy_(matrix.detach())
            for row, constant in zip(self.constants[k], layer.constants):
                row.copy_(constant.detach())

    def _keep_twins(self) -> None:
        """Adaptive feedback back into the rule's matrices."""
        for k, twin in enumerate(self.twins):
            if twin is not None:
                keep_adaptive_rows(twin, self.signals, k)


def run_online(
    rule: Any,
    net: LearnedNetwork,
    signals: list[Signal],
    errors: Errors,
    x: list[Tensor],
    states: list[State],
    schedule: Schedule,
) -> Result:
    """Run a training batch with updates on the way."""
    run = OnlineRun(rule, net, signals, errors, x, states, schedule)
    reason = run.fused_reason
    rule.engine = "native driver" + (f", gradients through torch: {reason}" if reason is not None else "")
    return run.run()
