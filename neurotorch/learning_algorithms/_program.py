"""What the native driver of networks that learn while they run reads (csrc/ops/online.cpp): network and steps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from neurotorch.functional import ACTIVATIONS, SURROGATES
from neurotorch.learning_algorithms._eprop_network import LearnedLayer, LearnedNetwork
from neurotorch.modules._engine import Result, Schedule, State

Optimizer = tuple[int, int, list[float]]  # rule, whether it maximises, its five numbers
NO_OPTIMIZER: Optimizer = (0, 0, [0.0] * 5)


def padded_width(n: int, like: Tensor) -> int:
    """Entries of a row of n with its padding, 64 bytes wide."""
    width = 64 // like.element_size()
    return (n + width - 1) // width * width


class Program:
    """The description of a run as the driver reads it, and the tensors that it works on."""

    def __init__(self, like: Tensor) -> None:
        self.like = like
        self.pool: list[Tensor] = [like.new_zeros(1)]
        self.ints: list[int] = []
        self.numbers: list[float] = []
        self.copies: list[tuple[Tensor, Tensor]] = []
        self.tensors: dict[str, Tensor] = {}

    def add(self, t: Tensor | None) -> int:
        """Place of a tensor in the pool, -1 for none."""
        if t is None:
            return -1
        self.pool.append(t)
        return len(self.pool) - 1

    def zeros(self, *shape: int) -> int:
        return self.add(self.like.new_zeros(shape))

    def padded(self, t: Tensor, write_back: bool = False, width: int = 0) -> Tensor:
        """Rows of a matrix (of a vector: one) padded to whole vectors: the tensor itself where they are already.

        `width` is the least that they may have.
        """
        flat = t.detach().reshape(1, -1) if t.dim() < 2 else t.detach()
        width = max(width, padded_width(flat.shape[1], self.like))
        if flat.shape[1] == width and flat.is_contiguous() and flat.data_ptr() == t.data_ptr() and write_back:
            return flat
        made = self.like.new_zeros(flat.shape[0], width)
        made[:, : flat.shape[1]] = flat
        if write_back:
            self.copies.append((t, made[:, : flat.shape[1]]))
        return made

    @torch.no_grad()
    def write_back(self) -> None:
        """Give padded copies of parameters and optimiser states back."""
        for t, made in self.copies:
            t.copy_(made.reshape(t.shape))

    def call(self, begin: int, end: int, forward: bool = True, learn: bool = True) -> int:
        """Run steps [begin, end)."""
        self.ints[6:10] = [begin, end, int(forward), int(learn)]
        return int(torch.ops.neurotorch.online_run(self.pool, self.ints, self.numbers))


class NetworkProgram:
    """The program of one training batch: a network and its run, without anything that learns.

    Parameters
    ----------
    net : LearnedNetwork
    batch : int
        Samples.
    schedule : Schedule
    """

    def __init__(self, net: LearnedNetwork, batch: int, schedule: Schedule) -> None:
        self.net, self.batch, self.schedule = net, batch, schedule
        like = net.layers[0].call.weight
        assert like is not None
        if like.device.type != "cpu":
            raise NotImplementedError(
                f'update: expected "sequence" on {like.device.type}; updates within a sequence need the CPU so far'
            )
        self.p = Program(like)
        self.n_hidden = len(net.hidden)
        self.weights: list[Tensor | None] = []
        self.recurrent: list[Tensor | None] = []
        self.outs = [like.new_zeros(batch, schedule.total, layer.neurons) for layer in net.outputs]
        self.slopes: list[Tensor | None] = [None] * len(net.outputs)
        self.history: list[list[Tensor]] = []
        self.constants: list[Tensor] = []

    def _constants(self, layer: LearnedLayer) -> Tensor:
        like = self.p.like
        rows = [c.detach().to(like.dtype).expand(layer.neurons) for c in layer.constants]
        return torch.stack(rows).contiguous()

    def _header(
        self,
        first_target: int,
        *,
        every: int = 1,
        mean_error: bool = False,
        watch: bool = False,
        signals: int = 0,
        traces: int = 0,
        solvers: int = 0,
        clips: tuple[float, float, float] = (math.inf, math.inf, math.inf),
        replaced: tuple[float, float, float] = (0.0, 0.0, 0.0),
        optimizers: Sequence[Optimizer] = (NO_OPTIMIZER, NO_OPTIMIZER),
    ) -> None:
        net, schedule = self.net, self.schedule
        self.p.ints += [len(net.layers), net.fed, len(net.outputs)]
        self.p.ints += [self.batch, schedule.given, schedule.total, 0, schedule.total, 1, 1]
        self.p.ints += [every, first_target, int(mean_error), int(watch)]
        self.p.ints += [signals, traces, solvers, schedule.keep_hidden]
        self.p.numbers += [schedule.teacher_weight, *clips, *replaced]
        for kind, maximize, numbers in optimizers:
            self.p.ints += [kind, maximize]
            self.p.numbers += numbers

    def _layers(self, x: list[Tensor], states: list[State], targets: Sequence[Tensor]) -> None:
        p, net, like = self.p, self.net, self.p.like
        fed_width = sum(layer.neurons for layer in net.hidden[: net.fed])
        stages = [like.new_zeros(self.batch, fed_width)] if net.hidden else []
        stages += [like.new_zeros(self.batch, layer.neurons) for layer in net.hidden[net.fed :]]
        for k, layer in enumerate(net.layers):
            assert layer.call.weight is not None
            output = k - self.n_hidden
            given = x[k].to(like.dtype).contiguous() if k < net.fed else None
            width = layer.call.weight.shape[0] // (1 if layer.call.input_activation is None else 2)
            full = layer.layer._init_forward_state(states[k], self.batch, inputs=None if given is None else given[:, 0])
            rings = [like.new_zeros(2, self.batch, layer.neurons) for _ in range(layer.model.operator_states)]
            for ring, start in zip(rings, full):
                ring[0] = start
            history = [like.new_zeros(self.batch, self.schedule.keep_hidden, layer.neurons) for _ in full]
            self.history.append(history)
            teacher = self.schedule.teacher[k] if k < net.fed and self.schedule.teacher_weight != 0.0 else None
            p.ints += [layer.model.number, SURROGATES[layer.call.surrogate], ACTIVATIONS[layer.call.activation]]
            expanded = layer.call.input_activation
            p.ints += [-1 if expanded is None else ACTIVATIONS[expanded], width, layer.neurons]
            p.ints += [p.add(self.weights[k]), p.add(self.recurrent[k]), p.add(self.constants[k])]
            p.ints += [p.add(ring) for ring in rings]
            p.ints += [p.add(one) for one in history] + [-1] * (len(rings) - len(history))
            p.ints += [p.add(given), p.add(None if teacher is None else teacher.contiguous())]
            p.ints += [self.schedule.feedback[k] if k < net.fed else -1]
            read = like.new_zeros(self.batch, width) if k < net.fed else stages[min(k, self.n_hidden) - net.fed]
            p.ints += [p.add(read), 0]
            if expanded is not None:
                p.ints += [p.zeros(self.batch, 2 * width), 0]
            if output >= 0:
                y = targets[output].to(like.dtype).contiguous()
                p.ints += [-1, 0, p.add(self.outs[output]), self.schedule.total - y.shape[1], p.add(y)]
                p.ints += [p.add(self.slopes[output])]
            else:
                stage = stages[0] if k < net.fed else stages[k - net.fed + 1]
                p.ints += [p.add(stage), layer.offset if k < net.fed else 0, -1, 0, -1, -1]
            p.ints += self._derivatives(k)

    def _derivatives(self, k: int) -> list[int]:
        """Which local derivatives of layer k are read: instantaneous ones, those of states, those of constants."""
        return [0, 0, 0]

    def result(self) -> Result:
        """Outputs and hidden states of the steps that the memory keeps."""
        keep = self.schedule.keep_outputs
        hidden: list[State] = [tuple(history) if history else None for history in self.history]
        return [out[:, -keep:] for out in self.outs], hidden
