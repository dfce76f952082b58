"""Names, sizes, building, transforms and checkpoints of containers."""

import copy
import json
from collections import OrderedDict

import numpy as np
import pytest
import torch

from neurotorch.modules.base_model import BaseModel
from neurotorch.modules.layers import LIFLayer, Linear
from neurotorch.modules.sequential import Sequential
from neurotorch.modules.sequential_rnn import SequentialRNN
from neurotorch.modules.wrappers import NamedModuleWrapper, SizedModuleWrapper


def linear_model(**kwargs):
    return Sequential([Linear(4, 6), Linear(6, 5), Linear(5, 3)], device="cpu", **kwargs).build()


def test_default_names_prefixes_and_lookup():
    model = linear_model()
    assert model.get_all_layers_names() == ["input_0", "hidden_0", "output_0"]
    assert {key.rsplit(".", 1)[0] for key in model.state_dict()} == {
        "input_layers.input_0",
        "hidden_layers.0",
        "output_layers.output_0",
    }
    assert model[None] is model.get_layer() is model["input_0"]
    assert model.get_layers(["output_0"]) == [model["output_0"]]
    assert list(model.get_dict_of_layers().values()) == model.get_layers() == model.get_all_layers()
    with pytest.raises(KeyError):
        model["unknown"]


def test_keys_of_a_dict_are_the_names():
    model = Sequential([OrderedDict(a=Linear(4, 2), b=Linear(3, 2)), {"out": Linear(4, 3)}], device="cpu")
    assert model.get_all_layers_names() == ["a", "b", "out"]
    with pytest.raises(AssertionError, match="key 'a' holds a layer named 'other'"):
        Sequential([{"a": Linear(4, 2, name="other")}, Linear(2, 2)], device="cpu")


@pytest.mark.parametrize(
    "layers",
    [
        [Linear(4, 4, name="a"), Linear(4, 4, name="a")],
        [[Linear(4, 4, name="a"), Linear(4, 4, name="a")], Linear(8, 4)],
        [Linear(4, 4, name="a"), Linear(4, 4, name="a"), Linear(4, 4)],
    ],
)
def test_repeated_names_raise(layers):
    with pytest.raises(AssertionError, match="these repeat: a"):
        Sequential(layers, device="cpu")


@pytest.mark.parametrize("name", ["", "a.b", "keys"])
def test_impossible_names_raise(name):
    with pytest.raises(ValueError, match="cannot be named"):
        Sequential([Linear(4, 4, name=name), Linear(4, 4)], device="cpu")


@pytest.mark.parametrize("layers", [[], [[], Linear(2, 2)], [Linear(2, 2), []]])
def test_empty_groups_raise(layers):
    with pytest.raises(ValueError, match="at least one layer"):
        Sequential(layers, device="cpu")


def test_not_a_module_raises():
    with pytest.raises(TypeError, match="expected torch modules, got int"):
        Sequential([Linear(2, 2), 3], device="cpu")


def test_unknown_argument_warns_with_the_nearest_name():
    with pytest.warns(UserWarning, match="unknown argument 'n_hiden_neurons'.*did you mean 'n_hidden_neurons'"):
        model = Sequential([Linear(2, 2)], device="cpu", n_hiden_neurons=3)
    assert model.kwargs == {"n_hiden_neurons": 3}


def test_sizes_are_inferred_in_order():
    model = Sequential([[Linear(4), Linear(3, 7)], Linear(), Linear(None, 2)], device="cpu", n_hidden_neurons=9).build()
    assert [tuple(p.shape) for name, p in model.named_parameters() if "_forward_weights" in name] == [
        (4, 9),
        (3, 7),
        (16, 9),
        (9, 2),
    ]
    assert model.input_sizes == {"input_0": 4, "input_1": 3}
    assert model.output_sizes == {"output_0": 2}


def test_output_without_size_warns_and_takes_its_input_size():
    model = Sequential([Linear(4, 6), Linear()], device="cpu")
    with pytest.warns(UserWarning, match="'output_0': no output_size given, taking its input size 6"):
        model.build()
    assert int(model["output_0"].output_size) == 6


def test_unknown_input_size_comes_from_the_last_axis_of_the_first_input():
    model = Sequential([Linear(None, 3)], device="cpu")
    with pytest.raises(ValueError, match="'output_0': its input_size is unknown"):
        model.build()
    assert model(torch.zeros(2, 5))["output_0"].shape == (2, 3)
    assert model.is_built
    assert model.input_sizes == {"output_0": 5}


def test_contradicting_sizes_raise():
    with pytest.raises(ValueError, match="has input_size 7, but what comes before it gives 6"):
        Sequential([Linear(4, 6), Linear(7, 3)], device="cpu").build()


def test_forward_equals_its_layers():
    model, x = linear_model(), torch.randn(2, 4)
    expected = model["output_0"](model["hidden_0"](model["input_0"](x)))
    torch.testing.assert_close(model(x)["output_0"], expected)
    torch.testing.assert_close(model({"input_0": x})["output_0"], expected)
    torch.testing.assert_close(model(x.numpy())["output_0"], expected)
    torch.testing.assert_close(model.get_prediction_trace(x), expected)
    torch.testing.assert_close(model.get_prediction_proba(x)["output_0"], expected.softmax(-1))
    torch.testing.assert_close(model.get_prediction_log_proba(x)["output_0"], expected.log_softmax(-1))
    with pytest.raises(ValueError, match=r"expected the names \['input_0'\], got \['other'\]"):
        model({"other": x})


def test_inputs_are_concatenated_and_outputs_share_them():
    model = Sequential([[Linear(2, 3), Linear(4, 5)], [Linear(8, 1), Linear(8, 2)]], device="cpu").build()
    a, b = torch.randn(6, 2), torch.randn(6, 4)
    out = model({"input_1": b, "input_0": a})
    merged = torch.cat([model["input_0"](a), model["input_1"](b)], dim=-1)
    torch.testing.assert_close(out["output_1"], model["output_1"](merged))
    assert out["output_0"].shape == (6, 1)


def test_outputs_without_input_layer_read_their_own_input():
    model = Sequential([[Linear(2, 3, name="a"), Linear(4, 5, name="b")]], device="cpu").build()
    a, b = torch.randn(6, 2), torch.randn(6, 4)
    out = model({"a": a, "b": b})
    torch.testing.assert_close(out["b"], model["b"](b))


def test_spiking_layer_needs_the_recurrent_container():
    with pytest.raises(TypeError, match="'output_0': returned a tuple.*use SequentialRNN"):
        Sequential([LIFLayer(2, 3)], device="cpu")(torch.zeros(1, 2))


def test_computes_in_the_dtype_of_the_weights():
    model = linear_model().double()
    assert model(torch.zeros(2, 4))["output_0"].dtype is torch.float64
    assert model(np.zeros((2, 4), dtype=np.int64))["output_0"].dtype is torch.float64


@pytest.mark.parametrize("module", [torch.nn.Linear(6, 3), torch.nn.ReLU()], ids=["sized", "shapeless"])
def test_plain_modules_are_wrapped(module):
    model = Sequential([Linear(4, 6), module, Linear(None, 2)], device="cpu").build()
    assert isinstance(model["hidden_0"], NamedModuleWrapper)
    assert int(model["output_0"].input_size) == (3 if isinstance(module, torch.nn.Linear) else 6)
    assert model(torch.randn(2, 4))["output_0"].shape == (2, 2)


def test_iterable_module_is_a_list_of_layers():
    model = Sequential([Linear(4, 6), torch.nn.Sequential(torch.nn.Linear(6, 2), torch.nn.Linear(6, 3))], device="cpu")
    assert model.get_all_layers_names() == ["input_0", "output_0", "output_1"]


def test_sized_wrapper_infers_its_sizes():
    module = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.BatchNorm1d(6), torch.nn.Linear(6, 3))
    wrapper = SizedModuleWrapper(module, name="w")
    assert (wrapper.infer_input_size(), wrapper.infer_output_size()) == (4, 3)
    assert (int(wrapper.input_size), int(wrapper.output_size)) == (4, 3)
    assert module.training
    assert module[1].num_batches_tracked == 0
    torch.testing.assert_close(NamedModuleWrapper(torch.nn.ReLU())(torch.tensor([-1.0, 1.0])), torch.tensor([0.0, 1.0]))
    with pytest.raises(ValueError, match="cannot be inferred from ReLU"):
        SizedModuleWrapper(torch.nn.ReLU()).infer_output_size()


def test_build_happens_once_and_keeps_built_layers():
    layer = Linear(4, 6).build()
    weights, data = layer.get_forward_weights_parameter(), layer.get_forward_weights_data().clone()
    model = Sequential([layer, Linear(6, 2)], device="cpu")
    assert model.build() is model
    parameters = list(model.parameters())
    assert model.build() is model
    model(torch.zeros(1, 4))
    assert layer.get_forward_weights_parameter() is weights
    torch.testing.assert_close(layer.get_forward_weights_data(), data, rtol=0, atol=0)
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))


def double(x):
    return 2.0 * x


@pytest.mark.parametrize(
    "given",
    [double, [double], {"input_0": double}, torch.nn.ModuleDict({"input_0": torch.nn.Identity()}), [[double, double]]],
    ids=["callable", "list", "dict", "ModuleDict", "composed"],
)
def test_transforms_in_every_form(given):
    factor = {list: 2.0, dict: 2.0}.get(type(given), 1.0 if isinstance(given, torch.nn.Module) else 2.0)
    factor = 4.0 if given == [[double, double]] else factor
    model, x = linear_model(input_transform=given), torch.randn(2, 4)
    reference = linear_model()
    reference.load_state_dict(model.state_dict())
    torch.testing.assert_close(model(x)["output_0"], reference(factor * x)["output_0"])


def test_transforms_of_several_inputs():
    model = Sequential([[Linear(2, 2), Linear(2, 2)], Linear(4, 2)], device="cpu", input_transform=[double]).build()
    transformed = model.apply_input_transform({"input_0": torch.ones(1, 2), "input_1": torch.ones(1, 2)})
    assert transformed["input_0"].sum() == 4
    assert transformed["input_1"].sum() == 2
    with pytest.raises(AssertionError, match="expected names among"):
        model.apply_input_transform({"other": torch.ones(1)})
    with pytest.raises(AssertionError, match="output_transform: expected a transform for output_0"):
        linear_model(output_transform={"other": double})
    with pytest.raises(TypeError, match="input_transform: expected a callable, a list or a dict"):
        linear_model(input_transform=3)
    with pytest.raises(ValueError, match="expected at most 1 transforms, got 2"):
        linear_model(input_transform=[double, double])


def test_callers_list_of_transforms_is_left_alone():
    given = []
    linear_model(input_transform=given)
    assert given == []


def test_device_strings_and_moves():
    model = linear_model()
    assert model.device == torch.device("cpu")
    model.to("meta")
    assert model.device == torch.device("meta")
    assert {p.device.type for p in model.parameters()} == {"meta"}
    model = linear_model()
    model.device = "meta"
    assert {p.device.type for p in model.parameters()} == {"meta"}
    assert linear_model().to(torch.float64).device == torch.device("cpu")


def test_model_can_be_copied():
    model, x = linear_model(), torch.randn(2, 4)
    torch.testing.assert_close(copy.deepcopy(model)(x), model(x))


def test_soft_and_hard_update():
    mine, theirs = linear_model(), linear_model()
    before = {name: p.detach().clone() for name, p in mine.named_parameters()}
    mine.soft_update(theirs, tau=0.25)
    for name, p in mine.named_parameters():
        torch.testing.assert_close(p.detach(), 0.75 * before[name] + 0.25 * theirs.get_parameter(name).detach())
    mine.hard_update(theirs)
    torch.testing.assert_close(dict(mine.named_parameters()), dict(theirs.named_parameters()), rtol=0, atol=0)
    with pytest.raises(ValueError, match="other: expected the same parameters"):
        mine.soft_update(Sequential([Linear(4, 3)], device="cpu").build())


def save_checkpoints(folder, model):
    states = [{name: torch.full_like(v, float(k)) for name, v in model.state_dict().items()} for k in range(11)]
    for k in (2, 10):
        torch.save({"itr": k, "model_state_dict": states[k]}, folder / f"network-itr{k}.pt")
    meta = {"iterations": {"2": "network-itr2.pt", "10": "network-itr10.pt"}, "best": "network-itr2.pt"}
    path = folder / f"{model.name}-checkpoints.json"
    path.write_text(json.dumps(meta))
    return path


@pytest.mark.parametrize(("mode", "itr"), [("best", 2), ("best_itr", 2), ("last_itr", 10), ("LAST", 10)])
def test_load_checkpoint(tmp_path, mode, itr, capsys):
    model = Sequential([Linear(4, 3)], name="net", checkpoint_folder=str(tmp_path), device="cpu").build()
    path = save_checkpoints(tmp_path, model)
    assert model.checkpoints_meta_path == str(path)
    assert model.load_checkpoint(load_checkpoint_mode=mode)["itr"] == itr
    assert all(bool((v == itr).all()) for v in model.state_dict().values())
    assert f"network-itr{itr}.pt" in capsys.readouterr().out


def test_checkpoint_lies_beside_its_metadata_and_builds_the_model(tmp_path, capsys):
    save_checkpoints(tmp_path, Sequential([Linear(4, 3)], name="net", device="cpu").build())
    model = Sequential([Linear(4, 3)], device="cpu")
    model.load_checkpoint(tmp_path / "net-checkpoints.json", verbose=False)
    assert model.is_built
    assert capsys.readouterr().out == ""


def test_missing_checkpoints_raise(tmp_path):
    model = Sequential([Linear(4, 3)], name="net", checkpoint_folder=str(tmp_path), device="cpu").build()
    with pytest.raises(FileNotFoundError):
        model.load_checkpoint()
    path = save_checkpoints(tmp_path, model)
    with pytest.raises(ValueError, match="load_checkpoint_mode"):
        model.load_checkpoint(load_checkpoint_mode="newest")
    (tmp_path / "network-itr2.pt").unlink()
    with pytest.raises(FileNotFoundError, match=r"lists network-itr2\.pt, which is not at"):
        model.load_checkpoint()
    path.write_text('{"iterations": {}}')
    with pytest.raises(FileNotFoundError, match="no checkpoint is marked as the best one"):
        model.load_checkpoint()


def test_base_model_formats_sizes_and_has_no_computation():
    model = BaseModel(input_sizes=[3, 4], output_size={"out": 2}, device="cpu")
    assert model.input_sizes == {"0": 3, "1": 4}
    assert model.output_sizes == {"out": 2}
    assert BaseModel(device="cpu").input_sizes is None
    with pytest.raises(NotImplementedError):
        model(torch.zeros(1))
    with pytest.raises(NotImplementedError):
        model.to_onnx()


def test_regularization_loss_is_summed():
    model = SequentialRNN([LIFLayer(2, 3, regularize=True), Linear(3, 1)], device="cpu").build()
    assert model.get_and_reset_regularization_loss() == 0
