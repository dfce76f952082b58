"""Names, hashes and combinations of sets of parameters."""

import collections
import pickle

import numpy as np
import pytest
import torch

from neurotorch import utils

OBJECTS = [
    (1, "1"),
    (2.5, "2.5"),
    (None, "None"),
    ([1, 2, 3], "1_2_3"),
    ({"b": 2, "a": 1}, "a-1_b-2"),
    ([{"b": 2, "a": 1}, {1: 2, 3: 4}, 5], "a-1_b-2_1-2_3-4_5"),
    ({"x": {"z": [1, 2], "y": np.arange(3)}}, "x-y-0_1_2_z-1_2"),
    ("text", "text"),
    ({"layer": "LIF", "dt": np.float32(0.1)}, "dt-0.1_layer-LIF"),
    (torch.tensor([1.5, 2.0]), "1.5_2.0"),
    (np.array(3), "3"),
]


@pytest.mark.parametrize(("thing", "expected"), OBJECTS)
def test_names_of_things(thing, expected):
    assert utils.get_meta_str(thing) == expected


def test_names_do_not_depend_on_order_or_kind_of_mapping():
    ordered = collections.OrderedDict([("b", (1, 2)), ("a", {3: 4})])
    assert utils.get_meta_str(ordered) == utils.get_meta_str({"a": {3: 4}, "b": [1, 2]}) == "a-3-4_b-1_2"


# Recorded from NeuroTorch 0.0.2.
def test_hashes_are_those_of_former_runs():
    params = {"b": 1, "a": "x", "c": [1, 2]}
    assert utils.get_meta_name(params) == "a-x_b-1_c-[1, 2]"
    assert utils.hash_params(params) == 150229280225884107161243904116697994542
    assert utils.hash_meta_str([1, 2, 3]) == "c9b3156d88f4788a99a8cf8de926025f"
    assert utils.hash_meta_str([1, 2, 3], out_type="int") == 268104682899302723815453731834688832095
    assert utils.hash_meta_str({"a": 1, "b": 2}, "sha256", "int") % 10**12 == 144886637973


def test_hashes_that_do_not_exist_are_named():
    with pytest.raises(ValueError, match=r"hash_mth: expected one of .*md5.*, got 'nope'"):
        utils.hash_meta_str(1, "nope")
    with pytest.raises(ValueError, match="hash_mth"):
        utils.hash_meta_str(1, "shake_128")
    with pytest.raises(ValueError, match="out_type"):
        utils.hash_meta_str(1, out_type="oct")


def test_saved_parameters(tmp_path):
    params, path = {"a": [1, 2], "b": None}, tmp_path / "params.pkl"
    assert utils.save_params(params, path) == path
    assert pickle.loads(path.read_bytes()) == params
    with pytest.raises((AttributeError, pickle.PicklingError)):
        utils.save_params({"f": lambda: 0}, path)
    assert pickle.loads(path.read_bytes()) == params
    assert list(tmp_path.iterdir()) == [path]


def test_combinations():
    found = utils.get_all_params_combinations({"a": [1, 2], "b": "xy", "c": [None]})
    assert found == [{"a": a, "b": b, "c": None} for a in (1, 2) for b in "xy"]
    assert utils.get_all_params_combinations({}) == [{}]
    assert utils.get_all_params_combinations({"a": []}) == []
