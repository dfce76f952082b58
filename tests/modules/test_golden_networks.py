"""Recorded runs of whole networks, through the fused path and step by step."""

import pytest
import torch
from helpers import GOLDEN_LAYERS, NETWORK_TOLERANCE, Recording, assert_near

from neurotorch.modules import layers as layer_classes
from neurotorch.modules.sequential_rnn import SequentialRNN
from neurotorch.transforms import ReduceMax

NETWORKS = [
    "seq_LIF_ALIF_LI",
    "seq_LI_init_hidden",
    "seq_LI_memory2",
    "seq_LI_transforms",
    "seq_SpyLIFLPF_Linear_foresight",
    "seq_SpyLIF_SpyLI",
    "seq_WC_Linear_dale_foresight",
    "seq_WC_single_foresight",
    "seq_two_inputs_two_outputs",
]
TRANSFORMS = {None: None, "ReduceMax(dim=1)": ReduceMax(dim=1)}
TOLERANCE = NETWORK_TOLERANCE[torch.float32]


def build(recording):
    def make(spec):
        if isinstance(spec, list):
            return [make(entry) for entry in spec]
        return getattr(layer_classes, spec["cls"])(**spec["kwargs"])

    model = SequentialRNN(
        [make(spec) for spec in recording.meta["layers"]],
        output_transform=TRANSFORMS[recording.meta["output_transform"]],
        device="cpu",
        **recording.meta["model_kwargs"],
    ).build()
    model.load_state_dict(recording.group("param"))
    return model


def given(recording):
    """Leaves that require gradients: the input or inputs, and the initial states by layer."""
    x = recording["x"] if "x" in recording else recording.group("x")
    states = {}
    for key, value in recording.group("h0").items():
        states.setdefault(key.split("/")[0], []).append(value.requires_grad_())
    for leaf in [x] if isinstance(x, torch.Tensor) else x.values():
        leaf.requires_grad_()
    return x, {name: tuple(state) for name, state in states.items()} or None


def gradients(model, x, states):
    named = {f"param/{name}": p for name, p in model.named_parameters() if p.requires_grad}
    named.update({"x": x} if isinstance(x, torch.Tensor) else {f"x/{name}": value for name, value in x.items()})
    named.update({f"h0/{name}/{i}": s for name, state in (states or {}).items() for i, s in enumerate(state)})
    return {name: leaf.grad for name, leaf in named.items()}


@pytest.mark.parametrize("stepwise", [False, True], ids=["fused", "steps"])
@pytest.mark.parametrize("name", NETWORKS)
def test_matches_recorded_network(name, stepwise):
    recording = Recording(name)
    model = build(recording)
    if stepwise:
        for layer in model.get_all_layers():
            layer.register_forward_hook(lambda *_: None)
    x, states = given(recording)
    assert {layer.path for layer in model.plan(x)} == (
        {"step by step"} if stepwise else {"fused network" if model.foresight_time_steps > 1 else "fused sequence"}
    )

    outputs, hidden = model(x, states)
    for key, recorded in recording.group("out").items():
        assert_near(outputs[key], recorded, TOLERANCE, f"out/{key}")
    traces = {f"{key}/{i}": t for key, h in hidden.items() if isinstance(h, tuple) for i, t in enumerate(h)}
    recorded_traces = recording.group("hh")
    assert traces.keys() == recorded_traces.keys()
    for key, recorded in recorded_traces.items():
        assert_near(traces[key], recorded, TOLERANCE, f"hh/{key}")
    for key, kind in recording.meta["hidden_state_kinds"].items():
        if kind != "tuple":
            assert hidden[key] == [None] * int(kind.split()[2])

    loss = sum((outputs[key] * c).sum() for key, c in recording.group("C").items())
    assert_near(loss, recording["loss"], TOLERANCE, "loss")
    loss.backward()
    actual = gradients(model, x, states)
    for key, recorded in recording.group("grad").items():
        assert_near(actual[key], recorded, TOLERANCE, f"grad/{key}")


@pytest.mark.parametrize("name", NETWORKS)
def test_checkpoint_keys_and_names_are_the_recorded_ones(name):
    recording = Recording(name)
    model = build(recording)
    assert list(model.state_dict()) == recording.meta["state_dict_keys"]
    assert model.get_all_layers_names() == recording.meta["default_names"]


def test_two_axes_are_one_time_step():
    """The reference runs F steps on ``[B, F]``, the first with the data: only that one is wanted."""
    recording = Recording("seq_2d_input_quirk")
    outputs, hidden = build(recording)(recording["x"])
    assert_near(outputs["a"], recording["out/a"][:, :1], TOLERANCE, "out")
    assert_near(hidden["a"][0], recording["hh/a/0"][:, :1], TOLERANCE, "hidden")


def test_every_recorded_network_is_accounted_for():
    recorded = {path.stem for path in GOLDEN_LAYERS.glob("seq_*.npz")}
    assert recorded == {*NETWORKS, "seq_2d_input_quirk"}
