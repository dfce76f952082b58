"""One workload per neuron model: its layer with default constants beside a plain loop over the model's oracle."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import torch
from torch import Tensor
from workloads import WORKLOADS, Workload

import neurotorch.modules.layers as layers
from neurotorch.functional import run_sequence

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from eager import ORACLES
from eager.sequence import run_sequence as run_oracle

# Class of the layer, and the size of its currents beside those of a LIF neuron.
LAYERS = {
    "lif": (layers.LIFLayer, 1.0),
    "lif_lpf": (layers.LIFLayerLPF, 1.0),
    "bellec_lif": (layers.BellecLIFLayer, 1.0),
    "alif": (layers.ALIFLayer, 1.0),
    "alif_lpf": (layers.ALIFLayerLPF, 1.0),
    "spy_lif": (layers.SpyLIFLayer, 0.2),
    "spy_lif_lpf": (layers.SpyLIFLayerLPF, 0.2),
    "spy_alif": (layers.SpyALIFLayer, 0.2),
    "spy_alif_lpf": (layers.SpyALIFLayerLPF, 0.2),
    "izhikevich": (layers.IzhikevichLayer, 1500.0),
    "li": (layers.LILayer, 1.0),
    "spy_li": (layers.SpyLILayer, 0.2),
    "linear_rnn": (layers.LinearRNN, 0.1),
    "wilson_cowan": (layers.WilsonCowanLayer, 1.0),
    "wilson_cowan_curbd": (layers.WilsonCowanCURBDLayer, 1.0),
}


def layer_of(
    model: str,
    neurons: int = 256,
    batch: int = 16,
    steps: int = 100,
    inputs: int = 256,
    rate: float = 0.05,
    dtype: torch.dtype = torch.float32,
) -> Workload:
    """A recurrent layer (readouts have no recurrence) on sparse spikes; gradients of both matrices."""
    generator = torch.Generator().manual_seed(0)
    kind, size = LAYERS[model]
    readout = kind in (layers.LILayer, layers.SpyLILayer)
    options = {"hh_init": "zeros", "tau": 0.01} if issubclass(kind, layers.WilsonCowanLayer) else {}
    layer = kind(inputs, neurons, **options, **({} if readout else {"use_recurrent_connection": True})).build()
    x = (torch.rand(batch, steps, inputs, generator=generator) < rate).to(dtype)
    drawn = 0.8 / math.sqrt(inputs) * torch.randn(inputs, neurons, generator=generator) + 0.1 / (inputs * rate)
    weight = (size * drawn).to(dtype).requires_grad_()
    parameters, rec = [weight], None
    if not readout:
        drawn = 0.2 / math.sqrt(neurons) * torch.randn(neurons, neurons, generator=generator)
        rec = (size * drawn).to(dtype).requires_grad_()
        parameters.append(rec)
    call = layer.fused_call()
    assert call is not None
    # As the layer has them, in its float32 whatever the dtype of the run.
    constants = [torch.as_tensor(c, dtype=torch.float32).detach().to(dtype) for c in call.constants]
    call = call._replace(weight=weight, recurrent_weight=rec, constants=tuple(constants))
    oracle = ORACLES[model]
    state = [torch.zeros(batch, neurons, dtype=dtype) for _ in oracle.states]
    if model == "izhikevich":
        state[0] += float(layer.v_rest)

    def ours(trace: bool = False) -> tuple[Tensor, tuple[Tensor, ...]]:
        return run_sequence(call, x, state, trace=trace)

    def loop() -> Tensor:
        return run_oracle(oracle, x @ weight, None, rec, state, constants, call.surrogate, call.activation)[0]

    def spikes() -> Tensor:
        # Models without spikes count as firing at a rate that the benchmarks take for one.
        return torch.full((), rate) if oracle.spikes is None else ours(trace=True)[1][oracle.spikes]

    return Workload(
        f"{model} N={neurons} B={batch} T={steps}",
        {"ours": lambda: ours()[0], "loop": loop},
        parameters,
        torch.randn(batch, steps, neurons, generator=generator).to(dtype),
        spikes,
    )


WORKLOADS["layer_of"] = layer_of
