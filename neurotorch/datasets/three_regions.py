"""Three connected regions of rate neurons, whose currents are known: a test of current-based decomposition."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

DT, TAU = 0.01, 0.1  # seconds


class ThreeRegions(NamedTuple):
    """Simulated rates of three regions, and the network that made them.

    ``activity`` [T, 3 n] holds the rates between -1 and 1, of each region divided by its maximum; ``weights``
    [3 n, 3 n] (presynaptic, postsynaptic) are the connections within and between the regions; ``regions`` are the
    columns of each.
    """

    activity: Array
    weights: Array
    regions: dict[str, slice]


def _bumps(n: int, centres: Array) -> Array:
    """Gaussian bumps of width ``0.2 n`` over n neurons, ``[len(centres), n]``, as logits scaled to [0, 1]."""
    bumps = np.exp(-0.5 * np.square((np.arange(n) - centres[:, None]) / (0.2 * n)))
    logits = np.log((bumps + 0.01) / (1.0 - bumps + 0.01))
    return np.asarray((logits - logits.min()) / (logits.max() - logits.min()))


def simulate_three_regions(
    n: int = 100, duration: float = 14.0, lead_in: float = 2.0, *, seed: int = 0
) -> ThreeRegions:
    """Simulate the three regions of the publication on current-based decomposition.

    Region A is chaotic (gain 1.8, B and C 1.5). Half of the neurons of B get a bump that sweeps over them and stops
    after 40 % of the time; half of those of C one that stands still and jumps at 60 %, with the opposite sign. A neuron
    gets currents from neurons of the other regions with probability 5 %, of strength 0.02. Steps of 10 ms, time
    constant 100 ms, rates ``tanh(h)``.

    Parameters
    ----------
    n : int
        Neurons of a region.
    duration, lead_in : float
        Seconds; the inputs of the lead-in are those of its end.
    seed : int
        Of connections and initial state.

    Returns
    -------
    ThreeRegions

    References
    ----------
    Perich et al. (2020), doi:10.1101/2020.12.18.423348.
    """
    generator = np.random.default_rng(seed)
    first, main = round(lead_in / DT), round(duration / DT) + 1
    names = ("A", "B", "C")
    regions = {name: slice(k * n, (k + 1) * n) for k, name in enumerate(names)}
    weights = np.zeros((3 * n, 3 * n))
    for name, gain in zip(names, (1.8, 1.5, 1.5), strict=True):
        weights[regions[name], regions[name]] = gain / np.sqrt(n) * generator.normal(size=(n, n))
        for other in names:
            if other == name:
                continue
            chosen = generator.permutation(n)[: max(1, n // 20)]
            weights[regions[other].start + chosen, regions[name].start + chosen] = 0.02

    time = np.arange(main) / (main - 1)
    sweep = _bumps(n, n * np.minimum(time, 0.4) / 0.5)
    still = _bumps(n, n * np.where(time < 0.6, 0.01, 0.25))
    inputs = np.zeros((main, 3 * n))
    driven = slice(0, n // 2)
    inputs[:, regions["B"]][:, driven] = sweep[:, driven]
    inputs[:, regions["C"]][:, driven] = -still[:, driven]

    h = generator.uniform(-1.0, 1.0, size=3 * n)
    activity = np.empty((first + main, 3 * n))
    for t in range(first + main):
        rates = np.tanh(h)
        activity[t] = rates
        current = rates @ weights + inputs[max(0, t - first)]
        h = h + DT / TAU * (current - h)
    for columns in regions.values():
        activity[:, columns] /= np.abs(activity[:, columns]).max()
    return ThreeRegions(activity, weights, regions)
