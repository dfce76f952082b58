"""Feedback weights of e-prop: what carries the errors of the outputs to the hidden layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import Parameter

from neurotorch.learning_algorithms._eprop_network import LearnedLayer, LearnedNetwork

STRATEGIES = ("randn", "xavier_normal", "kaiming_normal", "rand", "ones", "unitary", "orthogonal")
CLIPPED = ("randn", "rand", "ones")


def _square_like(shape: tuple[int, int], draw: Callable[[tuple[int, int]], Tensor]) -> Tensor:
    rows, columns = shape
    tall = draw((max(rows, columns), min(rows, columns)))
    q: Tensor
    q, r = torch.linalg.qr(tall)
    q *= torch.sign(torch.diagonal(r))
    return q if rows >= columns else q.T


def draw_feedback(strategy: str, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
    """One feedback matrix ``[n_out, n]`` in float32.

    Raises
    ------
    NotImplementedError
        There is no such strategy.
    """
    n_out, n = shape

    def normal(size: tuple[int, int]) -> Tensor:
        return torch.randn(size, generator=generator)

    name = strategy.lower()
    if name == "randn":
        return normal(shape)
    if name == "rand":
        return torch.rand(shape, generator=generator)
    if name == "ones":
        return torch.ones(shape)
    if name == "xavier_normal":
        return normal(shape) * math.sqrt(2.0 / (n_out + n))
    if name == "kaiming_normal":
        return normal(shape) * math.sqrt(2.0 / n)
    if name == "orthogonal":
        return _square_like(shape, normal)
    if name == "unitary":
        u, _, v = torch.linalg.svd(normal(shape), full_matrices=False)
        product: Tensor = u @ v
        return product
    raise NotImplementedError(f"feedbacks_gen_strategy: expected one of {', '.join(STRATEGIES)}, got {strategy!r}")


def generator_of(strategy: str) -> Callable[..., Tensor]:
    """:func:`draw_feedback` of a strategy as a function of n_out, n and the keyword `generator`."""

    def draw(n_out: int, n: int, *, generator: torch.Generator) -> Tensor:
        return draw_feedback(strategy, (n_out, n), generator)

    return draw


class Signal(NamedTuple):
    """A learning signal of one layer: who learns from it, and its feedback per output layer.

    A matrix of a random feedback is ``[n_out, N]`` or ``[n_out, 1]``; ``transposed`` ones are rows of the readout's
    weights ``[N, n_out]``. None stands for no feedback from that output.
    """

    layer: LearnedLayer
    params: list[Parameter]
    feedback: list[Tensor | None]
    transposed: bool

    def project(self, errors: Sequence[Tensor]) -> Tensor:
        """Learning signals ``[B, T, N]`` of errors ``[B, T, n_out]``."""
        total: Tensor | None = None
        for error, matrix in zip(errors, self.feedback):
            if matrix is None:
                continue
            part = error @ (matrix.T if self.transposed else matrix)
            total = part if total is None else total + part
        assert total is not None
        return total.expand(*total.shape[:-1], self.layer.neurons)


def signals_of(
    net: LearnedNetwork, kind: str, shared: bool, matrices: dict[str, list[Tensor]], positions: dict[int, int]
) -> list[Signal]:
    """The learning signals of all hidden layers.

    Parameters
    ----------
    net : LearnedNetwork
    kind : {"random", "symmetric", "adaptive"}
        Layers that no output reads have no readout weights to follow: theirs is random.
    shared : bool
        One signal per neuron for all parameters of a layer, with the matrix of its forward weights; otherwise one per
        parameter.
    matrices : dict of list of Tensor
        Per output layer the random matrices, one per parameter of the hidden layers.
    positions : dict of int to int
        Place in these lists of a parameter, by its id.
    """
    made: list[Signal] = []
    for layer in net.hidden:
        if not layer.learned:
            continue
        if kind != "random" and layer in net.read:
            made.append(Signal(layer, layer.learned, _readout_rows(net, layer, kind, matrices, positions), True))
            continue
        groups: list[list[Parameter]] = [layer.learned] if shared else [[p] for p in layer.learned]
        for group in groups:
            key = layer.layer.get_forward_weights_parameter() if shared else group[0]
            feedback: list[Any] = [lists[positions[id(key)]] for lists in matrices.values()]
            made.append(Signal(layer, group, feedback, False))
    return made


def _readout_rows(
    net: LearnedNetwork, layer: LearnedLayer, kind: str, matrices: dict[str, list[Tensor]], positions: dict[int, int]
) -> list[Tensor | None]:
    rows: list[Tensor | None] = []
    for output, lists in zip(net.outputs, matrices.values()):
        if kind == "adaptive":
            rows.append(lists[positions[id(layer.layer.get_forward_weights_parameter())]].T)
        else:
            assert output.call.weight is not None
            rows.append(output.call.weight.detach()[layer.offset : layer.offset + layer.neurons])
    return rows


def adaptive_rows(net: LearnedNetwork, signals: Sequence[Signal], k: int) -> Tensor:
    """Adaptive feedback from output k, transposed: a row per neuron that the output reads, as its weights have."""
    weight = net.outputs[k].call.weight
    assert weight is not None
    rows = torch.zeros_like(weight)
    for signal in signals:
        own = signal.feedback[k]
        if signal.transposed and own is not None:
            rows[signal.layer.offset : signal.layer.offset + signal.layer.neurons] = own
    return rows


def keep_adaptive_rows(rows: Tensor, signals: Sequence[Signal], k: int) -> None:
    """Store rows of :func:`adaptive_rows` that have changed."""
    for signal in signals:
        own = signal.feedback[k]
        if signal.transposed and own is not None:
            first = signal.layer.offset
            own.copy_(rows[first : first + signal.layer.neurons, : own.shape[1]])
