"""Clipping of joint norms."""

import math

import numpy as np
import pytest
import torch
from helpers import GOLDEN

from neurotorch.utils import clip_tensors_norm_


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
