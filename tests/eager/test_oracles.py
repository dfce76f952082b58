"""The oracles against recorded runs, so that they can stand for the reference everywhere else."""

import pytest
import torch
from helpers import LAYER_TOLERANCE, NETWORK_TOLERANCE, Recording, assert_near, recordings

from eager import ORACLES, network, run_sequence
from eager.surrogates import SPIKES

MODELS = {
    "LIF": "lif",
    "SpyLIF": "spy_lif",
    "LIFLPF": "lif_lpf",
    "SpyLIFLPF": "spy_lif_lpf",
    "LI": "li",
    "SpyLI": "spy_li",
    "Linear": "linear",
    "ALIF": "alif",
    "SpyALIF": "spy_alif",
    "ALIFLPF": "alif_lpf",
    "SpyALIFLPF": "spy_alif_lpf",
    "BellecLIF": "bellec_lif",
    "WilsonCowan": "wilson_cowan",
    "WilsonCowanCURBD": "wilson_cowan_curbd",
    "LinearRNN": "linear_rnn",
}
DEFAULTS = {"bellec_lif": "HeavisidePhiApprox"}
SURROGATES = {"HeavisideSigmoidApprox": "fast_sigmoid", "HeavisidePhiApprox": "phi"}
STATE_NAMES = {"v": "V", "i": "I_syn", "phi": "Z_filtered", "a": "a", "z": "Z", "h": "hh"}
DEFAULT_ACTIVATIONS = {"wilson_cowan": "sigmoid", "wilson_cowan_curbd": "sigmoid"}


def effective(parameters, kind):
    """Effective weights of one kind from the raw parameters: Dale's law, then the mask."""
    weight = parameters.get(f"_{kind}_weights")
    if weight is not None and f"_{kind}_sign" in parameters:
        weight = weight**2 * torch.tanh(parameters[f"_{kind}_sign"])
    if weight is not None and kind == "recurrent":
        weight = weight * parameters["rec_mask"]
    return weight


def constants(model, parameters, like, lpf_alpha=None, dt=1e-3):
    named = {**parameters, "bias": parameters.get("bias_weights", like.new_zeros(())), "lpf_alpha": lpf_alpha}
    if "tau_sqrt" in parameters:
        named |= {"q": dt / parameters["tau_sqrt"] ** 2, "r": parameters["r_sqrt"] ** 2}
    return [named[name] for name in ORACLES[model].constants]


def default_state(model, x, neurons, kwargs):
    """Rate layers start from their first input ``x[:, 0]``, the others from zeros."""
    if kwargs.get("hh_init", "inputs" if model in DEFAULT_ACTIVATIONS else "zeros") == "inputs":
        return (x[:, 0],)
    return ORACLES[model].initial_state(x, x.shape[0], neurons)


@pytest.mark.parametrize("name", [name for layer in MODELS for name in recordings(layer)])
def test_recorded_layer(name):
    recording = Recording(name)
    meta, x = recording.meta, recording["x"].requires_grad_()
    model = MODELS[meta["layer"].removesuffix("LPF").removesuffix("Layer") + ("LPF" if "LPF" in meta["layer"] else "")]
    parameters = recording.group("param")
    for key in meta["trainable"]:
        parameters[key].requires_grad_()
    oracle = ORACLES[model]
    state = [s.requires_grad_() for s in recording.group("h0").values()]
    assert [STATE_NAMES[s] for s in oracle.states] == (meta["state_names"] or [])

    out, traces = run_sequence(
        oracle,
        x,
        effective(parameters, "forward"),
        effective(parameters, "recurrent"),
        state or default_state(model, x, meta["output_size"], meta["kwargs"]),
        constants(model, parameters, x, recording.arrays.get("const/lpf_alpha"), meta["kwargs"].get("dt")),
        SURROGATES[meta["kwargs"].get("spike_func", DEFAULTS.get(model, "HeavisideSigmoidApprox"))],
        meta["kwargs"].get("activation", DEFAULT_ACTIVATIONS.get(model, "identity")),
    )
    tolerance = LAYER_TOLERANCE[x.dtype]
    assert_near(out, recording["out"], tolerance, "out")
    for i, trace in enumerate(traces):
        assert_near(trace, recording[f"state/{i}"], tolerance, f"state/{i}")
        if i == oracle.spikes:
            assert torch.equal(trace, recording[f"state/{i}"])

    targets = {"x": x, **{f"h0/{i}": s for i, s in enumerate(state)}}
    targets |= {f"param/{key}": parameters[key] for key in meta["trainable"]}
    loss_a = (out * recording["C"]).sum()
    losses = {"A": loss_a, "B": loss_a + sum((s * recording[f"D/{i}"]).sum() for i, s in enumerate(traces))}
    if "reg_loss" in recording:
        losses["Reg"] = meta["kwargs"]["spikes_regularization_factor"] * traces[oracle.spikes].sum()
    for kind, loss in losses.items():
        expected = recording["reg_loss" if kind == "Reg" else f"loss{kind}"]
        # The regularisation loss was recorded in float32 whatever the layer's dtype.
        tolerance = LAYER_TOLERANCE[torch.float32 if kind == "Reg" else x.dtype]
        assert_near(loss, expected, tolerance, f"loss {kind}")
        grads = torch.autograd.grad(loss, list(targets.values()), retain_graph=True, allow_unused=True)
        recorded = recording.group(f"grad{kind}")
        for key, grad in zip(targets, grads, strict=True):
            if key in recorded:
                assert_near(grad, recorded[key], tolerance, f"grad{kind}/{key}")
            else:
                assert kind == "Reg" or key in meta["none_grads"][kind]
                assert kind == "Reg" or grad is None or not grad.any(), key


NETWORKS = [
    "seq_LIF_ALIF_LI",
    "seq_LI_init_hidden",
    "seq_SpyLIFLPF_Linear_foresight",
    "seq_SpyLIF_SpyLI",
    "seq_WC_Linear_dale_foresight",
    "seq_WC_single_foresight",
    "seq_two_inputs_two_outputs",
]


@pytest.mark.parametrize("name", NETWORKS)
def test_recorded_network(name):
    recording = Recording(name)
    meta, parameters = recording.meta, recording.group("param")
    groups = [entry if isinstance(entry, list) else [entry] for entry in meta["layers"]]
    roles = ["input_layers", *["hidden_layers"] * (len(groups) - 2), "output_layers"][-len(groups) :]
    layers, states, names, hidden = [], [], [], 0
    default_names = iter(meta["default_names"])
    grads = recording.group("grad")
    targets = {key: parameters[key.removeprefix("param/")] for key in grads if key.startswith("param/")}
    xs = {f"x/{key}": x for key, x in recording.group("x").items()} or {"x": recording["x"]}
    targets |= {key: x.requires_grad_() for key, x in xs.items() if key in grads}
    for role, group in zip(roles, groups, strict=True):
        for spec in group:
            names.append(next(default_names))
            prefix = f"{role}.{hidden if role == 'hidden_layers' else names[-1]}."
            hidden += role == "hidden_layers"
            own = {key.removeprefix(prefix): p for key, p in parameters.items() if key.startswith(prefix)}
            model, kwargs = MODELS[spec["cls"].replace("Layer", "")], spec["kwargs"]
            weight = own["_forward_weights"]
            lpf_alpha = own["beta"].double() if model == "spy_lif_lpf" else None  # the default: exp(-dt / tau_mem)
            activation = kwargs.get("activation", DEFAULT_ACTIVATIONS.get(model, "identity"))
            layers.append((model, own, lpf_alpha, activation, kwargs.get("dt")))
            given = recording.group(f"h0/{names[-1]}")
            x = next(iter(xs.values()))
            states.append(tuple(given.values()) or default_state(model, x, weight.shape[1], kwargs))
            targets |= {f"h0/{names[-1]}/{i}": s for i, s in given.items() if f"h0/{names[-1]}/{i}" in grads}
    for leaf in targets.values():
        leaf.requires_grad_()
    calls = [
        network.Layer(
            ORACLES[model],
            effective(own, "forward"),
            effective(own, "recurrent"),
            constants(model, own, own["_forward_weights"], lpf_alpha, dt),
            activation=activation,
        )
        for model, own, lpf_alpha, activation, dt in layers
    ]
    n_inputs, n_outputs = len(groups[0]) if len(groups) > 1 else 0, len(groups[-1])
    given = list(xs.values())
    outs, traces = network.run_network(
        calls,
        given * n_inputs if len(given) < n_inputs else given,
        states,
        n_inputs=n_inputs,
        n_outputs=n_outputs,
        foresight=meta["model_kwargs"].get("foresight_time_steps", 0),
        feedback=list(range(max(1, n_inputs))),
    )
    tolerance = NETWORK_TOLERANCE[torch.float32]
    outs = dict(zip(names[-n_outputs:], outs, strict=True))
    if meta["output_transform"]:
        assert meta["output_transform"] == "ReduceMax(dim=1)"
        outs = {key: out.max(1).values for key, out in outs.items()}
    for key, recorded in recording.group("out").items():
        assert_near(outs[key][:, -recorded.shape[1] :], recorded, tolerance, key)
    by_name = dict(zip(names, traces, strict=True))
    for key, recorded in recording.group("hh").items():
        layer, i = key.split("/")
        assert_near(by_name[layer][int(i)][:, -recorded.shape[1] :], recorded, tolerance, key)
    loss = sum((outs[key][:, -c.shape[1] :] * c).sum() for key, c in recording.group("C").items())
    assert_near(loss, recording["loss"], tolerance, "loss")
    for (key, _), grad in zip(targets.items(), torch.autograd.grad(loss, list(targets.values())), strict=True):
        assert_near(grad, grads[key], tolerance, key)


def recorded_spike_functions():
    keys = {key.rsplit("/", 1)[0] for key in Recording("spike_functions").arrays if key.startswith("Heaviside")}
    return sorted(keys)


@pytest.mark.parametrize("key", recorded_spike_functions())
def test_recorded_surrogate(key):
    recording = Recording("spike_functions")
    name, setting = key.split("/")
    gamma, threshold = (float(part[len(prefix) :]) for prefix, part in zip(("gamma", "thr"), setting.split("_")))
    v = recording["V"].requires_grad_()
    threshold = torch.full_like(v, threshold).requires_grad_()
    z = SPIKES[SURROGATES[name]](v, threshold, v.new_tensor(gamma))
    z.backward(recording[f"{key}/grad_out"])
    assert torch.equal(z, recording[f"{key}/out"])
    assert_near(v.grad, recording[f"{key}/grad_V"], 1e-6, "v")
    assert_near(threshold.grad, recording[f"{key}/grad_thr"], 1e-6, "threshold")
