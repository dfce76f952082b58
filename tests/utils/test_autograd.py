"""Clipping of joint norms, gradients and Jacobians."""

import math

import numpy as np
import pytest
import torch
from helpers import GOLDEN

from neurotorch.utils import clip_tensors_norm_, compute_jacobian, dy_dw_local, get_contributing_params, vmap


def test_matches_recorded_clipping():
    with np.load(GOLDEN / "learning" / "regularization.npz", allow_pickle=False) as file:
        recorded = {key: torch.as_tensor(file[key]) for key in file.files if key.startswith("clip/")}
    tensors = [recorded["clip/in0"].clone(), recorded["clip/in1"].clone()]
    norm = clip_tensors_norm_(tensors, 0.7)
    torch.testing.assert_close(norm, recorded["clip/total_norm"])
    torch.testing.assert_close(tensors, [recorded["clip/out0"], recorded["clip/out1"]])


@pytest.mark.parametrize("norm_type", [1.0, 2.0, math.inf])
def test_only_too_long_tensors_are_scaled(norm_type):
    tensors = [torch.tensor([3.0, -1.0]), torch.tensor([[4.0]])]
    before = [t.clone() for t in tensors]
    expected = torch.cat([t.flatten() for t in before]).norm(norm_type)
    torch.testing.assert_close(clip_tensors_norm_(tensors, 100.0, norm_type), expected)
    assert all(torch.equal(t, b) for t, b in zip(tensors, before, strict=True))
    clip_tensors_norm_(iter(tensors), 2.0, norm_type)
    torch.testing.assert_close(torch.cat([t.flatten() for t in tensors]).norm(norm_type), torch.tensor(2.0))


def test_no_limit_and_no_tensors():
    wild = torch.tensor([math.inf, 1.0])
    assert clip_tensors_norm_([wild], math.inf) == math.inf
    assert torch.equal(wild, torch.tensor([math.inf, 1.0]))
    assert clip_tensors_norm_([], 1.0) == 0
    parameter = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    clip_tensors_norm_(parameter, 1.0)
    torch.testing.assert_close(parameter.detach(), torch.tensor([0.6, 0.8]), rtol=1e-5, atol=1e-6)


def network():
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))


def test_local_gradients():
    net, x = network(), torch.randn(5, 3)
    params, unused = list(net.parameters()), torch.nn.Parameter(torch.ones(2))
    params[1].requires_grad_(False)
    y, factors = net(x), torch.randn(5, 2)
    found = dy_dw_local(y, [*params, unused], factors)
    (y * factors).sum().backward()
    for grad, p in zip(found, [*params, unused], strict=True):
        torch.testing.assert_close(grad, torch.zeros_like(p) if p.grad is None else p.grad)
    torch.testing.assert_close(dy_dw_local(net(x), [params[3]])[0], torch.full((2,), 5.0))
    assert dy_dw_local(net(x), [params[1]], retain_graph=False)[0].count_nonzero() == 0
    with pytest.raises(RuntimeError):
        dy_dw_local(net(x), [params[0], unused], allow_unused=False)


def test_jacobians():
    net, x = network(), torch.randn(3)
    weights = {name: p.detach() for name, p in net.named_parameters()}
    expected = torch.func.jacrev(lambda w: torch.func.functional_call(net, w, x))(weights)
    expected = [expected[name].flatten(1) for name in weights]
    for found in (compute_jacobian(model=net, x=x), compute_jacobian(params=net.parameters(), y=net(x))):
        torch.testing.assert_close(found, expected)
    fast = compute_jacobian(model=net, y=net(x), strategy="fast")
    torch.testing.assert_close(fast, [jacobian.sum(dim=0) for jacobian in expected])
    assert all(p.grad is None for p in net.parameters())
    batch = compute_jacobian(model=net, x=torch.stack([x, x]))
    torch.testing.assert_close(batch, [jacobian.repeat(2, 1) for jacobian in expected])


@pytest.mark.parametrize(
    ("kwargs", "name"),
    [({}, "x, y"), ({"x": 1, "params": []}, "model"), ({"y": 1}, "model"), ({"y": 1, "strategy": "?"}, "strategy")],
)
def test_jacobians_without_what_they_need(kwargs, name):
    with pytest.raises(ValueError, match=f"^{name}"):
        compute_jacobian(**kwargs)


def test_contributing_parameters_come_once():
    net, unused = network(), torch.nn.Parameter(torch.ones(1))
    y = net(net(torch.randn(2, 3)).repeat(1, 2)[:, :3]) + 0 * unused.detach()
    found = list(get_contributing_params(y))
    assert len(found) == 4
    assert {id(p) for p in found} == {id(p) for p in net.parameters()}
    assert {id(p) for p in get_contributing_params(y.grad_fn, top_level=False)} == {id(p) for p in found}
    assert list(get_contributing_params(torch.ones(1))) == []


def test_vmap_takes_any_function():
    x = torch.arange(6.0).reshape(3, 2)
    assert vmap(lambda row: row * 2 if row.sum() > 1 else -row)(x).tolist() == [[0, -1], [4, 6], [8, 10]]


def test_norm_that_is_not_finite_can_be_refused():
    wild = torch.tensor([math.nan, 1.0])
    with pytest.raises(RuntimeError):
        clip_tensors_norm_([wild], 0.1, error_if_nonfinite=True)
    assert wild[1] == 1.0
