"""What e-prop adds to the program of a network (_program.py): signals, traces, optimisers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor
from torch.nn import Parameter

from neurotorch.learning_algorithms._eprop_errors import Errors
from neurotorch.learning_algorithms._eprop_feedback import Signal, adaptive_rows
from neurotorch.learning_algorithms._eprop_network import LINEAR_READOUTS, LearnedLayer, LearnedNetwork, entering
from neurotorch.learning_algorithms._eprop_optimizers import FusedOptimizer, fused_reason, map_of
from neurotorch.learning_algorithms._program import NO_OPTIMIZER, NetworkProgram, padded_width
from neurotorch.modules._engine import Schedule, State

INPUT, RECURRENT, CONSTANT = 0, 1, 2
NONE, DENSE, SCALAR, ROWS = 0, 1, 2, 3
ONES = -1


class Target(NamedTuple):
    """What a trace is of: a matrix or a constant of a layer, and the parameters that learn from it."""

    layer: int
    source: int
    constant: int
    params: list[Parameter]
    signal: int
    sign_signal: int


class OnlineProgram(NetworkProgram):
    """The program of one training batch of e-prop.

    Parameters
    ----------
    rule : Eprop
    net, signals, errors : LearnedNetwork, list of Signal, Errors
    x, states, schedule
        As for :func:`neurotorch.modules._engine.run`.
    """

    def __init__(
        self,
        rule: Any,
        net: LearnedNetwork,
        signals: list[Signal],
        errors: Errors,
        x: list[Tensor],
        states: list[State],
        schedule: Schedule,
    ) -> None:
        super().__init__(net, x[0].shape[0], schedule)
        self.rule, self.signals, self.errors = rule, signals, errors
        self.published = rule.eligibility == "published"
        self.index = {id(layer): k for k, layer in enumerate(net.layers)}
        self.custom = not self.published and any(
            layer.learned and not errors.is_mean_square(k) for k, layer in enumerate(net.outputs)
        )
        self.fused_reason = "its criterion is evaluated in Python" if self.custom else fused_reason(rule, net)
        self.optimizer = FusedOptimizer(rule, net) if self.fused_reason is None else None
        self.targets = self._find_targets()
        self.grads: list[Tensor] = []
        self.weights = [self._matrix(layer, 0) for layer in net.layers]
        self.recurrent = [self._matrix(layer, 1) for layer in net.layers]
        self.constants = [self._constants(layer) for layer in net.layers]
        if self.custom:
            self.slopes = [self.p.like.new_zeros(self.batch, layer.neurons) for layer in net.outputs]
        self.twins = self._make_twins()
        self._header(
            errors.first,
            every=1 if self.optimizer is None else rule.update,
            mean_error=rule.batch_reduction == "mean_error",
            watch=rule.raise_non_finite_errors,
            signals=len(signals),
            traces=len(self.targets),
            clips=(
                rule.learning_signal_norm_clip_value,
                rule.eligibility_traces_norm_clip_value,
                rule.grad_norm_clip_value,
            ),
            replaced=(rule.nan, rule.posinf, rule.neginf),
            optimizers=[
                NO_OPTIMIZER if self.optimizer is None else self.optimizer.describe(group) for group in range(2)
            ],
        )
        self._layers(x, states, errors.targets)
        self._signals()
        for target in self.targets:
            self._trace(target)

    # ---- what learns ---------------------------------------------------------------------------------------------

    def _find_targets(self) -> list[Target]:
        found: list[Target] = []
        for number, signal in enumerate(self.signals):
            found += self._reached(signal.layer, signal.params, number)
        for k, layer in enumerate(self.net.outputs):
            signal_number = -2 - k if self.published else ONES
            found += self._reached(layer, layer.learned, signal_number)
        return self._merge_signs(found) if self.fused_reason is None else found

    def _reached(self, layer: LearnedLayer, params: list[Parameter], signal: int) -> list[Target]:
        """One target per matrix or constant that these parameters enter."""
        own, at = layer.layer, self.index[id(layer)]
        forward = [p for p in params if p is own._forward_weights or p is own._forward_sign]
        recurrent = [p for p in params if p is own._recurrent_weights or p is own._recurrent_sign]
        found = []
        if forward:
            found.append(Target(at, INPUT, 0, forward, signal, signal))
        if recurrent:
            found.append(Target(at, RECURRENT, 0, recurrent, signal, signal))
        known = {id(p) for p in (*forward, *recurrent)}
        rest = [p for p in params if id(p) not in known]
        if rest:
            entries: list[tuple[int, int, Tensor | None]] = [
                (INPUT, 0, layer.call.weight),
                (RECURRENT, 0, layer.call.recurrent_weight),
                *((CONSTANT, c, value) for c, value in enumerate(layer.constants) if layer.model.learns(c)),
            ]
            for source, c, entry in entries:
                reached = entering(entry, rest)
                if reached:
                    found.append(Target(at, source, c, reached, signal, signal))
        return found

    def _merge_signs(self, targets: list[Target]) -> list[Target]:
        """Weights and signs of one matrix share a trace; each keeps its signal."""
        merged: list[Target] = []
        for target in targets:
            same = [k for k, other in enumerate(merged) if target.source != CONSTANT and other[:2] == target[:2]]
            if not same:
                merged.append(target)
                continue
            other = merged[same[0]]
            own = self.net.layers[target.layer].layer
            brings_sign = any(p is own._forward_sign or p is own._recurrent_sign for p in target.params)
            weight_of, sign_of = (other, target) if brings_sign else (target, other)
            merged[same[0]] = other._replace(
                params=other.params + target.params, signal=weight_of.signal, sign_signal=sign_of.signal
            )
        return merged

    # ---- tensors -------------------------------------------------------------------------------------------------

    def _matrix(self, layer: LearnedLayer, which: int) -> Tensor | None:
        """What the network reads of a matrix, padded."""
        matrix = layer.call.recurrent_weight if which else layer.call.weight
        if matrix is None:
            return None
        learns = any(t.source == which and self.net.layers[t.layer] is layer for t in self.targets)
        stored = self._read_as_stored(layer, which)
        if learns and self.fused_reason is None and stored is not None:
            return self.p.padded(stored, write_back=True)
        return self.p.padded(matrix)

    @staticmethod
    def _read_as_stored(layer: LearnedLayer, which: int) -> Parameter | None:
        """The stored weights where the network reads them as they are, without signs or masks."""
        own = layer.layer
        if which == INPUT:
            read = own._forward_sign is None and own.forward_mask is None
            return own._forward_weights if read else None
        masked = own.rec_mask is not None and not bool((own.rec_mask == 1).all())
        return own._recurrent_weights if own._recurrent_sign is None and not masked else None

    def _make_twins(self) -> list[Tensor | None]:
        """Adaptive feedback per output, in rows as its weights have; None without."""
        if self.rule.feedback != "adaptive" or not self.net.hidden:
            return [None] * len(self.net.outputs)
        outputs = range(len(self.net.outputs))
        return [self.p.padded(adaptive_rows(self.net, self.signals, k)) for k in outputs]

    # ---- the program ---------------------------------------------------------------------------------------------

    def _derivatives(self, k: int) -> list[int]:
        """Which local derivatives the traces of layer k read."""
        own = [t for t in self.targets if t.layer == k]
        memory = self.published and any(not self._posts_error(t) for t in own)
        constants = any(t.source == CONSTANT for t in own)
        return [int(not self.published and len(own) > 0), int(memory), int(constants)]

    def _posts_error(self, target: Target) -> bool:
        """Readouts that only filter their input need no eligibility vectors: filtered input times error."""
        layer = self.net.layers[target.layer]
        is_readout = target.layer >= self.n_hidden and layer.model.name in LINEAR_READOUTS
        return self.published and is_readout and target.source == INPUT

    def _signals(self) -> None:
        for signal in self.signals:
            self.p.ints.append(self.index[id(signal.layer)])
            for k, matrix in enumerate(signal.feedback):
                twin = self.twins[k] if signal.transposed else None
                if matrix is None:
                    self.p.ints += [NONE, 0, -1]
                elif signal.transposed:
                    rows = self.weights[self.n_hidden + k] if twin is None else twin
                    self.p.ints += [ROWS, signal.layer.offset, self.p.add(rows)]
                elif matrix.shape[1] == 1 and signal.layer.neurons != 1:
                    self.p.ints += [SCALAR, 0, self.p.add(matrix.contiguous())]
                else:
                    self.p.ints += [DENSE, 0, self.p.add(self.p.padded(matrix))]

    @property
    def _clips_traces(self) -> bool:
        return bool(self.rule.eligibility_traces_norm_clip_value < math.inf)

    def _poles(self, target: Target) -> tuple[list[float], list[float]]:
        """Filters of the traces, and of the presynaptic side."""
        layer = self.net.layers[target.layer]
        is_output = target.layer >= self.n_hidden
        before: list[float] = []
        if not self.published:
            pole = self.rule.alpha if is_output else self.rule.gamma
            after = [pole] if pole > 0.0 else []
        elif is_output:
            after = []
            before = [pole for pole in layer.poles() if pole != 0.0] if self._posts_error(target) else []
        else:
            every = [[pole for pole in output.poles() if pole != 0.0] for output in self.net.outputs]
            if any(poles != every[0] for poles in every):
                raise ValueError(
                    f"eligibility: one trace cannot have the filters of several readouts, got decays {every}; "
                    'use update="sequence"'
                )
            after = every[0]
        if self._clips_traces and not after:
            after = [0.0]
        return after, before

    def _trace(self, target: Target) -> None:
        p, rule = self.p, self.rule
        layer = self.net.layers[target.layer]
        is_output = target.layer >= self.n_hidden
        posts = self._posts_error(target)
        memory = self.published and not posts
        rows = 1
        if target.source == INPUT:
            rows = layer.call.weight.shape[0]  # type: ignore[union-attr]
        elif target.source == RECURRENT:
            rows = layer.neurons
        width = padded_width(layer.neurons, p.like)
        by_sample = memory or (not is_output and rule.batch_reduction == "per_sample" and self.batch > 1)
        sets = self.batch if by_sample else 1
        p.ints += [target.layer, target.source, target.constant, int(memory), int(posts), int(by_sample)]
        p.ints += [p.zeros(sets, layer.model.operator_states, rows, width) if memory else -1]
        after, before = self._poles(target)
        shapes: list[tuple[list[float], list[int]]] = [(after, [sets, rows, width]), (before, [self.batch, rows])]
        for poles, shape in shapes:
            p.ints += [len(poles), *(p.zeros(*shape) for _ in poles)] + [-1] * (2 - len(poles))
            p.numbers += poles + [0.0] * (2 - len(poles))
        own = (ONES, ONES) if posts else (target.signal, target.sign_signal)
        p.ints += [*own, int(is_output)]
        self._parameters(target, layer, sets, (rows, width))

    def _parameters(self, target: Target, layer: LearnedLayer, sets: int, shape: tuple[int, int]) -> None:
        """The end of a trace: gradient, stored weights and optimiser states."""
        p, own, rule = self.p, layer.layer, self.rule
        mask = {INPUT: own.forward_mask, RECURRENT: own.rec_mask}.get(target.source)
        if mask is not None and (bool((mask == 1).all()) or (self.optimizer is None and not self._clips_traces)):
            mask = None  # without the driver's updates autograd applies it
        mask_index = p.add(None if mask is None else p.padded(mask))
        if self.optimizer is None:
            self.grads.append(p.like.new_zeros(shape))
            p.ints += [p.add(self.grads[-1]), -1, -1, -1, mask_index] + [-1] * 6 + [0, 0]
            p.numbers += [0.0, 0.0, 1.0]
            return
        looks = rule.raise_non_finite_errors or rule.grad_norm_clip_value < math.inf
        sign = {INPUT: own._forward_sign, RECURRENT: own._recurrent_sign}.get(target.source)
        weight = next(param for param in target.params if param is not sign)
        keeps = rule.update > 1 or (sets > 1 and looks)
        p.ints += [p.zeros(*shape) if keeps else -1, p.zeros(shape[0]) if keeps and sign is not None else -1]
        places: list[Sequence[Tensor | None]] = [self.weights, self.recurrent, self.constants]
        read = places[target.source][target.layer]
        assert read is not None
        is_read = target.source != CONSTANT and self._read_as_stored(layer, target.source) is weight
        stored = read if is_read else p.padded(weight, write_back=True, width=shape[1])
        p.ints += [p.add(stored), p.add(read), mask_index, p.add(None if sign is None else sign.detach())]
        moments = self.optimizer.moments(weight)
        p.ints += [p.add(None if m is None else p.padded(m, write_back=True, width=shape[1])) for m in moments]
        p.ints += [p.add(m) for m in (self.optimizer.moments(sign) if sign is not None else (None, None))]
        twin = self.twins[target.layer - self.n_hidden] if target.layer >= self.n_hidden else None
        p.ints += [p.add(twin if target.source == INPUT else None)]
        p.ints += [int(target.source == CONSTANT and weight.numel() == 1 and layer.neurons > 1)]
        mapped = map_of(layer, weight) if target.source == CONSTANT else None
        kind, scale = (0, 1.0) if mapped is None else mapped
        p.ints += [kind]
        p.numbers += [self.optimizer.steps(weight), 0.0 if sign is None else self.optimizer.steps(sign), scale]
