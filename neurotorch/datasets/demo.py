"""A small recording whose network is known: a recurrent rate network under Dale's law."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class DemoNetwork(NamedTuple):
    """Simulated activity and the network that made it.

    ``activity`` [T, N] holds rates between 0 and 1, ``weights`` [N, N] (presynaptic, postsynaptic) have one sign per
    row, and ``inhibitory`` [N] says which.
    """

    activity: Array
    weights: Array
    inhibitory: Array


def simulate_demo(n_neurons: int = 120, n_steps: int = 400, *, seed: int = 1) -> DemoNetwork:
    """Simulate a recurrent network of excitatory and inhibitory rate neurons in its irregular regime.

    ``x_{t+1} = x_t + q (-x_t + 2 (r_t - 1/2) W)``, ``r_t = 1 / (1 + exp(-4 x_t))``: a fifth of the neurons inhibit,
    30 % of the connections exist, and excitation and inhibition of every neuron balance, so that strong weights keep
    the activity fluctuating (Sompolinsky, Crisanti & Sommers 1988, doi:10.1103/PhysRevLett.61.259). With the default
    arguments 8 principal components hold 95 % of the variance, and the mean of each neuron explains 35 % of it.

    Parameters
    ----------
    n_neurons, n_steps : int
        Size of the recording.
    seed : int
        Of connections and initial state.

    Returns
    -------
    DemoNetwork
    """
    gain, rate, warm_up = 2.0, 0.045, 300
    generator = np.random.default_rng(seed)
    inhibitory = generator.permutation(n_neurons) < n_neurons // 5
    sizes = np.abs(generator.normal(size=(n_neurons, n_neurons))) * (generator.random((n_neurons, n_neurons)) < 0.3)
    np.fill_diagonal(sizes, 0.0)
    # A neuron of a small network may lack inhibition; its zeros stay zeros.
    inhibition = np.maximum(sizes[inhibitory].sum(axis=0), 1e-12)
    sizes[inhibitory] *= sizes[~inhibitory].sum(axis=0) / inhibition
    sizes *= gain / np.sqrt(np.square(sizes).sum(axis=0).mean())
    weights = np.where(inhibitory[:, None], -sizes, sizes)
    x = generator.normal(size=n_neurons)
    activity = np.empty((n_steps, n_neurons))
    for t in range(-warm_up, n_steps):
        rates = 1.0 / (1.0 + np.exp(-4.0 * x))
        if t >= 0:
            activity[t] = rates
        # Summed in a fixed order, so that every machine simulates the same activity.
        x = x + rate * (2.0 * ((rates - 0.5)[:, None] * weights).sum(axis=0) - x)
    return DemoNetwork(activity, weights, inhibitory)
