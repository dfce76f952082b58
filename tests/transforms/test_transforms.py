"""Conversions, reductions and constant sequences."""

from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch

from neurotorch.transforms import (
    CallableToModuleWrapper,
    ConstantValuesTransform,
    IdentityTransform,
    MaybeSoftmax,
    ReduceFuncTanh,
    ReduceMax,
    ReduceMean,
    ReduceSum,
    ToDevice,
    ToTensor,
)

RECORDED = Path(__file__).parents[1] / "golden" / "learning" / "transforms.npz"


@pytest.fixture(scope="module")
def recorded():
    with np.load(RECORDED, allow_pickle=False) as file:
        return {key: torch.from_numpy(file[key]) for key in file.files if file[key].dtype == np.float32}


def test_constant_values_match_recorded(recorded):
    x = recorded["const_x"]
    torch.testing.assert_close(ConstantValuesTransform(4)(x), recorded["const_batch"], rtol=0, atol=0)
    single = ConstantValuesTransform(4, batch_wise=False)(x[0])
    torch.testing.assert_close(single, recorded["const_single"], rtol=0, atol=0)


def test_constant_values_repeat_sequences_and_keep_gradients():
    x = torch.arange(6.0).reshape(1, 2, 3).requires_grad_()
    y = ConstantValuesTransform(2)(x)
    torch.testing.assert_close(y, torch.cat([x, x], dim=1))
    y.sum().backward()
    torch.testing.assert_close(x.grad, torch.full_like(x, 2.0))
    with pytest.raises(ValueError, match=r"expected shape \[B, F\]"):
        ConstantValuesTransform(2)(torch.zeros(3))


def test_maybe_softmax_matches_recorded(recorded):
    softmax, x = MaybeSoftmax(), recorded["softmax_x"]
    torch.testing.assert_close(softmax(x), recorded["maybe_softmax_a"])
    torch.testing.assert_close(softmax(recorded["maybe_softmax_a"]), recorded["maybe_softmax_b"])


@pytest.mark.parametrize(
    ("transform", "expected"),
    [(ReduceMax(), lambda x: x.amax(1)), (ReduceMean(), lambda x: x.mean(1)), (ReduceSum(), lambda x: x.sum(1))],
)
def test_reductions_accept_outputs_states_and_dicts(transform, expected):
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(transform(x), expected(x))
    torch.testing.assert_close(transform((x, (x, x))), expected(x))
    torch.testing.assert_close(transform({"a": x})["a"], expected(x))
    torch.testing.assert_close(transform(({"a": x}, None))["a"], expected(x))
    torch.testing.assert_close(ReduceFuncTanh(transform)(x), expected(x).tanh())
    torch.testing.assert_close(ReduceFuncTanh(transform)({"a": x})["a"], expected(x).tanh())
    assert "dim=1" in repr(transform)


def test_reduction_over_another_axis():
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(ReduceMean(dim=0)(x), x.mean(0))


def test_to_tensor_casts_to_float32_or_keeps_the_dtype():
    array = np.arange(3, dtype=np.float64)
    assert ToTensor()(array).dtype is torch.float32
    assert ToTensor(torch.long)([1, 2])[0].dtype is torch.long
    assert ToTensor(None)(array).dtype is torch.float64
    kept = ToTensor(None)({"a": torch.zeros(2, dtype=torch.bfloat16), "b": 1.5})
    assert kept["a"].dtype is torch.bfloat16
    assert kept["b"].item() == 1.5
    assert ToTensor(device="cpu")(array).device.type == "cpu"


def test_to_device_reaches_every_tensor_and_keeps_the_rest():
    Pair = namedtuple("Pair", ["a", "b"])
    x = {"a": torch.zeros(2), "b": [torch.zeros(1), None, "text"], "c": Pair(torch.zeros(1), 3)}
    moved = ToDevice("meta")(x)
    assert moved["a"].device.type == "meta"
    assert moved["b"][0].device.type == "meta"
    assert moved["b"][1:] == [None, "text"]
    assert isinstance(moved["c"], Pair)
    assert moved["c"].a.device.type == "meta"


def test_to_device_changes_only_by_its_own_to():
    transform = ToDevice("cpu")
    torch.nn.Sequential(transform).to(torch.device("meta"))
    assert transform.device == torch.device("cpu")
    transform.to("meta", non_blocking=False)
    assert transform.device == torch.device("meta")
    assert not transform.non_blocking
    assert "meta" in repr(transform)


def test_wrapped_callable_and_identity():
    wrapped = CallableToModuleWrapper(lambda x, factor=2: x * factor)
    assert wrapped(3) == 6
    assert wrapped(3, factor=3) == 9
    assert "lambda" in repr(wrapped)
    with pytest.raises(TypeError, match="expected a callable, got int"):
        CallableToModuleWrapper(3)
    marker = object()
    assert IdentityTransform()(marker) is marker
