"""The oracle: every model in plain PyTorch, one step at a time, written from the equations of the paper.

Gince et al. (2024), doi:10.1101/2024.12.29.630683. Nothing here imports the package under test. Currents are
``x @ weight``, weights ``(in, out)``, tensors ``[B, T, N]``, states tuples of ``[B, N]``.
"""

from eager import (
    alif,
    bellec_lif,
    izhikevich,
    li,
    lif,
    linear,
    linear_rnn,
    spy_alif,
    spy_li,
    spy_lif,
    wilson_cowan,
)
from eager.low_pass import low_pass
from eager.sequence import Oracle, run_sequence

ORACLES: dict[str, Oracle] = {
    "lif": lif.LIF,
    "spy_lif": spy_lif.SPY_LIF,
    "lif_lpf": low_pass(lif.LIF),
    "spy_lif_lpf": low_pass(spy_lif.SPY_LIF),
    "li": li.LI,
    "spy_li": spy_li.SPY_LI,
    "linear": linear.LINEAR,
    "alif": alif.ALIF,
    "spy_alif": spy_alif.SPY_ALIF,
    "alif_lpf": low_pass(alif.ALIF),
    "spy_alif_lpf": low_pass(spy_alif.SPY_ALIF),
    "bellec_lif": bellec_lif.BELLEC_LIF,
    "izhikevich": izhikevich.IZHIKEVICH,
    "wilson_cowan": wilson_cowan.WILSON_COWAN,
    "linear_rnn": linear_rnn.LINEAR_RNN,
    "wilson_cowan_curbd": wilson_cowan.WILSON_COWAN_CURBD,
}

__all__ = ["ORACLES", "Oracle", "run_sequence"]
