"""Leaky integrate-and-fire with a synaptic current and an adaptive threshold."""

from eager.sequence import Oracle


def step(current, state, constants, spike):
    v, i, a, z = state
    alpha, beta, threshold, gamma, kappa, rho = constants
    i = alpha * i + current
    v = (beta * v + i) * (1 - z.detach())
    a = rho * a + z
    return v, i, a, spike(v, threshold + kappa * a, gamma)


SPY_ALIF = Oracle(
    states=("v", "i", "a", "z"),
    constants=("alpha", "beta", "threshold", "gamma", "kappa", "rho"),
    step=step,
    spikes=3,
    output=3,
)
