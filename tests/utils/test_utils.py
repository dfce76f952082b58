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


def test_to_numpy_makes_one_array_of_a_list():
    found = utils.to_numpy([torch.ones(2), np.zeros(2)])
    assert found.dtype == np.float32
    assert found.tolist() == [[1, 1], [0, 0]]
    assert utils.to_numpy((1, 2.5)).tolist() == [1, 2.5]


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


def test_unitary_matrix_is_the_orthogonal_factor_of_normal_numbers():
    draw = torch.randn(3, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float32)
    q = utils.unitary_rn_normal_matrix(3, 5, torch.Generator().manual_seed(3))
    # draw = p q with p symmetric and positive.
    p = draw @ q.T
    torch.testing.assert_close(p, p.T)
    assert torch.linalg.eigvalsh(p).min() > 0


def test_unpacking():
    out, hidden = torch.zeros(1), torch.ones(1)
    assert utils.unpack_out_hh(out) == (out, None)
    assert utils.unpack_out_hh((out,)) == (out, None)
    assert utils.unpack_out_hh((out, hidden)) == (out, hidden)
    assert utils.unpack_out_hh((out, hidden, 3)) == (out, [hidden, 3])
    assert utils.unpack_singleton_dict({"a": 1}) == utils.maybe_unpack_singleton_dict({"a": 1}) == 1
    assert utils.maybe_unpack_singleton_dict({"a": 1, "b": 2}) == {"a": 1, "b": 2}
    with pytest.raises(ValueError, match="one entry"):
        utils.unpack_singleton_dict({"a": 1, "b": 2})
    assert utils.unpack_singleton_dict({}) is utils.maybe_unpack_singleton_dict({}) is None
    assert utils.unpack_out_hh(()) == (None, None)
    assert utils.unpack_x_hh_y((1, 2)) == (1, None, 2)
    assert utils.unpack_x_hh_y([1, 2, 3]) == (1, 2, 3)
    assert utils.unpack_x_hh_y((1, 2, 3, 4)) == (1, [2, 3], 4)
    assert utils.unpack_x_hh_y((1,)) == utils.unpack_x_hh_y(1) == (1, None, None)
    assert (utils.sequence_get([1], 0), utils.sequence_get([1], 3, "none")) == (1, "none")


@pytest.mark.parametrize(
    ("length", "expected", "method", "unpacked"),
    [
        (3, 3, "middle", (0, 1, 2)),
        (2, 4, "left", ("-", "-", 0, 1)),
        (2, 4, "right", (0, 1, "-", "-")),
        (3, 5, "middle", (0, "-", "-", 1, 2)),
        (0, 2, "left", ("-", "-")),
        (4, 2, "left", ([0, 1, 2], 3)),
        (4, 2, "right", (0, [1, 2, 3])),
        (5, 3, "middle", (0, [1, 2, 3], 4)),
        (6, 2, "middle", (0, [1, 2, 3, 4, 5])),
        (3, 1, "middle", ([0, 1, 2],)),
    ],
)
def test_unpack_tuple_has_the_wanted_length(length, expected, method, unpacked):
    found = utils.unpack_tuple(range(length), expected, "-", method, method, aggregate_type=list)
    assert found == unpacked
    assert len(found) == expected


def test_unpack_tuple_names_bad_arguments():
    for name in ("fill_method", "aggregate_method"):
        with pytest.raises(ValueError, match=name):
            utils.unpack_tuple((1, 2), 2, **{name: "centre"})
    with pytest.raises(ValueError, match="expected_length"):
        utils.unpack_tuple((1, 2), 0)


def test_containers():
    entries = [1]
    utils.list_insert_replace_at(entries, 2, 3)
    utils.list_insert_replace_at(entries, 0, 0)
    assert entries == [0, None, 3]
    nested = {"a": {"b": 1, "c": 2}, "d": 3}
    assert utils.mapping_update_recursively(nested, {"a": {"b": 5}, "d": {"e": 6}}) is nested
    assert nested == {"a": {"b": 5, "c": 2}, "d": {"e": 6}}
    update = {"f": {"g": 1}}
    utils.mapping_update_recursively(utils.mapping_update_recursively(nested, update), {"f": {"g": 2}})
    assert update == {"f": {"g": 1}}
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
