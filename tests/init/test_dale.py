import json
import math

import numpy as np
import pytest
import torch
from helpers import GOLDEN, GOLDEN_LAYERS

from neurotorch.init import dale_


def recorded():
    with np.load(GOLDEN_LAYERS / "init_dale.npz", allow_pickle=False) as file:
        cases = json.loads(str(file["meta_json"]))["cases"]
        return [(case["shape"], case["kwargs"], torch.from_numpy(file[f"{k}/returned"])) for k, case in cases.items()]


@pytest.mark.parametrize(("shape", "kwargs", "expected"), recorded())
def test_recorded_matrices(shape, kwargs, expected):
    # The recording without a seed comes from a fresh generator of torch, whose seed is a constant.
    kwargs = {"seed": torch.Generator().initial_seed(), **kwargs}
    tensor = torch.full(shape, math.nan)
    assert dale_(tensor, **kwargs) is tensor
    torch.testing.assert_close(tensor, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("case", ["dale_init0", "dale_init1", "dale_init2"])
def test_recorded_matrices_of_the_learning_files(case):
    with np.load(GOLDEN / "learning" / "regularization.npz", allow_pickle=False) as file:
        kwargs, expected = json.loads(str(file[f"{case}/kwargs"])), torch.from_numpy(file[f"{case}/out"])
    kwargs["seed"] = torch.Generator().initial_seed() if kwargs["seed"] is None else kwargs["seed"]
    torch.testing.assert_close(dale_(torch.empty(expected.shape), **kwargs), expected, rtol=1e-6, atol=0)


def test_without_seed_follows_the_global_generator():
    first, second = dale_(torch.empty(5, 5)), dale_(torch.empty(5, 5))
    assert not torch.equal(first, second)
    torch.manual_seed(0)
    assert torch.equal(dale_(torch.empty(5, 5)), first)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (1, 1), (1, 5), (5, 1)])
@pytest.mark.parametrize("inh_first", [True, False])
def test_rectangular_matrices_obey_dales_law(shape, inh_first):
    weights = dale_(torch.full(shape, math.nan), inh_ratio=0.4, rho=0.9, inh_first=inh_first, seed=1)
    assert torch.isfinite(weights).all()
    inhibitory = (weights < 0).any(dim=1)
    assert not (inhibitory & (weights > 0).any(dim=1)).any()
    if min(shape) > 1:
        assert inhibitory.sum() == int(0.4 * shape[0])
        assert not inh_first or inhibitory[: int(0.4 * shape[0])].all()


def test_magnitudes_and_sparsity():
    weights = dale_(torch.empty(300, 300, dtype=torch.float64), rho=0.6, seed=2)
    assert (weights == 0).double().mean() == pytest.approx(0.4, abs=0.01)
    std = weights[weights != 0].square().mean().sqrt()
    assert std == pytest.approx(1 / math.sqrt(300 * 0.6 * 0.4), rel=0.02)
    assert not dale_(torch.ones(4, 4), rho=0.0).any()


def test_parameters_are_filled_in_place():
    parameter = torch.nn.Parameter(torch.zeros(4, 4))
    assert dale_(parameter) is parameter
    assert parameter.is_leaf
    assert parameter.requires_grad


def test_errors():
    with pytest.raises(ValueError, match="rho"):
        dale_(torch.empty(3, 3), rho=1.0)
    for kwargs in ({"rho": 1.1}, {"rho": -0.1}, {"inh_ratio": 2.0}):
        with pytest.raises(AssertionError, match=next(iter(kwargs))):
            dale_(torch.empty(3, 3), **kwargs)
    with pytest.raises(AssertionError, match="2 dimensions"):
        dale_(torch.empty(3))
