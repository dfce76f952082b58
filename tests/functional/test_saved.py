"""What a run keeps for its backward pass: four bytes a neuron and step where the potential is all that is needed."""

import pytest
import torch

import neurotorch.functional as F

BATCH, STEPS, INPUTS, NEURONS = 2, 60, 9, 16

RUNS = {
    "lif": (1, lambda x, w, r, **o: F.lif(x, w, r, alpha=0.9, gamma=5.0, **o)),
    "lif_lpf": (1, lambda x, w, r, **o: F.lif_lpf(x, w, r, alpha=0.9, gamma=5.0, lpf_alpha=0.5, **o)),
    "spy_lif": (1, lambda x, w, r, **o: F.spy_lif(x, w, r, alpha=0.8, beta=0.9, gamma=5.0, **o)),
    "bellec_lif": (1, lambda x, w, r, **o: F.bellec_lif(x, w, r, alpha=0.9, gamma=0.3, **o)),
    "alif": (2, lambda x, w, r, **o: F.alif(x, w, r, alpha=0.9, beta=1.6, rho=0.95, gamma=5.0, **o)),
}


def kept(run, recurrent, **options):
    """Bytes of sequences and of states that the graph holds beside what it was given; and the states' share of them."""
    x = (torch.rand(BATCH, STEPS, INPUTS) < 0.2).float()
    w = torch.randn(INPUTS, NEURONS, requires_grad=True)
    r = torch.randn(NEURONS, NEURONS, requires_grad=True) if recurrent else None
    given = {t.untyped_storage().data_ptr() for t in (x, w, r) if t is not None}
    found = {}

    def pack(t):
        if t.untyped_storage().data_ptr() not in given and t.numel() >= BATCH * NEURONS:
            found[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        out, _ = run(x, w, r, **options)
    assert out.requires_grad
    return sum(found.values())


@pytest.mark.parametrize("recurrent", [False, True], ids=["independent", "recurrent"])
@pytest.mark.parametrize("name", RUNS)
def test_only_what_the_adjoint_needs(name, recurrent):
    traces, run = RUNS[name]
    states = 5 * BATCH * NEURONS * 4  # initial ones, at most
    sequence = BATCH * STEPS * NEURONS * 4
    assert traces * sequence <= kept(run, recurrent) <= traces * sequence + states


@pytest.mark.parametrize("every", [5, 10, 30])
@pytest.mark.parametrize("name", RUNS)
def test_recomputing_keeps_the_states_of_every_segment(name, every):
    _, run = RUNS[name]
    states = 5 * BATCH * NEURONS * 4
    assert 0 < kept(run, True, recompute_every=every) <= (STEPS / every) * states
