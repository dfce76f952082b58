"""Leaky integrate-and-fire: the reset multiplies the whole new potential by ``1 - z_{t-1}`` and carries no gradient."""

from eager.sequence import Oracle


def step(current, state, constants, spike):
    v, z = state
    alpha, threshold, gamma = constants
    v = (alpha * v + current) * (1 - z.detach())
    return v, spike(v, threshold, gamma)


LIF = Oracle(states=("v", "z"), constants=("alpha", "threshold", "gamma"), step=step, spikes=1, output=1)
