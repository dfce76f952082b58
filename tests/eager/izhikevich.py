"""Izhikevich (2007), Dynamical Systems in Neuroscience, chapter 8, by Euler steps; a spike resets one step later."""

from eager.sequence import Oracle


def step(current, state, constants, spike):
    v, u, z = state
    C, v_rest, v_th, k, a, b, c, d, v_peak, gamma, dt = constants
    dv = (k * (v - v_rest) * (v - v_th) - u + current) / C
    du = a * (b * (v - v_rest) - u)
    reset = z.detach()
    v = (v + dt * dv) * (1 - reset) + c * reset
    u = u + dt * du + d * reset
    return v, u, spike(v, v_peak, gamma)


IZHIKEVICH = Oracle(
    states=("v", "u", "z"),
    constants=("C", "v_rest", "v_th", "k", "a", "b", "c", "d", "v_peak", "gamma", "dt"),
    step=step,
    spikes=2,
    output=2,
)
