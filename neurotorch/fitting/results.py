"""Numbers and files that a finished fit leaves."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neurotorch import metrics
from neurotorch.modules.layers.base import BaseNeuronsLayer
from neurotorch.modules.sequential_rnn import SequentialRNN

Array = npt.NDArray[Any]


def pvar_metrics(prediction: Array, target: Array, train_frames: int) -> dict[str, Any]:
    """Explained variance of a free run in all its forms, flat.

    The forms of the first `train_frames` frames as :func:`neurotorch.metrics.pvar_report` names them, and those of the
    held-out rest with ``holdout_`` before them, None without one.
    """
    found = metrics.pvar_report(prediction[:train_frames], target[:train_frames])
    held_out = len(target) > train_frames
    rest = metrics.pvar_report(prediction[train_frames:], target[train_frames:]) if held_out else {}
    # The mean of each neuron over the frames that were seen: what one could forecast without a model.
    if held_out:
        seen = np.broadcast_to(target[:train_frames].mean(axis=0), target[train_frames:].shape)
        baseline = metrics.pvar_report(seen, target[train_frames:])["pvar_global"]
        rest["pvar_constant_mean"] = baseline
        rest["skill"] = 1.0 - (1.0 - rest["pvar_global"]) / (1.0 - baseline)
    return {**found, **{f"holdout_{name}": rest.get(name) for name in found}}


def effective_weights(network: SequentialRNN) -> Array:
    """Weights ``[N, N]`` of the hidden layer as the neurons see them."""
    weights = network["hidden"].forward_weights
    assert isinstance(weights, torch.Tensor)
    return weights.detach().numpy()


def balance_metrics(network: SequentialRNN) -> dict[str, Any]:
    """Excitation and inhibition in the hidden layer's weights, flat."""
    hidden = network["hidden"]
    assert isinstance(hidden, BaseNeuronsLayer)
    weights = effective_weights(network).astype(np.float64)
    excitation, inhibition = weights[weights > 0], weights[weights < 0]
    both = np.abs(weights).sum()
    signs = np.sign(weights)
    mixed = int(((signs > 0).any(axis=1) & (signs < 0).any(axis=1)).sum())
    sums = weights.sum(axis=1)
    return {
        "ei_excitatory_fraction": float((sums > 0).mean()),
        "ei_inhibitory_fraction": float((sums < 0).mean()),
        "ei_excitatory_weight_share": float(excitation.sum() / both) if both > 0 else 0.0,
        "ei_mean_excitatory_weight": float(excitation.mean()) if excitation.size else 0.0,
        "ei_mean_inhibitory_weight": float(inhibition.mean()) if inhibition.size else 0.0,
        "ei_neurons_of_both_signs": mixed,
    }
