"""The network that a fit trains, and its free run."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import neurotorch.modules.layers as layers
from neurotorch.fitting.settings import FitSettings
from neurotorch.modules.layers import Linear
from neurotorch.modules.sequential_rnn import SequentialRNN


def build_network(settings: FitSettings, units: int) -> SequentialRNN:
    """A hidden layer of as many neurons as units, and a sigmoid readout whose output is the next input.

    The network of the NeuroTorch paper (doi:10.1101/2024.12.29.630683): recurrence is the loop from the readout to the
    input. Weights and initial states follow ``settings.seed`` alone.
    """
    recipe = settings.recipe
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        hidden = getattr(layers, recipe.layer)(
            units,
            units,
            name="hidden",
            force_dale_law=settings.dale,
            hh_init_seed=settings.seed,
            device=torch.device("cpu"),
            **recipe.layer_kwargs,
        )
        readout = Linear(units, units, name="readout", use_bias=False, activation="sigmoid", device=torch.device("cpu"))
        network = SequentialRNN(
            [hidden, readout], foresight_time_steps=1, hh_memory_size=1, device=torch.device("cpu"), name="network"
        )
        return network.build()


def set_length(network: SequentialRNN, frames: int) -> None:
    """Let a call with the first frame return the ``frames - 1`` that follow."""
    network.foresight_time_steps = frames - 1
    network.out_memory_size = frames - 1


@torch.no_grad()
def free_run(network: SequentialRNN, first_frame: npt.NDArray[Any] | torch.Tensor, frames: int) -> npt.NDArray[Any]:
    """What the network makes of the first frame alone.

    Parameters
    ----------
    network : SequentialRNN
        From :func:`build_network`.
    first_frame : array [N]
    frames : int
        T.

    Returns
    -------
    array [T, N] of float32
        The first frame, then T - 1 frames of closed loop: no later frame of the recording enters.
    """
    first = torch.as_tensor(first_frame, dtype=torch.float32)
    before = network.foresight_time_steps, network.out_memory_size, network.training
    set_length(network, frames)
    network.eval()
    try:
        predicted = network.get_prediction_trace(first[None, None])
    finally:
        network.foresight_time_steps, network.out_memory_size, training = before
        network.train(training)
    return np.concatenate([first.numpy()[None], predicted[0].numpy()])
