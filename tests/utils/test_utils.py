import random

import numpy as np
import pytest
import torch

from neurotorch import utils


def test_to_tensor_converts_containers_entry_by_entry():
    x = {"a": np.arange(3), "b": [1, (2.0, np.float64(3.0))], "c": torch.arange(2)}
    out = utils.to_tensor(x)
    assert out["a"].dtype == out["c"].dtype == out["b"][0].dtype == torch.float32
    assert out["b"][1] == (torch.tensor(2.0), torch.tensor(3.0))
    assert utils.to_tensor(np.arange(3.0), dtype=None).dtype == torch.float64
    with pytest.raises(ValueError, match="x"):
        utils.to_tensor(object())


def test_to_numpy_keeps_the_dtype_of_tensors():
    out = utils.to_numpy({"a": torch.ones(2, dtype=torch.float64, requires_grad=True), "b": [np.arange(2), 3]})
    assert (out["a"].dtype, out["b"][0].dtype, out["b"][1]) == (np.float64, np.float32, 3)
    with pytest.raises(ValueError, match="x"):
        utils.to_numpy(object())


def test_seeds():
    def draw():
        return random.random(), np.random.rand(), torch.rand(()).item(), utils.format_pseudo_rn_seed()

    utils.set_seed(3)
    first = draw()
    assert draw() != first
    utils.set_seed(3)
    assert draw() == first
    assert utils.format_pseudo_rn_seed(np.int32(4)) == 4
    with pytest.raises(TypeError, match="seed"):
        utils.format_pseudo_rn_seed(1.0)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4)])
def test_unitary_matrices(shape):
    q = utils.unitary_rn_normal_matrix(*shape)
    product = q @ q.T if shape[0] <= shape[1] else q.T @ q
    torch.testing.assert_close(product, torch.eye(min(shape)))


def test_unpacking():
    out, hidden = torch.zeros(1), torch.ones(1)
    assert utils.unpack_out_hh(out) == (out, None)
    assert utils.unpack_out_hh((out,)) == (out, None)
    assert utils.unpack_out_hh((out, hidden)) == (out, hidden)
    assert utils.unpack_out_hh((out, hidden, 3)) == (out, [hidden, 3])
    assert utils.unpack_singleton_dict({"a": 1}) == utils.maybe_unpack_singleton_dict({"a": 1}) == 1
    assert utils.maybe_unpack_singleton_dict({"a": 1, "b": 2}) == {"a": 1, "b": 2}
    with pytest.raises(ValueError, match="one entry"):
        utils.unpack_singleton_dict({})
    assert (utils.sequence_get([1], 0), utils.sequence_get([1], 3, "none")) == (1, "none")


def test_containers():
    entries = [1]
    utils.list_insert_replace_at(entries, 2, 3)
    utils.list_insert_replace_at(entries, 0, 0)
    assert entries == [0, None, 3]
    nested = {"a": {"b": 1, "c": 2}, "d": 3}
    assert utils.mapping_update_recursively(nested, {"a": {"b": 5}, "d": {"e": 6}}) is nested
    assert nested == {"a": {"b": 5, "c": 2}, "d": {"e": 6}}
    chain = utils.list_of_callable_to_sequential([torch.neg, torch.nn.ReLU()])
    assert chain(torch.tensor([-1.0, 1.0])).tolist() == [1, 0]


def test_detaching():
    w = torch.ones(2, requires_grad=True)
    tensors = {"a": (2 * w, [3 * w, None]), "b": 1}
    out = utils.recursive_detach(tensors)
    assert not out["a"][0].requires_grad
    assert not out["a"][1][0].requires_grad
    assert tensors["a"][0].requires_grad
    assert utils.recursive_detach_(tensors) is tensors
    assert not tensors["a"][1][0].requires_grad
    assert out["a"][1][1] is None


def test_parameters():
    a, b = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2), requires_grad=False)
    assert utils.filter_parameters([a, b])[0] is a
    assert utils.filter_parameters([a, b], requires_grad=False)[0] is b
    (2 * a).sum().backward()
    utils.zero_grad_params([a, b])
    assert a.grad.tolist() == [0, 0]
    assert b.grad is None
