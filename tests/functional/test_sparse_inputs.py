"""Sparse inputs give the numbers of dense ones in functions, layers and networks, and stay sparse where it pays."""

import math

import pytest
import torch

import neurotorch as nt
import neurotorch.functional as F
from neurotorch.functional import _events

BATCH, STEPS, INPUTS, NEURONS = 3, 40, 50, 7


def events(density, counts=False, dtype=torch.float32):
    x = (torch.rand(BATCH, STEPS, INPUTS) < density).to(dtype)
    return x * torch.randint(1, 4, x.shape) if counts else x


def weights(dtype=torch.float32):
    forward = torch.randn(INPUTS, NEURONS, dtype=dtype).mul_(2).requires_grad_()
    return forward, torch.randn(NEURONS, NEURONS, dtype=dtype).mul_(0.3).requires_grad_()


@pytest.fixture
def spy(monkeypatch):
    """Whether currents came from events, call by call."""
    seen = []

    def watched(x, weight, original=_events.event_currents):
        found = original(x, weight)
        seen.append(found is not None)
        return found

    monkeypatch.setattr("neurotorch.functional._sequence.event_currents", watched)
    return seen


def learned(run, x, parameters):
    out, state = run(x)
    torch.manual_seed(1)
    loss = (out * torch.randn_like(out)).sum() + sum((s * torch.randn_like(s)).sum() for s in state)
    return [out, *state, *torch.autograd.grad(loss, parameters)]


RUNS = {
    "lif": lambda w, r: lambda x: F.lif(x, w, r, alpha=0.9, gamma=5.0),
    "spy_lif": lambda w, r: lambda x: F.spy_lif(x, w, r, alpha=0.8, beta=0.9, gamma=5.0),
    "spy_li": lambda w, r: lambda x: F.spy_li(x, w, alpha=0.8, beta=0.9),
}


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize(("density", "sparse"), [(0.01, True), (0.1, False)])
def test_bits_of_spikes(name, density, sparse, dtype, spy):
    w, r = weights(dtype)
    parameters = [w] if name == "spy_li" else [w, r]
    x = events(density, dtype=dtype)
    assert x.any()
    run = RUNS[name](w, r)
    expected = learned(run, x, parameters)
    assert not spy
    found = learned(run, x.to_sparse(), parameters)
    assert spy == [sparse]
    for a, b in zip(expected, found, strict=True):
        assert torch.equal(a, b)
    with torch.no_grad():
        assert torch.equal(run(x.to_sparse())[0], expected[0])
    assert spy == [sparse, True]  # without learning always


def test_counts_and_entries_that_stand_twice(spy):
    w, r = weights()
    x = events(0.01, counts=True)
    run = RUNS["lif"](w, r)
    coo = x.to_sparse()
    doubled = torch.sparse_coo_tensor(
        torch.cat([coo.indices(), coo.indices()], dim=1),
        torch.cat([coo.values() - 0.5, coo.values() * 0 + 0.5]),
        x.shape,
        check_invariants=True,
    )
    for given in (coo, doubled):
        for a, b in zip(learned(run, x, [w, r]), learned(run, given, [w, r]), strict=True):
            torch.testing.assert_close(a, b)
    assert spy == [True, True]


def test_gradients_by_finite_differences(spy):
    x = events(0.01, counts=True, dtype=torch.float64).to_sparse()
    w = torch.randn(INPUTS, NEURONS, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w: F.spy_li(x, w, alpha=0.8, beta=0.9)[0], (w,), fast_mode=True)
    assert any(spy)


def test_no_events_at_all(spy):
    w, r = weights()
    out, _ = RUNS["lif"](w, r)(torch.zeros(BATCH, STEPS, INPUTS).to_sparse())
    assert spy == [True]
    assert not out.any()


def test_where_the_input_itself_is_needed(spy):
    """A gradient of the input, no weights, an activation of the input: dense."""
    w, _ = weights()
    x = events(0.01).to_sparse().requires_grad_()
    out, _ = F.spy_li(x, w, alpha=0.8, beta=0.9)
    out.sum().backward()
    assert x.grad is not None
    currents = events(0.01)[..., :NEURONS]
    a = F.spy_li(currents.to_sparse(), alpha=0.8, beta=0.9)[0]
    assert torch.equal(a, F.spy_li(currents, alpha=0.8, beta=0.9)[0])
    assert spy == [False, False]


def test_threads_make_no_difference(set_threads):
    w, r = weights()
    x = events(0.01).to_sparse()
    found = []
    for n in (1, 2):
        set_threads(n)
        found.append(learned(RUNS["lif"](w, r), x, [w, r]))
    for a, b in zip(*found, strict=True):
        assert torch.equal(a, b)


def test_wrong_sizes_are_still_named():
    w, r = weights()
    with pytest.raises((ValueError, RuntimeError), match="51"):
        RUNS["lif"](w, r)(torch.zeros(BATCH, STEPS, 51).to_sparse())
    with pytest.raises(TypeError, match="float64"):
        RUNS["lif"](w, r)(events(0.01, dtype=torch.float64).to_sparse())


LAYERS = {
    "lif": lambda: nt.LIFLayer(INPUTS, NEURONS),
    "dale": lambda: nt.SpyLIFLayer(INPUTS, NEURONS, force_dale_law=True),
    "hh_init from inputs": lambda: nt.WilsonCowanLayer(INPUTS, INPUTS, hh_init="inputs"),
    "with bias": lambda: nt.SpyLILayer(INPUTS, NEURONS, use_bias=True),
    "linear": lambda: nt.Linear(INPUTS, NEURONS),
    "curbd": lambda: nt.WilsonCowanCURBDLayer(INPUTS, NEURONS, hh_init="zeros"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    layer = LAYERS[name]().build()
    x = events(0.01)
    for keywords in ({}, {"lengths": [40, 7, 1]}):
        expected, final = layer.forward_sequence(x, **keywords)
        found, state = layer.forward_sequence(x.to_sparse(), **keywords)
        assert torch.equal(found, expected)
        for a, b in zip(state, final, strict=True):
            assert torch.equal(a, b)
    assert torch.equal(layer(x.to_sparse())[0], layer(x)[0])


def test_layers_that_run_step_by_step():
    layer = nt.LIFLayer(INPUTS, NEURONS).build()
    x = events(0.01)
    expected, _ = layer.forward_sequence(x)
    layer.register_forward_hook(lambda module, inputs, output: None)
    torch.testing.assert_close(layer.forward_sequence(x.to_sparse())[0], expected)


class Halved(nt.LIFLayer):
    def forward_sequence(self, x, state=None, **kwargs):
        return super().forward_sequence(0.5 * x.unbind(1)[0].unsqueeze(1) + x, state, **kwargs)


def networks():
    for first in (nt.LIFLayer(INPUTS, NEURONS), Halved(INPUTS, NEURONS), torch.nn.Linear(INPUTS, NEURONS)):
        yield nt.SequentialRNN([first, nt.SpyLILayer(NEURONS, 4)]).build(), {}
    yield (
        nt.SequentialRNN([nt.LIFLayer(INPUTS, NEURONS), nt.Linear(NEURONS, INPUTS)]).build(),
        {"foresight_time_steps": 3},
    )
    yield nt.SequentialRNN([nt.LIFLayer(INPUTS, NEURONS), nt.SpyLILayer(NEURONS, 4)]).build(), {"lengths": [40, 7, 1]}


@pytest.mark.parametrize("k", range(5))
def test_networks(k, spy):
    network, keywords = list(networks())[k]
    x = events(0.01)
    expected, _ = network(x, **keywords)
    found, _ = network(x.to_sparse(), **keywords)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=0, atol=0 if k in (0, 3, 4) else 1e-5)
    assert any(spy) == (k == 0)


def test_network_learns_from_sparse_batches(spy):
    network = nt.SequentialRNN([nt.SpyLIFLayer(INPUTS, NEURONS), nt.SpyLILayer(NEURONS, 4)], hh_memory_size=1).build()
    x = events(0.01)
    gradients = []
    for given in (x, x.to_sparse()):
        network.zero_grad()
        loss = sum(out.sum() for out in network.get_prediction_log_proba(given)[0].values())
        loss.backward()
        gradients.append([p.grad.clone() for p in network.parameters() if p.grad is not None])
    assert len(gradients[0]) >= 3
    for a, b in zip(*gradients, strict=True):
        assert torch.equal(a, b)
        assert math.isfinite(float(a.sum()))
    assert spy == [True]
