"""Leaky integrator with bias."""

from eager.sequence import Oracle


def step(current, state, constants, spike):
    (v,) = state
    kappa, bias = constants
    return (kappa * v + current + bias,)


LI = Oracle(states=("v",), constants=("kappa", "bias"), step=step)
