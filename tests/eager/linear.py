"""Affine map: a model without state, whose step makes the output itself."""

from eager.sequence import Oracle


def step(current, state, constants, spike):
    (bias,) = constants
    return (current + bias,)


LINEAR = Oracle(states=(), constants=("bias",), step=step)
