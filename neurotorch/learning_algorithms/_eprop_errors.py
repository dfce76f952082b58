"""Errors of the outputs: what e-prop compares with the targets, and what its readout follows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from neurotorch.modules._engine import Schedule


class Errors:
    """Targets of a batch, aligned with the steps of a run.

    Targets ``[B, T', n]`` belong to the last T' steps; steps before have no error. Ones ``[B, n]`` hold at all steps.

    Raises
    ------
    ValueError
        A target is missing, or its shape does not fit.
    """

    def __init__(
        self, rule: Any, targets: Any, names: Sequence[str], sizes: Sequence[int | None], schedule: Schedule
    ) -> None:
        self.rule, self.names, self.total = rule, list(names), schedule.total
        self.given = targets
        if rule.errors is not None:
            self.targets, self.first = [], 0
            self.criteria: list[Any] = [None] * len(self.names)
            return
        self.targets = [self._target(targets, name, n, len(names), schedule.total) for name, n in zip(names, sizes)]
        self.first = min(schedule.total - y.shape[1] for y in self.targets)
        self.criteria = [self._criterion(name) for name in names]

    @staticmethod
    def _target(targets: Any, name: str, n: int | None, count: int, total: int) -> Tensor:
        y = targets
        if isinstance(targets, Mapping):
            if name not in targets and not (count == 1 and len(targets) == 1):
                raise ValueError(f"y_batch: expected a target for output {name!r}, got {list(targets)}")
            y = targets[name] if name in targets else next(iter(targets.values()))
        if not isinstance(y, Tensor):
            raise ValueError(f"y_batch: expected a tensor for output {name!r}, got {type(y).__name__}")
        if y.dim() == 2:
            y = y.unsqueeze(1).expand(-1, total, -1)
        n = n if n is not None or y.dim() != 3 else y.shape[2]
        if y.dim() != 3 or y.shape[2] != n or not 1 <= y.shape[1] <= total:
            raise ValueError(f"y_batch: expected shape [B, {total}, {n}] for output {name!r}, got {list(y.shape)}")
        return y

    def _criterion(self, name: str) -> Any:
        criterion = self.rule.criterion
        return criterion[name] if isinstance(criterion, Mapping) and name in criterion else criterion

    def slice_of(self, name: str, first: int, last: int) -> Tensor:
        """Targets of an output at steps [first, last) of the run."""
        target = self.targets[self.names.index(name)]
        missing = self.total - target.shape[1]
        return target[:, max(0, first - missing) : max(0, last - missing)]

    def is_mean_square(self, k: int) -> bool:
        """Whether the criterion of an output is the plain mean squared error."""
        criterion = self.criteria[k]
        return (
            criterion is None
            or criterion is torch.nn.functional.mse_loss
            or (type(criterion) is torch.nn.MSELoss and criterion.reduction == "mean")
        )

    def of(self, k: int, out: Tensor) -> Tensor:
        """Prediction minus target ``[B, T, n]`` of output k; zero where there is no target."""
        target = self.targets[k].to(dtype=out.dtype, device=out.device)
        error = out[:, out.shape[1] - target.shape[1] :] - target
        error = torch.nan_to_num(error, self.rule.nan, self.rule.posinf, self.rule.neginf)
        missing = out.shape[1] - error.shape[1]
        return error if missing == 0 else torch.nn.functional.pad(error, (0, 0, missing, 0))

    def of_sequence(self, outs: Sequence[Tensor]) -> tuple[list[Tensor], Tensor | None]:
        """Errors ``[B, T, n]`` of all outputs, and the factor ``[B, T]`` of a rule with a modulation."""
        rule, named = self.rule, dict(zip(self.names, outs))
        factor = None if rule.modulation is None else rule.modulation(named, self.given)
        if factor is not None and factor.shape != outs[0].shape[:2]:
            raise ValueError(f"modulation: expected shape {list(outs[0].shape[:2])}, got {list(factor.shape)}")
        if rule.errors is None:
            return [self.of(k, out) for k, out in enumerate(outs)], factor
        found = rule.errors(named, self.given)
        for name, out in named.items():
            if name not in found or found[name].shape != out.shape:
                got = list(found[name].shape) if name in found else "none"
                raise ValueError(f"errors: expected shape {list(out.shape)} for output {name!r}, got {got}")
        return [torch.nan_to_num(found[name], rule.nan, rule.posinf, rule.neginf) for name in self.names], factor

    def reduced(self, errors: Sequence[Tensor]) -> list[Tensor]:
        """Errors as the hidden layers see them: per sample or their mean, clipped."""
        made = []
        for error in errors:
            if self.rule.batch_reduction == "mean_error":
                error = error.mean(dim=0, keepdim=True).expand_as(error)
            limit = self.rule.learning_signal_norm_clip_value
            if limit < math.inf:
                norm = error.norm(dim=2, keepdim=True)
                error = error * (limit / (norm + 1e-6)).clamp(max=1.0)
            made.append(error)
        return made

    def slope(self, k: int, out: Tensor) -> Tensor:
        """Gradient ``[B, T, n]`` of the criterion at every step with respect to output k."""
        error = self.of(k, out)
        if self.is_mean_square(k):
            return error * (2.0 / (error.shape[0] * error.shape[2]))
        steps = self.targets[k].shape[1]
        parts = [torch.zeros_like(error[:, : error.shape[1] - steps])]
        for t in range(error.shape[1] - steps, error.shape[1]):
            parts.append(self.step_slope(k, out[:, t], t - (error.shape[1] - steps)).unsqueeze(1))
        return torch.cat(parts, dim=1)

    def step_slope(self, k: int, out: Tensor, target_step: int) -> Tensor:
        """The same for one step, of the output ``[B, n]``."""
        target = self.targets[k][:, target_step : target_step + 1].to(out.device)
        with torch.enable_grad():
            leaf = out.detach().unsqueeze(1).requires_grad_()
            (grad,) = torch.autograd.grad(self.criteria[k](leaf, target), leaf)
        rule = self.rule
        return torch.nan_to_num(grad.squeeze(1), rule.nan, rule.posinf, rule.neginf)
