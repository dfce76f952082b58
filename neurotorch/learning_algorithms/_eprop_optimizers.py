"""Torch optimisers whose steps the native driver takes itself, on their own state."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from neurotorch.learning_algorithms._eprop_network import LearnedLayer, LearnedNetwork, entering

SGD, ADAMW = 1, 2


def _group_of(optimizer: torch.optim.Optimizer, params: Iterable[Parameter]) -> dict[str, Any] | None:
    """The one group that holds all of these parameters; None where there is no such group."""
    wanted = {id(p) for p in params}
    for group in optimizer.param_groups:
        if wanted <= {id(p) for p in group["params"]}:
            return group
    return None


def _is_known(group: dict[str, Any], kind: type) -> bool:
    if kind is torch.optim.SGD:
        return not (group["momentum"] or group["nesterov"] or group["dampening"])
    return not (group["amsgrad"] or group["capturable"] or group["differentiable"])


def fused_reason(rule: Any, net: LearnedNetwork) -> str | None:
    """Why gradients go through torch; None when the driver can do all."""
    optimizer = rule.optimizer
    kind = type(optimizer)
    if kind not in (torch.optim.SGD, torch.optim.AdamW):
        return f"its optimiser is {kind.__name__}"
    if optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks:
        return "its optimiser has hooks"
    if rule._regularizes():
        return "regularisers act on its steps"
    for layers in (net.hidden, net.outputs):
        group = _group_of(optimizer, (p for layer in layers for p in layer.learned))
        if group is None or not _is_known(group, kind):
            return "the driver does not know this variant of its optimiser"
    seen: set[int] = set()
    for layer in net.layers:
        reason = _layer_reason(layer, seen)
        if reason is not None:
            return reason
    return None


def _reads_plainly(
    matrix: Tensor | None, weight: Parameter | None, sign: Parameter | None, mask: Tensor | None
) -> bool:
    """Whether a matrix is what the driver makes of stored weights: their values, or squares with signs, masked."""
    if matrix is None or weight is None:
        return matrix is None
    made = weight if sign is None else weight.square() * torch.tanh(sign)
    made = made if mask is None else made * mask
    return made.shape == matrix.shape and torch.equal(made, matrix)


def _layer_reason(layer: LearnedLayer, seen: set[int]) -> str | None:
    if not layer.learned:
        return None
    own, call = layer.layer, layer.call
    if not (
        _reads_plainly(call.weight, own._forward_weights, own._forward_sign, own.forward_mask)
        and _reads_plainly(call.recurrent_weight, own._recurrent_weights, own._recurrent_sign, own.rec_mask)
    ):
        return f"{type(own).__name__} transforms its weights"
    pairs = ((own._forward_weights, own._forward_sign), (own._recurrent_weights, own._recurrent_sign))
    known: set[int] = set()
    learned = {id(p) for p in layer.learned}
    if learned & seen:
        return "layers share parameters"
    seen |= learned
    for weight, sign in pairs:
        known |= {id(p) for p in (weight, sign) if p is not None}
        if sign is None:
            continue
        if type(own.sign_activation) is not torch.nn.Tanh:
            return "its signs are not activated by tanh"
        if (id(weight) in learned) != (id(sign) in learned):
            return "it learns weights or signs alone"
    rest = [p for p in layer.learned if id(p) not in known]
    if not _makes_a_constant_each(layer, rest) or any(map_of(layer, p) is None for p in rest):
        return "its constants are functions of parameters that the driver does not know"
    if any(p.dtype != layer.call.weight.dtype for p in layer.learned):  # type: ignore[union-attr]
        return "its parameters differ in dtype"
    return None


# How constants follow from parameters, by the name of the parameter or its beginning: number and scale.
_SQUARE, _RATE, _LOGISTIC, _EXPONENTIAL = 1, 2, 3, 4


def map_of(layer: LearnedLayer, p: Parameter) -> tuple[int, float] | None:
    """Which of the driver's maps makes a constant of the operator from this parameter; None where none does."""
    own = layer.layer
    name = next(name for name, parameter in own.named_parameters() if parameter is p)
    if name == "r_sqrt":
        return _SQUARE, 1.0
    if name == "tau_sqrt":
        return _RATE, float(own.dt)
    if name.startswith("logit_"):
        return _LOGISTIC, 1.0
    if name.startswith("log_"):
        return _EXPONENTIAL, 1.0
    direct = any(isinstance(c, Tensor) and c.data_ptr() == p.data_ptr() for c in layer.call.constants)
    return (0, 1.0) if direct else None


def _makes_a_constant_each(layer: LearnedLayer, params: list[Parameter]) -> bool:
    """Whether each of these parameters makes one constant of the operator, and alone."""
    made: list[Parameter] = []
    for constant in layer.constants:
        used = entering(constant, params)
        if len(used) > 1:
            return False
        made += used
    return len(made) == len(params) == len({id(p) for p in made})


class FusedOptimizer:
    """The optimiser of a rule as numbers and state tensors, made where torch would make them."""

    def __init__(self, rule: Any, net: LearnedNetwork) -> None:
        self.optimizer: torch.optim.Optimizer = rule.optimizer
        self.is_adamw = isinstance(self.optimizer, torch.optim.AdamW)
        self.groups = [
            _group_of(self.optimizer, (p for layer in layers for p in layer.learned))
            for layers in (net.hidden, net.outputs)
        ]

    def describe(self, group: int) -> tuple[int, int, list[float]]:
        """Kind, whether it climbs, and rate, weight decay, betas and epsilon."""
        options = self.groups[group]
        assert options is not None
        numbers = [float(options["lr"]), float(options["weight_decay"])]
        betas = [float(b) for b in options["betas"]] if self.is_adamw else [0.0, 0.0]
        kind = ADAMW if self.is_adamw else SGD
        return kind, int(options["maximize"]), [*numbers, *betas, float(options.get("eps", 0.0))]

    def _state(self, p: Parameter) -> dict[str, Any]:
        state: dict[str, Any] = self.optimizer.state[p]
        if self.is_adamw and not state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["exp_avg"] = torch.zeros_like(p, memory_format=torch.contiguous_format)
            state["exp_avg_sq"] = torch.zeros_like(p, memory_format=torch.contiguous_format)
        return state

    def moments(self, p: Parameter) -> tuple[Tensor | None, Tensor | None]:
        """First and second moments of a parameter."""
        if not self.is_adamw:
            return None, None
        state = self._state(p)
        return state["exp_avg"], state["exp_avg_sq"]

    def steps(self, p: Parameter) -> float:
        """Updates so far."""
        return float(self._state(p)["step"]) if self.is_adamw else 0.0

    def count(self, params: Iterable[Parameter], updates: int) -> None:
        """Say that so many updates were made."""
        for p in params:
            torch.autograd.graph.increment_version(p)
            if self.is_adamw:
                self.optimizer.state[p]["step"] += updates
        # Schedules ask whether the optimiser was used before them.
        self.optimizer._opt_called = True  # type: ignore[attr-defined]
