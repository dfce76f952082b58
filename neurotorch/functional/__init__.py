"""Stateless functions over the fused operators, usable from any torch code.

Every function runs a whole sequence ``[B, T, F]`` in one native operator, forward and backward, and returns the output
``[B, T, N]`` with the state after the last step, which continues the sequence when passed on.
"""

from neurotorch.functional._memory import release_memory
from neurotorch.functional._models import ACTIVATIONS, MODELS, SURROGATES, LayerCall, NeuronModel
from neurotorch.functional._network import run_network
from neurotorch.functional._sequence import run_sequence
from neurotorch.functional.alif import ALIFLPFState, ALIFState, alif, alif_lpf
from neurotorch.functional.bellec_lif import BellecLIFState, bellec_lif
from neurotorch.functional.firing_rate import firing_rate
from neurotorch.functional.izhikevich import IzhikevichState, izhikevich
from neurotorch.functional.li import LIState, SpyLIState, li, linear, spy_li
from neurotorch.functional.lif import LIFLPFState, LIFState, lif, lif_lpf
from neurotorch.functional.linear_rnn import LinearRNNState, linear_rnn
from neurotorch.functional.rls import RlsRule, rls_update_
from neurotorch.functional.spy_alif import SpyALIFLPFState, SpyALIFState, spy_alif, spy_alif_lpf
from neurotorch.functional.spy_lif import SpyLIFLPFState, SpyLIFState, spy_lif, spy_lif_lpf
from neurotorch.functional.wilson_cowan import RateState, wilson_cowan, wilson_cowan_curbd

__all__ = [
    "ACTIVATIONS",
    "MODELS",
    "SURROGATES",
    "ALIFLPFState",
    "ALIFState",
    "BellecLIFState",
    "IzhikevichState",
    "LIFLPFState",
    "LIFState",
    "LIState",
    "LayerCall",
    "LinearRNNState",
    "NeuronModel",
    "RateState",
    "RlsRule",
    "SpyALIFLPFState",
    "SpyALIFState",
    "SpyLIFLPFState",
    "SpyLIFState",
    "SpyLIState",
    "alif",
    "alif_lpf",
    "bellec_lif",
    "firing_rate",
    "izhikevich",
    "li",
    "lif",
    "lif_lpf",
    "linear",
    "linear_rnn",
    "release_memory",
    "rls_update_",
    "run_network",
    "run_sequence",
    "spy_alif",
    "spy_alif_lpf",
    "spy_li",
    "spy_lif",
    "spy_lif_lpf",
    "wilson_cowan",
    "wilson_cowan_curbd",
]
