"""The affine map."""

import pytest
import torch
from cases import ACTIVATIONS, make_case
from layer_tests import LayerTests

from neurotorch.functional import linear


class TestLinear(LayerTests):
    model = "linear"


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_is_the_affine_map(activation, dtype):
    case = make_case("linear", dtype=dtype)
    expected = torch.nn.functional.linear(case.x, case.weight.T, case.constants[0])
    if activation != "identity":
        expected = getattr(torch, activation)(expected)
    torch.testing.assert_close(linear(case.x, case.weight, case.constants[0], activation=activation), expected)


def test_gradients_by_finite_differences():
    case = make_case("linear", 2, 5, 3, 4)
    inputs = [t.requires_grad_() for t in (case.x, case.weight, case.constants[0])]
    torch.autograd.gradcheck(lambda x, w, b: linear(x, w, b, activation="tanh"), inputs)
