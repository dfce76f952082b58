"""Leaky integrate-and-fire whose reset subtracts the threshold."""

from eager.sequence import Oracle


def step(current, state, constants, spike):
    v, z = state
    alpha, threshold, gamma = constants
    v = alpha * v + current - z.detach() * threshold
    return v, spike(v, threshold, gamma)


BELLEC_LIF = Oracle(states=("v", "z"), constants=("alpha", "threshold", "gamma"), step=step, spikes=1, output=1)
