"""Least squares at every step of a run, all in the native driver (csrc/cpu/rls.h)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import Parameter

from neurotorch.learning_algorithms._eprop_network import LearnedLayer, learned_network, unfused_reason
from neurotorch.learning_algorithms._program import NetworkProgram
from neurotorch.learning_algorithms._windows import Targets
from neurotorch.modules._engine import Network, Result, Schedule, State
from neurotorch.modules.layers._connections import ConnectedLayer
from neurotorch.transforms.base import IdentityTransform

# The regressor of each strategy, by the number that the driver knows it by.
REGRESSORS = {"inputs": 0, "outputs": 1, "presynaptic": 2}


class Place(NamedTuple):
    """Where a parameter acts: the layer, and whether it is its recurrent weights."""

    layer: int
    is_recurrent: bool


def native_reason(rule: Any, network: Network, x: list[Tensor]) -> str | None:
    """Why a batch has to run window by window in Python; None when it has not."""
    if rule.strategy not in REGRESSORS:
        return f"strategy {rule.strategy}"
    if not rule._is_plain:
        return "its optimiser is not plain SGD"
    if rule.backward_time_steps != 1:
        return f"its windows have {rule.backward_time_steps} steps"
    if len(network.outputs) != 1:
        return f"the network has {len(network.outputs)} output layers"
    own = rule._own_hooks()
    if own:
        return f"{type(rule).__name__} defines its own {', '.join(own)}"
    unfused = unfused_reason(network)
    if unfused is not None:
        return unfused
    if any(getattr(layer, "regularize", False) for layer in network.layers):
        return "a layer regularises"
    if rule.regularization_loss(rule.trainer) is not None:
        return "the trainer regularises"
    transforms = rule.trainer.model.output_transform
    if any(type(transform) is not IdentityTransform for transform in transforms.values()):
        return "the output is transformed"
    if any(x_k.requires_grad for x_k in x):
        return "the inputs require gradients"
    if x[0].device.type != "cpu":
        return f"the network is on {x[0].device.type}"
    if any(len(_places(network, p)) != 1 for p in rule.params):
        return "a parameter is not the weights of one layer"
    return None


def _places(network: Network, parameter: Parameter) -> list[Place]:
    """Layers that read a parameter as their weights, as they are stored."""
    found = []
    for k, layer in enumerate(network.layers):
        if not isinstance(layer, ConnectedLayer) or type(layer)._effective is not ConnectedLayer._effective:
            continue
        weights = layer.get_forward_weights_parameter(), layer.get_recurrent_weights_parameter()
        found += [Place(k, bool(which)) for which, own in enumerate(weights) if own is parameter]
    return found


class SolverProgram(NetworkProgram):
    """The program of one training batch of :class:`~neurotorch.learning_algorithms.RLS`.

    Parameters
    ----------
    rule : RLS
    network, x, states, schedule
        As for :func:`neurotorch.modules._engine.run`.
    targets : Targets
    """

    def __init__(
        self, rule: Any, network: Network, x: list[Tensor], states: list[State], schedule: Schedule, targets: Targets
    ) -> None:
        super().__init__(learned_network(network, set()), x[0].shape[0], schedule)
        self.rule = rule
        self.target = self._target(targets)
        places = [_places(network, p)[0] for p in rule.params]
        self.before = self._check_shapes(places)
        self.constants = [self._constants(layer) for layer in self.net.layers]
        self.stored: dict[int, Tensor] = {}
        made = {place: self._matrix(p, place) for p, place in zip(rule.params, places, strict=True)}
        for is_recurrent, read in ((False, self.weights), (True, self.recurrent)):
            for k, layer in enumerate(self.net.layers):
                matrix = layer.call.recurrent_weight if is_recurrent else layer.call.weight
                learned = made.get(Place(k, is_recurrent))
                read.append(None if matrix is None else self.p.padded(matrix) if learned is None else learned)
        self._header(targets.first, solvers=len(rule.params))
        self._layers(x, states, [self.target])
        for k, (p, place) in enumerate(zip(rule.params, places, strict=True)):
            self._solver(k, p, place)

    @property
    def output(self) -> LearnedLayer:
        return self.net.outputs[0]

    @property
    def neurons(self) -> int:
        return self.output.neurons

    def _target(self, targets: Targets) -> Tensor:
        found, name = (
            targets.window(targets.first, targets.total, self.outs[0][:, targets.first :]),
            self.rule._names[0],
        )
        if isinstance(found, Mapping):
            found = found[name] if name in found else next(iter(found.values()))
        target: Tensor = found
        wanted = [self.batch, targets.total - targets.first, self.neurons]
        if list(target.shape) != wanted:
            raise ValueError(f"y: expected shape {wanted}, got {list(target.shape)}")
        return target.to(self.p.like)

    def _check_shapes(self, places: list[Place]) -> Tensor | None:
        """Raise where the weights do not fit the strategy; what stands for the output before the first step."""
        rule, steps = self.rule, int(self.target.shape[1])
        if rule.strategy == "presynaptic":
            if any(place.layer < self.n_hidden for place in places):
                raise ValueError("params: strategy presynaptic learns the weights of the output layer only")
            rule.initialize_P_list_of([p.shape[0] for p in rule.params])
            return None
        if rule.strategy == "outputs":
            rule._check_single()
            rule._check_shapes(self.neurons, self.neurons)
            return None
        before = self._regressor_before()
        rule._check_shapes(before.numel(), self.neurons)
        if steps > 1:
            rule._check_shapes(self.neurons, self.neurons)
        return before

    def _regressor_before(self) -> Tensor:
        """What stands for the output before the first window ``[n]``: that of an earlier batch, or the input."""
        rule, name = self.rule, self.rule._names[0]
        before: Tensor | None = rule._last_outputs.get(name)
        if before is None:
            before = rule._get_x_batch_slice_from_trainer(0, 1, name)
        mean: Tensor = rule._rows(before).mean(dim=0)
        return mean.to(self.p.like)

    def _mask(self, place: Place) -> Tensor | None:
        layer = self.net.layers[place.layer].layer
        mask = layer.rec_mask if place.is_recurrent else layer.forward_mask
        return None if mask is None or bool((mask == 1).all()) else mask.detach()

    def _matrix(self, p: Parameter, place: Place) -> Tensor:
        """What the network reads: the stored weights themselves without sign and mask."""
        self.stored[id(p)] = self.p.padded(p, write_back=True)
        if id(p) not in self.rule._constrained and self._mask(place) is None:
            return self.stored[id(p)]
        call = self.net.layers[place.layer].call
        effective = call.recurrent_weight if place.is_recurrent else call.weight
        assert effective is not None
        return self.p.padded(effective)

    def _solver(self, k: int, p: Parameter, place: Place) -> None:
        rule, program = self.rule, self.p
        program.ints += [0, place.layer, int(place.is_recurrent), REGRESSORS[rule.strategy]]
        program.ints += [program.add(self.before), program.add(self.stored[id(p)])]
        read = self.recurrent[place.layer] if place.is_recurrent else self.weights[place.layer]
        mask, constrained = self._mask(place), rule._constrained.get(id(p))
        program.ints += [program.add(read), program.add(None if mask is None else program.padded(mask))]
        program.ints += [program.add(None if constrained is None else constrained.signs().flatten().contiguous())]
        rule.P_list[k] = rule.P_list[k].to(program.like).contiguous()
        program.ints += [program.add(rule.P_list[k]), program.zeros(p.shape[0])]
        own = rule._rule()
        program.numbers += [own.gain, own.kappa, own.keep, own.take, rule._rate(p)]


@torch.no_grad()
def run_native(
    rule: Any, network: Network, x: list[Tensor], states: list[State], schedule: Schedule, targets: Targets
) -> tuple[Result, str | None]:
    """Run a training batch; what :func:`neurotorch.modules._engine.run` returns, and what was not finite."""
    program = SolverProgram(rule, network, x, states, schedule, targets)
    found = program.p.call(0, schedule.total)
    program.p.write_back()
    rule._last_outputs[rule._names[0]] = program.outs[0][:, -1:].clone()
    return program.result(), (None, "P", "the error")[found]
