"""A spiking model whose output is its low-pass filtered spike train, a state that stands before the spikes."""

from eager.sequence import Oracle


def low_pass(model: Oracle) -> Oracle:
    def step(current, state, constants, spike):
        *inner, phi, z = state
        *inner_constants, lpf_alpha = constants
        *inner, z = model.step(current, (*inner, z), inner_constants, spike)
        return *inner, lpf_alpha * phi + z, z

    return Oracle(
        states=(*model.states[:-1], "phi", "z"),
        constants=(*model.constants, "lpf_alpha"),
        step=step,
        spikes=model.spikes + 1,
        output=model.spikes,
    )
