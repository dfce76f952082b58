"""E-prop against its oracle, and against backpropagation where theory says that they agree."""

import itertools
import math

import pytest
import torch
from eager import ORACLES
from eager.eprop import Layer, bellec_gradients, run_eprop
from test_eprop_golden import read_case, recorded_model, recorded_rule
from torch.utils.data import DataLoader, TensorDataset

from neurotorch import BPTT, Eprop, SequentialRNN, Trainer
from neurotorch.callbacks import BaseCallback
from neurotorch.functional import MODELS
from neurotorch.modules import layers as layer_classes
from neurotorch.modules.layers import BellecLIFLayer, LILayer, SpyLIFLayer

SGD = {
    "default_optimizer_cls": torch.optim.SGD,
    "default_optim_kwargs": {"lr": 0.1, "weight_decay": 0.01},
    "params_lr": 0.1,
    "output_params_lr": 0.05,
}
STILL = {
    "default_optimizer_cls": torch.optim.SGD,
    "default_optim_kwargs": {"lr": 0.0},
    "params_lr": 0.0,
    "output_params_lr": 0.0,
}
ADAMW = {"params_lr": 1e-3, "output_params_lr": 2e-3}
RAW = {
    "_forward_weights": "W",
    "_recurrent_weights": "R",
    "_forward_sign": "sign_W",
    "_recurrent_sign": "sign_R",
    "bias_weights": "bias",
}
WILSON_COWAN = {"hh_init": "zeros", "tau": 0.01, "learn_mu": True, "learn_r": True, "learn_tau": True}
HIDDEN = {
    "LIFLayer": {"gamma": 1.0},
    "ALIFLayer": {"gamma": 1.0, "learn_beta": True},
    "SpyLIFLayer": {"gamma": 1.0},
    "SpyLIFLayerLPF": {"gamma": 1.0},
    "SpyALIFLayerLPF": {"gamma": 1.0},
    "BellecLIFLayer": {},
    "IzhikevichLayer": {},
    "WilsonCowanLayer": WILSON_COWAN,
    "WilsonCowanCURBDLayer": {"hh_init": "zeros", "tau": 0.01},
}


def own_class(kind):
    """An optimiser that the driver leaves to torch."""
    return type(f"Own{kind.__name__}", (kind,), {})


def half_squares(prediction, target):
    return 0.5 * (prediction - target).square().sum()


def build(name, readout="LILayer", *, dale=False, two=False, foresight=0, recurrent=True, n_out=3, seed=1):
    torch.manual_seed(seed)
    activation = {"activation": "sigmoid"} if readout == "Linear" and foresight else {}
    hidden = getattr(layer_classes, name)(
        5, 6, name="h", use_recurrent_connection=recurrent, use_rec_eye_mask=True, force_dale_law=dale, **HIDDEN[name]
    )
    made = [hidden]
    if two:
        made.append(SpyLIFLayer(6, 4, name="g", gamma=1.0))
    made.append(getattr(layer_classes, readout)(4 if two else 6, n_out, name="o", **activation))
    return SequentialRNN(made, device="cpu", foresight_time_steps=foresight).build().double()


def data(steps, given=None, n_out=3, batch=2):
    torch.manual_seed(3)
    x = 2 * torch.rand(batch, given or steps, 5).double()
    return x, torch.rand(batch, steps, n_out).double()


class Watch(BaseCallback):
    """Gradients just before they are used, and predictions."""

    def __init__(self):
        super().__init__(priority=40, save_state=False)
        self.predictions, self.grads = [], {}

    def on_optimization_begin(self, trainer, **kwargs):
        self.predictions.append(kwargs["pred"].detach().clone())

    def on_optimization_end(self, trainer, **kwargs):
        self.grads = {n: p.grad.clone() for n, p in trainer.model.named_parameters() if p.grad is not None}


def train(model, rule, x, y, iterations=1, callbacks=()):
    watch = Watch()
    trainer = Trainer(model, predict_method="get_prediction_trace", callbacks=[rule, watch, *callbacks], verbose=False)
    trainer.train(DataLoader(TensorDataset(x, y), batch_size=len(x)), n_iterations=iterations)
    return watch


def values(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def assert_same_change(actual, expected, before, tolerance):
    """Parameters compared relative to how far they went."""
    for name, first in before.items():
        moved = (expected[name] - first).abs().max().item()
        error = (actual[name] - expected[name]).abs().max().item()
        assert error <= tolerance * (moved + 1e-9), f"{name}: {error:.1e} of {moved:.1e}"


# ---- against the oracle ------------------------------------------------------------------------------------------


def oracle_layer(layer, parameters):
    """The layer as the oracle has it, and its parameters by name there."""
    call = layer._operator_call()
    model = ORACLES[call.model]
    constants = {
        n: torch.as_tensor(c, dtype=torch.float64).detach()
        for n, c in zip(MODELS[call.model].constants, call.constants)
    }
    raw = {RAW.get(name, name): p.detach().clone().requires_grad_() for name, p in parameters if p.requires_grad}
    derived = {}
    if "tau_sqrt" in raw:
        derived = {
            "q": lambda raw: layer.dt / raw["tau_sqrt"].square(),
            "r": lambda raw: raw["r_sqrt"].square().flatten(),
            "mu": lambda raw: raw["mu"].flatten(),
        }
    poles = {"li": ["kappa"], "spy_li": ["alpha", "beta"]}.get(call.model, [])
    return Layer(
        model,
        raw,
        list(raw),
        constants,
        mask=layer.rec_mask.detach() if layer.use_recurrent_connection else None,
        surrogate=call.surrogate,
        activation=call.activation,
        poles=[constants[name].item() for name in poles],
        derived=derived,
    )


def run_oracle(model, rule, x, y, foresight, **options):
    layers = model.get_all_layers()
    made = [oracle_layer(layer, list(layer.named_parameters())) for layer in layers]
    everything = [p for layer in layers[:-1] for p in layer.parameters()]
    feedback = []
    matrices = dict(zip(map(id, everything), rule.feedback_weights["default_key"], strict=True))
    for layer in layers[:-1]:
        named = {RAW.get(n, n): matrices[id(p)].double() for n, p in layer.named_parameters()}
        shared = rule.eligibility == "published" or rule.feedback == "symmetric"
        feedback.append({"shared": named["W"]} if shared else named)
    if rule.feedback == "symmetric":
        feedback[-1] = {"shared": None}
    groups = [
        {"params": [p for one in made[:-1] for p in one.raw.values()], "lr": rule.params_lr},
        {"params": list(made[-1].raw.values()), "lr": rule.output_params_lr},
    ]
    steps = x.shape[1] + max(0, foresight - 1)
    predictions = run_eprop(
        made[:-1],
        made[-1],
        x,
        y,
        [list(layer._init_forward_state(None, len(x))) for layer in layers],
        rule.default_optimizer_cls(groups, **rule.default_optim_kwargs),
        feedback=feedback,
        steps=steps,
        eligibility=rule.eligibility,
        every=steps if rule.update == "sequence" else rule.update,
        mean_error=rule.batch_reduction == "mean_error",
        gamma=rule.gamma,
        alpha=rule.alpha,
        clip=None if math.isinf(rule.grad_norm_clip_value) else rule.grad_norm_clip_value,
        symmetric=rule.feedback == "symmetric",
        **options,
    )
    names = {}
    for layer, one in zip(layers, made, strict=True):
        ours = {id(p): RAW.get(n, n) for n, p in layer.named_parameters()}
        names |= {k: one.raw[ours[id(p)]].detach() for k, p in model.named_parameters() if ours.get(id(p)) in one.raw}
    return predictions.detach(), names


def check_against_oracle(name, rule, *, readout="LILayer", dale=False, two=False, foresight=0, tolerance=1e-7):
    given, steps = (3, foresight) if foresight else (None, 9)
    n_out = 5 if foresight else 3
    x, y = data(steps, given, n_out)
    model = build(name, readout, dale=dale, two=two, foresight=foresight, n_out=n_out)
    before = values(model)
    untouched = build(name, readout, dale=dale, two=two, foresight=foresight, n_out=n_out)
    watch = train(model, rule, x, y)
    predictions, expected = run_oracle(untouched, rule, x, y, foresight)
    torch.testing.assert_close(watch.predictions[0], predictions[:, -steps:], rtol=1e-6, atol=1e-8)
    learned = {n: p for n, p in before.items() if n in expected}
    assert_same_change(values(model), expected, learned, tolerance)
    frozen = set(before) - set(expected)
    assert all(torch.equal(values(model)[n], before[n]) for n in frozen)


UPDATES = [1, 4, "sequence"]


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("eligibility", ["instantaneous", "published"])
@pytest.mark.parametrize("name", HIDDEN)
def test_matches_oracle(name, eligibility, update):
    rule = Eprop(eligibility=eligibility, update=update, gamma=0.3, alpha=0.2, **SGD)
    check_against_oracle(name, rule)


@pytest.mark.parametrize("reduction", ["per_sample", "mean_error"])
@pytest.mark.parametrize("feedback", ["random", "symmetric"])
@pytest.mark.parametrize(("eligibility", "update"), list(itertools.product(["instantaneous", "published"], UPDATES)))
def test_every_combination_matches_oracle(eligibility, update, feedback, reduction):
    rule = Eprop(
        eligibility=eligibility,
        update=update,
        feedback=feedback,
        batch_reduction=reduction,
        gamma=0.3,
        alpha=0.2,
        **SGD,
    )
    check_against_oracle("SpyLIFLayer", rule, readout="SpyLILayer")


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("eligibility", ["instantaneous", "published"])
@pytest.mark.parametrize("name", ["SpyLIFLayerLPF", "WilsonCowanLayer"])
def test_dales_law_in_closed_loop_matches_oracle(name, eligibility, update):
    rule = Eprop(eligibility=eligibility, update=update, gamma=0.3, alpha=0.2, **SGD)
    check_against_oracle(name, rule, readout="Linear", dale=True, foresight=8)


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("eligibility", ["instantaneous", "published"])
def test_two_hidden_layers_match_oracle(eligibility, update):
    rule = Eprop(eligibility=eligibility, update=update, gamma=0.3, alpha=0.2, **SGD)
    check_against_oracle("LIFLayer", rule, two=True)


@pytest.mark.parametrize("through_torch", [False, True], ids=["native", "torch"])
@pytest.mark.parametrize("dale", [False, True])
@pytest.mark.parametrize("update", UPDATES)
def test_adamw_and_clipping_match_oracle(update, dale, through_torch):
    kind = own_class(torch.optim.AdamW) if through_torch else torch.optim.AdamW
    rule = Eprop(update=update, grad_norm_clip_value=0.05, default_optimizer_cls=kind, **ADAMW)
    check_against_oracle("LIFLayer", rule, dale=dale, tolerance=1e-5)


def test_recorded_run_of_two_hidden_layers():
    """NeuroTorch's traces decay at every hidden layer's call. The oracle with that has the recorded numbers."""
    archive, meta = read_case("eprop_two_hidden")
    x, y = (torch.from_numpy(archive[name]).double() for name in "xy")
    recorded, plain, ours = (recorded_model(archive, meta).double() for _ in range(3))
    for iteration in range(meta["n_iterations"]):
        for model, quirk in ((recorded, True), (plain, False)):
            rule = recorded_rule(archive, meta)
            predictions, after = run_oracle(model, rule, x, y, 0, decays_per_layer=quirk)
            model.load_state_dict({**model.state_dict(), **after})
            if quirk:
                expected = torch.from_numpy(archive["pred"][iteration]).double()
                torch.testing.assert_close(predictions, expected, rtol=1e-5, atol=1e-5)
    for name, value in values(recorded).items():
        torch.testing.assert_close(value.float(), torch.from_numpy(archive[f"final/{name}"]), rtol=1e-5, atol=1e-6)
    rule = recorded_rule(archive, meta)
    rule.feedback_weights = {key: [m.double() for m in lists] for key, lists in rule.feedback_weights.items()}
    train(ours, rule, x, y, iterations=meta["n_iterations"])
    assert_same_change(values(ours), values(plain), values(recorded_model(archive, meta).double()), 1e-7)


@pytest.mark.parametrize("rewarded", [False, True])
def test_bellecs_equations(rewarded):
    """The paper's own case: LIF neurons with subtractive reset and triangular surrogate, no self-connections."""
    torch.manual_seed(2)
    hidden = BellecLIFLayer(5, 8, name="h", use_recurrent_connection=True, use_rec_eye_mask=True)
    model = SequentialRNN([hidden, LILayer(8, 3, name="o")], device="cpu").build().double()
    x, y = data(30, batch=1)
    deltas = torch.randn(1, 30).double()
    own = {}
    if rewarded:
        own = {
            "modulation": lambda outs, target: deltas,
            "modulation_decay": 0.8,
            "errors": lambda outs, target: {"o": outs["o"] - target},
        }
    rule = Eprop(eligibility="published", update="sequence", **own, **STILL)
    watch = train(model, rule, x, y)
    out = model.output_layers["o"]
    expected = bellec_gradients(
        x[0],
        y[0],
        *(p.detach() for p in (hidden._forward_weights, hidden._recurrent_weights, out._forward_weights)),
        out.bias_weights.detach(),
        rule.feedback_weights["default_key"][[n for n, _ in hidden.named_parameters()].index("_forward_weights")],
        *(float(c) for c in (hidden.alpha, hidden.threshold, hidden.gamma, out.kappa)),
        deltas=deltas[0] if rewarded else None,
        discount=0.8 if rewarded else 0.0,
    )
    names = ("input_layers.h._forward_weights", "input_layers.h._recurrent_weights", "output_layers.o._forward_weights")
    for name, grad in zip(names, expected, strict=True):
        assert grad.abs().max() > 0
        torch.testing.assert_close(watch.grads[name], grad, msg=name)


@pytest.mark.parametrize("dale", [False, True])
@pytest.mark.parametrize("readout", ["LILayer", "SpyLILayer", "Linear"])
@pytest.mark.parametrize("name", HIDDEN)
def test_is_backpropagation_without_recurrence(name, readout, dale):
    x, y = data(20)
    grads = []
    for kind in (BPTT, Eprop):
        own = {"default_optimizer_cls": torch.optim.SGD, "default_optim_kwargs": {"lr": 0.0}}
        if kind is Eprop:
            own = {"eligibility": "published", "feedback": "symmetric", "update": "sequence", **STILL}
        model = build(name, readout, dale=dale, recurrent=False)
        grads.append(train(model, kind(criterion=half_squares, **own), x, y).grads)
    assert grads[0].keys() == grads[1].keys()
    for parameter, grad in grads[0].items():
        torch.testing.assert_close(grads[1][parameter], grad, rtol=1e-9, atol=1e-9, msg=parameter)
