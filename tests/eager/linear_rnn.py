"""Affine map with recurrence on the values before the activation."""

from eager.sequence import Oracle


def step(current, state, constants, spike):
    (bias,) = constants
    return (current + bias,)


LINEAR_RNN = Oracle(states=("v",), constants=("bias",), step=step, presynaptic=lambda state, f: state[0])
