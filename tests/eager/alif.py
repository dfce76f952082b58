"""Leaky integrate-and-fire whose threshold rises one step after each spike and decays again."""

from eager.sequence import Oracle


def step(current, state, constants, spike):
    v, a, z = state
    alpha, threshold, gamma, beta, rho = constants
    v = (alpha * v + current) * (1 - z.detach())
    a = rho * a + z
    return v, a, spike(v, threshold + beta * a, gamma)


ALIF = Oracle(
    states=("v", "a", "z"), constants=("alpha", "threshold", "gamma", "beta", "rho"), step=step, spikes=2, output=2
)
