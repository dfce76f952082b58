"""Recorded runs of the layers: as one sequence, in one call, and step by step."""

import warnings

import pytest
import torch
from helpers import LAYER_TOLERANCE, Recording, assert_near, recordings

from neurotorch.modules import HeavisidePhiApprox, HeavisideSigmoidApprox
from neurotorch.modules import layers as layer_classes

LAYERS = (
    "LIF",
    "SpyLIF",
    "LIFLPF",
    "SpyLIFLPF",
    "ALIF",
    "SpyALIF",
    "ALIFLPF",
    "SpyALIFLPF",
    "BellecLIF",
    "LI",
    "SpyLI",
    "Linear",
    "LinearJtoI",
    "LinearRNN",
    "WilsonCowan",
    "WilsonCowanCURBD",
    "FiringRate",
)
NAMES = [name for layer in LAYERS for name in recordings(layer)]
SPIKE_FUNCTIONS = {f.__name__: f for f in (HeavisidePhiApprox, HeavisideSigmoidApprox)}


def recorded_layer(recording: Recording):
    """The layer as it was recorded: built from its keywords, all parameters overwritten."""
    kwargs = dict(recording.meta["kwargs"])
    if "spike_func" in kwargs:
        kwargs["spike_func"] = SPIKE_FUNCTIONS[kwargs["spike_func"]]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*that the equations do not use")
        layer = getattr(layer_classes, recording.meta["layer"])(device="cpu", **kwargs).build()
    if recording.meta["dtype"].endswith("float64"):
        layer.double()
    layer.load_state_dict(recording.group("param"))
    return layer


def as_sequence(layer, x, state):
    out, traces = layer.forward_sequence(x, state, trace=True)
    return out, traces


def with_recomputation(layer, x, state):
    return layer.forward_sequence(x, state, trace=True, recompute_every=3)


def step_by_step(layer, x, state):
    outs, states = [], []
    for x_t in x.unbind(1):
        result = layer(x_t, state)
        out, state = (result, ()) if isinstance(result, torch.Tensor) else result
        outs.append(out)
        states.append(state)
    return torch.stack(outs, 1), tuple(torch.stack(trace, 1) for trace in zip(*states, strict=True))


@pytest.mark.parametrize("run", [as_sequence, with_recomputation, step_by_step])
@pytest.mark.parametrize("name", NAMES)
def test_matches_recorded_layer(name, run):
    recording = Recording(name)
    layer, x = recorded_layer(recording), recording["x"].requires_grad_()
    state = tuple(s.requires_grad_() for s in recording.group("h0").values())
    tolerance = LAYER_TOLERANCE[x.dtype]
    out, traces = run(layer, x, state or None)

    assert_near(out, recording["out"], tolerance, "out")
    recorded = recording.group("state")
    assert len(traces) == len(recorded)
    for i, trace in enumerate(traces):
        assert_near(trace, recorded[str(i)], tolerance, f"state {i}")
        if recording.meta["state_names"][i] == "Z":
            assert torch.equal(trace, recorded[str(i)])

    parameters = {f"param/{key}": p for key, p in layer.named_parameters()}
    trainable = {f"param/{key}" for key in recording.meta["trainable"]}
    assert {key for key, p in parameters.items() if p.requires_grad} == trainable
    targets = {"x": x, **{f"h0/{i}": s for i, s in enumerate(state)}, **{key: parameters[key] for key in trainable}}
    loss_a = (out * recording["C"]).sum()
    losses = {"A": loss_a, "B": loss_a + sum((s * d).sum() for s, d in zip(traces, recording.group("D").values()))}
    for kind, loss in losses.items():
        assert_near(loss, recording[f"loss{kind}"], tolerance, f"loss {kind}")
        assert_gradients(loss, targets, recording.group(f"grad{kind}"), recording.meta["none_grads"][kind], tolerance)
    if "reg_loss" in recording:
        loss = layer.get_regularization_loss()
        # Recorded in float32 whatever the dtype of the layer.
        assert_near(loss, recording["reg_loss"], LAYER_TOLERANCE[torch.float32], "regularisation loss")
        recorded = recording.group("gradReg")
        assert_gradients(loss, {key: targets[key] for key in recorded}, recorded, [], tolerance)


def assert_gradients(loss, targets, recorded, missing, tolerance):
    assert targets.keys() == recorded.keys() | set(missing)
    grads = torch.autograd.grad(loss, list(targets.values()), retain_graph=True, allow_unused=True)
    for (key, target), grad in zip(targets.items(), grads, strict=True):
        assert_near(grad, recorded.get(key, torch.zeros_like(target)), tolerance, f"grad {key}")


@pytest.mark.parametrize("name", NAMES)
def test_one_call_on_a_sequence(name):
    recording = Recording(name)
    result = recorded_layer(recording)(recording["x"], tuple(recording.group("h0").values()) or None)
    out, state = (result, ()) if recording.meta["layer"] in ("Linear", "LinearJtoI") else result
    tolerance = LAYER_TOLERANCE[out.dtype]
    assert_near(out, recording["out"], tolerance, "out")
    for i, s in enumerate(state):
        assert_near(s, recording[f"state/{i}"][:, -1], tolerance, f"state {i}")


@pytest.mark.parametrize("name", NAMES)
def test_effective_weights(name):
    recording = Recording(name)
    layer = recorded_layer(recording)
    tolerance = LAYER_TOLERANCE[recording["x"].dtype]
    assert_near(layer.forward_weights, recording["effective/forward_weights"], tolerance, "forward")
    if "effective/recurrent_weights" in recording:
        recurrent = layer.recurrent_weights * layer.rec_mask
        assert_near(recurrent, recording["effective/recurrent_weights"], tolerance, "recurrent")


@pytest.mark.parametrize("name", NAMES)
def test_checkpoint_keys(name):
    recording = Recording(name)
    assert list(recorded_layer(recording).state_dict()) == list(recording.group("param"))


@pytest.mark.parametrize("name", NAMES)
def test_every_recorded_layer_is_fused(name):
    """Only an activation that the operators do not have runs beside them."""
    layer = recorded_layer(Recording(name))
    beside = Recording(name).meta["kwargs"].get("activation") in ("softmax", "elu")
    assert (layer.fused_call() is None) == beside
    assert (layer.fused_reason() is None) != beside
