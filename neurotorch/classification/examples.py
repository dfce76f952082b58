"""Single samples on their way through a network, to look at."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from neurotorch.modules.layers.base import BaseNeuronsLayer
from neurotorch.modules.sequential_rnn import SequentialRNN

Array = npt.NDArray[Any]


class Example(NamedTuple):
    """A sample of the test, what the network made of it, and what it should have.

    ``given`` is the image ``[28, 28]`` or the binned events ``[T, F]``, ``hidden`` ``[T, N]`` the spikes of the hidden
    layer and ``outputs`` ``[T, C]`` the voltages of the readout.
    """

    given: Array
    hidden: Array
    outputs: Array
    true: int
    predicted: int


def chosen_samples(y_true: Array, y_pred: Array, n: int = 4) -> list[int]:
    """Samples of `n` different classes where there are as many: the first right ones, and last a wrong one."""
    wrong = np.flatnonzero(y_true != y_pred)
    last = [int(k) for k in wrong[:1]]
    classes = [c for c in np.unique(y_true).tolist() if not last or c != y_true[last[0]]]
    right = [np.flatnonzero((y_true == c) & (y_pred == c)) for c in classes]
    first = [int(found[0]) for found in right if len(found)]
    # Spread over the classes.
    places = np.linspace(0, len(first) - 1, n - len(last)).round().astype(int).tolist() if first else []
    return [first[k] for k in sorted(set(places))] + last


@torch.no_grad()
def states_of(network: SequentialRNN, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Spikes of the hidden layer ``[B, T, N]`` and voltages of the readout ``[B, T, C]`` for a batch, maybe sparse."""
    before, network.hh_memory_size, training = network.hh_memory_size, math.inf, network.training
    network.eval()
    try:
        _, states = network(x)
    finally:
        network.hh_memory_size = before
        network.train(training)
    found = []
    for layer, name in (("hidden", "Z"), ("readout", "V")):
        neurons = network[layer]
        assert isinstance(neurons, BaseNeuronsLayer)
        state = states[layer][neurons.state_names.index(name)]
        assert isinstance(state, torch.Tensor)
        found.append(state)
    return found[0], found[1]


def look_at(network: SequentialRNN, dataset: Any, indices: list[int], y_pred: Array) -> list[Example]:
    """What happens in the network while it sees these samples."""
    x, y = dataset.batch(indices)
    spikes, outputs = states_of(network, x)
    given = x.to_dense() if x.layout != torch.strided else x
    return [
        Example(given[k].numpy(), spikes[k].numpy(), outputs[k].numpy(), int(y[k]), int(y_pred[index]))
        for k, index in enumerate(indices)
    ]
