"""Filters along time against loops over steps."""

import numpy as np
import pytest
import torch
from helpers import GOLDEN

from neurotorch import utils


@pytest.fixture(scope="module")
def recorded():
    with np.load(GOLDEN / "learning" / "transforms.npz", allow_pickle=False) as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


def loop(x, decay):
    """The recursive filter as it is defined."""
    y = [x[:, 0]]
    for x_t in x[:, 1:].unbind(1):
        y.append(decay * y[-1] + x_t)
    return torch.stack(y, dim=1)


def test_match_recorded(recorded):
    x = recorded["mc_x"]
    torch.testing.assert_close(utils.batchwise_temporal_recursive_filter(x, 0.8), recorded["recursive_filter"])
    torch.testing.assert_close(utils.batchwise_temporal_decay(x, 0.8), recorded["temporal_decay"])
    found = [utils.linear_decay(1, 0.1, 0.8, i) for i in range(len(recorded["linear_decay"]))]
    torch.testing.assert_close(torch.tensor(found, dtype=torch.float64), recorded["linear_decay"])


# Below, at and beyond one block, and three levels of blocks.
@pytest.mark.parametrize("steps", [1, 2, 31, 32, 33, 64, 1000, 1024, 1100])
@pytest.mark.parametrize("decay", [0.0, 0.9, 1.0, -0.5])
def test_filter_equals_its_loop_with_gradients(steps, decay):
    x = torch.randn(2, steps, 3, dtype=torch.float64, requires_grad=True)
    d = torch.tensor(decay, dtype=torch.float64, requires_grad=True)
    factors = torch.randn(2, steps, 3, dtype=torch.float64)
    found, expected = utils.batchwise_temporal_recursive_filter(x, d), loop(x, d)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    wanted = [x, d] if steps > 1 else [x]
    grads = torch.autograd.grad((found * factors).sum(), wanted)
    for grad, reference in zip(grads, torch.autograd.grad((expected * factors).sum(), wanted), strict=True):
        torch.testing.assert_close(grad, reference, rtol=1e-8, atol=1e-8)


def test_filter_has_second_derivatives_and_maps():
    x = torch.randn(2, 11, 2, dtype=torch.float64, requires_grad=True)
    d = torch.tensor(0.6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(utils.batchwise_temporal_recursive_filter, (x, d))
    assert torch.autograd.gradgradcheck(utils.batchwise_temporal_recursive_filter, (x, d))
    many = torch.randn(3, 2, 11, 2)
    mapped = torch.vmap(lambda one: utils.batchwise_temporal_recursive_filter(one, 0.6))(many)
    torch.testing.assert_close(mapped, torch.stack([loop(one, 0.6) for one in many]))


def test_filter_of_more_axes_and_of_other_dtypes():
    x = torch.randn(2, 70, 3, 4)
    torch.testing.assert_close(utils.batchwise_temporal_recursive_filter(x, 0.7), loop(x, 0.7))
    flat = torch.arange(6).reshape(2, 3)
    torch.testing.assert_close(utils.batchwise_temporal_recursive_filter(flat, 0.5), loop(flat.float(), 0.5))
    assert utils.batchwise_temporal_recursive_filter(flat.double(), 0.5).dtype == torch.float64


def test_filter_does_not_change_its_argument_and_refuses_what_has_no_steps():
    x = torch.randn(2, 40, 3)
    before = x.clone()
    utils.batchwise_temporal_recursive_filter(x)
    assert torch.equal(x, before)
    for function in (utils.batchwise_temporal_recursive_filter, utils.batchwise_temporal_decay):
        with pytest.raises(ValueError, match="at least one step"):
            function(torch.zeros(2, 0, 3))
        with pytest.raises(ValueError, match=r"expected shape \[B, T, ...\]"):
            function(torch.zeros(2))


def test_slow_decay_over_many_steps_stays_exact():
    found = utils.batchwise_temporal_recursive_filter(torch.ones(1, 5000, 1), 0.999)
    expected = (1 - 0.999 ** torch.arange(1, 5001, dtype=torch.float64)) / 0.001
    torch.testing.assert_close(found[0, :, 0].double(), expected, rtol=1e-5, atol=0)


def test_decay_is_the_last_step_of_the_filter():
    x = torch.randn(2, 50, 3, 2, dtype=torch.float64, requires_grad=True)
    last = utils.batchwise_temporal_recursive_filter(x, 0.8)[:, -1]
    found = utils.batchwise_temporal_decay(x, 0.8)
    torch.testing.assert_close(found, last)
    torch.testing.assert_close(*(torch.autograd.grad(y.square().sum(), x)[0] for y in (found, last)))


def test_other_filter_is_deprecated():
    x = torch.randn(2, 5, 3)
    with pytest.warns(DeprecationWarning, match="batchwise_temporal_recursive_filter"):
        found = utils.batchwise_temporal_filter(x, 0.5)
    weights = 0.5 ** torch.arange(4.0, -1.0, -1.0)
    torch.testing.assert_close(found, torch.cumsum(x * weights[:, None], dim=1))
    torch.testing.assert_close(found[:, -1], utils.batchwise_temporal_decay(x, 0.5))
