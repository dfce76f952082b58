"""Leaky integrate-and-fire with a synaptic current, which the reset leaves alone."""

from eager.sequence import Oracle


def step(current, state, constants, spike):
    v, i, z = state
    alpha, beta, threshold, gamma = constants
    i = alpha * i + current
    v = (beta * v + i) * (1 - z.detach())
    return v, i, spike(v, threshold, gamma)


SPY_LIF = Oracle(
    states=("v", "i", "z"), constants=("alpha", "beta", "threshold", "gamma"), step=step, spikes=2, output=2
)
