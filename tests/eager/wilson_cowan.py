"""Rate neurons of Wilson & Cowan (1972), and of CURBD (Perich et al. 2020), by Euler steps."""

from eager.sequence import Oracle


def step(current, state, constants, f):
    (h,) = state
    q, r, mu = constants
    return (h + q * (-h + (1 - r * h) * f(current - mu)),)


def curbd_step(current, state, constants, f):
    """The output, which is no state, is made of the activity before the step."""
    (h,) = state
    (q,) = constants
    return h + q * (-h + current), f(h)


WILSON_COWAN = Oracle(
    states=("h",), constants=("q", "r", "mu"), step=step, presynaptic=lambda state, f: state[0], activates_inside=True
)
WILSON_COWAN_CURBD = Oracle(
    states=("h",),
    constants=("q",),
    step=curbd_step,
    output=1,
    presynaptic=lambda state, f: f(state[0]),
    activates_inside=True,
)
