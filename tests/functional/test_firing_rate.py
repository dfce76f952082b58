"""Firing rates with activated inputs."""

import pytest
import torch
from cases import ACTIVATIONS
from helpers import assert_near

from neurotorch.functional import RateState, firing_rate


def drawn(dtype=torch.float64):
    generator = torch.Generator().manual_seed(3)

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    return normal(3, 8, 5), normal(5, 5), 0.3 * normal(5, 5), normal(3, 5), normal(5), normal(5).abs()


def by_steps(x, weight, recurrent_weight, h, mu, r, f):
    out = []
    for x_t in x.unbind(1):
        recurrent = 0.0 if recurrent_weight is None else h @ recurrent_weight
        h = recurrent + f(x_t) @ weight + mu + (1 - r) * x_t
        out.append(h)
    return torch.stack(out, 1)


@pytest.mark.parametrize("recompute_every", [0, 3])
@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_matches_oracle(activation, recurrent, recompute_every, dtype):
    f = {"identity": lambda v: v}.get(activation) or getattr(torch, activation)
    inputs = [t.requires_grad_() for t in drawn(dtype)]
    x, weight, recurrent_weight, h, mu, r = inputs
    if not recurrent:
        recurrent_weight = None
    expected = by_steps(x, weight, recurrent_weight, h, mu, r, f)
    options = {"mu": mu, "r": r, "activation": activation, "recompute_every": recompute_every}
    out, state = firing_rate(x, weight, recurrent_weight, (h,), **options)
    _, traces = firing_rate(x, weight, recurrent_weight, (h,), trace=True, **options)
    assert isinstance(state, RateState)
    tolerance = 1e-12 if dtype == torch.float64 else 2e-5
    assert_near(out, expected, tolerance, "out")
    assert_near(state.h, expected[:, -1], tolerance, "state")
    assert_near(traces.h, expected, tolerance, "trace")
    weights = torch.randn(expected.shape, dtype=dtype)
    grads = torch.autograd.grad((out * weights).sum(), inputs, allow_unused=True)
    expected_grads = torch.autograd.grad((expected * weights).sum(), inputs, allow_unused=True)
    for leaf, grad, known in zip(inputs, grads, expected_grads, strict=True):
        assert_near(grad, torch.zeros_like(leaf) if known is None else known, 10 * tolerance, "grad")


def test_by_hand():
    x = torch.tensor([[[1.0], [-1.0], [0.0]]])
    out, _ = firing_rate(x, torch.tensor([[2.0]]), torch.tensor([[0.5]]), mu=1.0, r=0.25, activation="relu")
    assert out.flatten().tolist() == [3.75, 2.125, 2.0625]


def test_gradients_by_finite_differences():
    inputs = [t.requires_grad_() for t in drawn()]

    def run(x, weight, recurrent_weight, h, mu, r):
        out, state = firing_rate(x, weight, recurrent_weight, (h,), mu=mu, r=r, activation="tanh")
        return out, *state

    torch.autograd.gradcheck(run, inputs)


def test_bad_arguments_are_named():
    x, weight, *_ = drawn()
    with pytest.raises(ValueError, match="^x: expected shape"):
        firing_rate(x[0], weight)
    with pytest.raises(ValueError, match=r"^weight: expected shape \[5, 5\]"):
        firing_rate(x, weight[:, :4])
    with pytest.raises(TypeError, match="^x: expected dtype"):
        firing_rate(x.float(), weight)
    with pytest.raises(ValueError, match="^activation: expected one of"):
        firing_rate(x, weight, activation="softplus")
