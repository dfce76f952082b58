"""Surrogates of compact support: the recurrent gradient of neurons inside alone, and of all where many are inside."""

import pytest
import torch
from cases import assert_equal_bits, assert_matches_oracle, fused, make_case, outcome
from eager import ORACLES

from neurotorch.functional import MODELS

PSI = {
    "phi": lambda v, threshold, gamma: (v / (threshold + 1e-5) - 1).abs() < 1,
    "boxcar": lambda v, threshold, gamma: gamma * (v - threshold).abs() < 0.5,
    "triangle": lambda v, threshold, gamma: gamma * (v - threshold).abs() < 1,
}


def narrowed(model, surrogate, inside, neurons, batch, dtype=torch.float64):
    """A case with few or many neurons inside; says which share they are, over all steps."""
    case = make_case(model, batch, 7, 5, neurons, recurrent=True, surrogate=surrogate, dtype=dtype, trace=True)
    names = MODELS[model].constants
    threshold = names.index("threshold")
    if surrogate == "phi" and inside == "few":
        case.constants[threshold] = torch.full_like(case.constants[threshold], 0.0625)
    case.constants[names.index("gamma")].fill_(16.0 if inside == "few" else 0.25)
    with torch.no_grad():
        v = case.run(trace=True)[1][ORACLES[model].states.index("v")]
        reached = PSI[surrogate](v, case.constants[threshold], case.constants[names.index("gamma")])
    return case, reached.double().mean(-1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize(("neurons", "batch"), [(37, 3), (130, 2), (522, 1), (130, 35)])
@pytest.mark.parametrize("inside", ["few", "many"])
@pytest.mark.parametrize("surrogate", PSI)
@pytest.mark.parametrize("model", ["lif", "spy_lif", "spy_lif_lpf", "bellec_lif"])
def test_matches_oracle(model, surrogate, inside, neurons, batch, dtype):
    case, share = narrowed(model, surrogate, inside, neurons, batch, dtype)
    if inside == "few":
        assert float(share.mean()) > 0
        assert float((share <= 0.25).double().mean()) > 0.5
    elif surrogate != "phi":  # phi reaches from zero to twice the threshold, however large gamma is
        assert float((share > 0.25).double().mean()) > 0.9
    assert_matches_oracle(case, trace=True)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("surrogate", PSI)
def test_number_of_threads_changes_nothing(surrogate, batch, set_threads):
    case, _ = narrowed("lif", surrogate, "few", 130, batch, torch.float32)
    set_threads(1)
    alone = outcome(case, fused(True))
    set_threads(2)
    assert_equal_bits(outcome(case, fused(True)).per_sample, alone.per_sample)
