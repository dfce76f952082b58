"""Leaky integrator of a synaptic current, with bias on the potential."""

from eager.sequence import Oracle


def step(current, state, constants, spike):
    v, i = state
    alpha, beta, bias = constants
    i = alpha * i + current
    return beta * v + i + bias, i


SPY_LI = Oracle(states=("v", "i"), constants=("alpha", "beta", "bias"), step=step)
