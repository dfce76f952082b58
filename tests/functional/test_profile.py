"""One neurotorch operator per layer and sequence, forward and backward; one for a whole closed loop."""

from collections import Counter

import pytest
import torch
from cases import MODELS, READOUTS, fused, make_case, outcome
from networks import LayerSpec, NetworkCase, differentiate, make_network

import neurotorch.modules.layers as every
from neurotorch.modules import SequentialRNN
from neurotorch.modules.layers import LIFLayer, LILayer, SpyLIFLayerLPF
from neurotorch.modules.layers._fused import FusedLayer


def operators(run) -> Counter:
    """How often each neurotorch operator runs, torch's own products aside."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        run()
    names = [event.name for event in profile.events() if event.name.startswith("neurotorch::")]
    return Counter(name.removeprefix("neurotorch::") for name in names)


@pytest.mark.parametrize("recompute_every", [0, 3])
@pytest.mark.parametrize("trace", [False, True], ids=["final", "trace"])
@pytest.mark.parametrize("model", MODELS)
def test_one_operator_per_sequence(model, trace, recompute_every):
    case = make_case(model, steps=50, recurrent=model not in READOUTS, trace=trace)
    counts = operators(lambda: outcome(case, fused(trace, recompute_every)))
    assert counts == {f"{model}_forward": 1, f"{model}_backward": 1}


def test_one_operator_without_gradients():
    case = make_case("lif", recurrent=True)
    assert operators(case.run) == {"lif_forward": 1}


@pytest.mark.parametrize("trace", [False, True], ids=["final", "trace"])
def test_one_operator_per_closed_loop(trace):
    case = make_network(
        [LayerSpec("spy_lif_lpf", 20, recurrent=True), LayerSpec("li", 4)],
        [LayerSpec("lif", 9)],
        [LayerSpec("linear", 6, activation="sigmoid"), LayerSpec("spy_li", 5)],
        sizes=[6, 5],
        foresight=30,
        trace=trace,
    )
    counts = operators(lambda: differentiate(case, NetworkCase.run))
    assert counts == {"network_forward": 1, "network_backward": 1}


def layers():
    return [SpyLIFLayerLPF(6, 20), LIFLayer(20, 9, force_dale_law=True), LILayer(9, 6)]


def loss_of(model, x, **options):
    return sum(out.sum() for out in model(x, **options)[0].values())


EVERY_LAYER = [kind for kind in vars(every).values() if isinstance(kind, type) and issubclass(kind, FusedLayer)]


@pytest.mark.parametrize("options", [{}, {"force_dale_law": True, "regularize": True}], ids=["plain", "Dale"])
@pytest.mark.parametrize("kind", EVERY_LAYER)
def test_one_operator_per_layer_call(kind, options):
    layer = kind(6, 6, **options).build()
    x = torch.rand(4, 30, 6)
    counts = operators(lambda: layer(x)[0].sum().backward())
    assert counts == {f"{layer.model}_forward": 1, f"{layer.model}_backward": 1}


def test_every_layer_is_counted():
    assert len(EVERY_LAYER) == 18


def test_one_operator_per_layer_of_a_model():
    model, x = SequentialRNN(layers()).build(), torch.rand(4, 30, 6)
    counts = operators(lambda: loss_of(model, x).backward())
    models = [layer.model for layer in model.get_all_layers()]
    assert counts == {f"{name}_{kind}": 1 for name in models for kind in ("forward", "backward")}


def test_one_operator_per_forecast_of_a_model():
    model, x = SequentialRNN(layers(), foresight_time_steps=40).build(), torch.rand(4, 3, 6)
    counts = operators(lambda: loss_of(model, x).backward())
    assert counts == {"network_forward": 1, "network_backward": 1}
