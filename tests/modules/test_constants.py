"""Time constants and thresholds of layers: one per neuron, trained, in checkpoints."""

import copy
import pickle

import pytest
import torch

import neurotorch as nt
from neurotorch import functional
from neurotorch.modules.layers import BellecLIFLayer

N = 5
TAU = torch.tensor([0.004, 0.01, 0.02, 0.05, 0.2])

# Class, argument, name of the constant, free parameter, value per neuron.
TRAINED = [
    (nt.LIFLayer, "tau_m", "alpha", "logit_alpha"),
    (BellecLIFLayer, "tau_m", "alpha", "logit_alpha"),
    (nt.ALIFLayer, "tau_m", "alpha", "logit_alpha"),
    (nt.ALIFLayer, "tau_a", "rho", "logit_rho"),
    (nt.SpyLIFLayer, "tau_syn", "alpha", "logit_alpha"),
    (nt.SpyLIFLayer, "tau_mem", "beta", "logit_beta"),
    (nt.SpyALIFLayer, "tau_syn", "alpha", "logit_alpha"),
    (nt.SpyALIFLayer, "tau_mem", "beta", "logit_beta"),
    (nt.SpyALIFLayer, "tau_a", "rho", "logit_rho"),
    (nt.LIFLayerLPF, "tau_m", "alpha", "logit_alpha"),
    (nt.LIFLayerLPF, "lpf_alpha", "lpf_alpha", "logit_lpf_alpha"),
    (nt.ALIFLayerLPF, "tau_a", "rho", "logit_rho"),
    (nt.ALIFLayerLPF, "lpf_alpha", "lpf_alpha", "logit_lpf_alpha"),
    (nt.SpyLIFLayerLPF, "tau_mem", "beta", "logit_beta"),
    (nt.SpyLIFLayerLPF, "lpf_alpha", "lpf_alpha", "logit_lpf_alpha"),
    (nt.SpyALIFLayerLPF, "tau_syn", "alpha", "logit_alpha"),
    (nt.SpyALIFLayerLPF, "lpf_alpha", "lpf_alpha", "logit_lpf_alpha"),
    (nt.LILayer, "tau_out", "kappa", "logit_kappa"),
    (nt.SpyLILayer, "tau_syn", "alpha", "logit_alpha"),
    (nt.SpyLILayer, "tau_mem", "beta", "logit_beta"),
]
THRESHOLDS = [
    nt.LIFLayer,
    BellecLIFLayer,
    nt.ALIFLayer,
    nt.SpyLIFLayer,
    nt.SpyALIFLayer,
    nt.LIFLayerLPF,
    nt.ALIFLayerLPF,
    nt.SpyLIFLayerLPF,
    nt.SpyALIFLayerLPF,
]


def value_of(argument, per_neuron):
    values = torch.exp(-0.001 / TAU) if argument == "lpf_alpha" else TAU
    return values if per_neuron else float(values[2])


def make(cls, **kwargs):
    torch.manual_seed(0)
    layer = cls(4, N, dt=0.001, gamma=1.0, **kwargs) if cls in THRESHOLDS else cls(4, N, dt=0.001, **kwargs)
    layer.build()
    layer.forward_weights = torch.rand(4, N)
    return layer.double()


def drive(seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(3, 12, 4, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("per_neuron", [False, True])
@pytest.mark.parametrize(("cls", "argument", "name", "key"), TRAINED)
def test_trained_decays(cls, argument, name, key, per_neuron):
    layer = make(cls, **{argument: value_of(argument, per_neuron), f"learn_{argument}": True})
    plain = make(cls, **{argument: value_of(argument, per_neuron)})
    stored = dict(layer.named_parameters())[key]
    assert stored.requires_grad
    assert stored.shape == ((N,) if per_neuron else ())
    assert name not in layer.state_dict()
    assert key in layer.state_dict()
    torch.testing.assert_close(
        getattr(layer, name), torch.as_tensor(getattr(plain, name)).double(), rtol=1e-6, atol=0.0
    )
    assert layer.fused_reason() is None
    # The gradient of the free parameter is that of the constant times the derivative of the sigmoid.
    x, coefficients = drive(), drive(2)[:, :, :1]
    out, _ = layer.forward_sequence(x)
    (out * coefficients).sum().backward()
    call = layer.fused_call()
    constants = [torch.as_tensor(c).detach().double() for c in call.constants]
    place = functional.MODELS[layer.model].constants.index(name)
    constants[place].requires_grad_()
    out, _ = functional.run_sequence(call._replace(constants=tuple(constants)), x)
    (out * coefficients).sum().backward()
    value = constants[place].detach()
    expected = constants[place].grad * value * (1.0 - value)
    assert expected.abs().max() > 0
    torch.testing.assert_close(stored.grad, expected)


@pytest.mark.parametrize("cls", THRESHOLDS)
def test_trained_thresholds(cls):
    thresholds = torch.linspace(0.5, 1.5, N)
    layer = make(cls, threshold=thresholds, learn_threshold=True)
    torch.testing.assert_close(layer.threshold, thresholds.double(), rtol=1e-6, atol=0.0)
    out, _ = layer.forward_sequence(drive())
    out.sum().backward()
    assert layer.log_threshold.grad.shape == (N,)
    assert layer.log_threshold.grad.abs().max() > 0
    plain = make(cls, threshold=thresholds)
    assert torch.equal(plain.forward_sequence(drive())[0], out)
    assert "threshold" not in layer.state_dict()
    assert plain.state_dict()["threshold"].shape == (N,)


@pytest.mark.parametrize(("cls", "argument", "name", "key"), TRAINED)
def test_one_value_per_neuron_is_one_layer_per_neuron(cls, argument, name, key):
    whole = make(cls, **{argument: value_of(argument, True)}, **recurrence(cls))
    out, _ = whole.forward_sequence(drive())
    for j in range(N):
        value = float(value_of(argument, True)[j])
        single = make(cls, **{argument: value}, **recurrence(cls))
        torch.testing.assert_close(single.forward_sequence(drive())[0][:, :, j], out[:, :, j], rtol=1e-5, atol=1e-6)


def recurrence(cls):
    return {} if cls in (nt.LILayer, nt.SpyLILayer) else {"use_recurrent_connection": False}


@pytest.mark.parametrize("trained_first", [False, True])
def test_checkpoints_of_trained_and_plain_layers_load_into_each_other(trained_first):
    arguments = {"tau_mem": TAU, "threshold": 0.7}
    trained = {"learn_tau_mem": True, "learn_threshold": True}
    source = make(nt.SpyLIFLayer, **arguments, **(trained if trained_first else {}))
    target = make(nt.SpyLIFLayer, tau_mem=TAU.flip(0), threshold=1.0, **({} if trained_first else trained))
    target.load_state_dict(source.state_dict())
    torch.testing.assert_close(target.beta, source.beta)
    torch.testing.assert_close(target.threshold, source.threshold)
    same = make(nt.SpyLIFLayer, tau_mem=TAU.flip(0), **(trained if trained_first else {}))
    same.load_state_dict(source.state_dict())
    assert torch.equal(same.beta, source.beta)


def test_training_keeps_decays_and_thresholds_in_their_range():
    layer = make(nt.SpyLIFLayer, tau_mem=TAU, learn_tau_mem=True, threshold=0.5, learn_threshold=True)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    for _ in range(5):
        optimizer.zero_grad()
        layer.forward_sequence(drive())[0].square().sum().backward()
        optimizer.step()
    assert not torch.equal(layer.beta, torch.exp(-0.001 / TAU).double())
    assert ((layer.beta >= 0) & (layer.beta <= 1)).all()
    assert layer.threshold > 0


def test_trained_constants_in_closed_loop_and_in_a_network():
    layers = [nt.SpyLIFLayerLPF(N, N, tau_mem=TAU, learn_tau_mem=True, gamma=1.0), nt.LILayer(N, N, learn_tau_out=True)]
    model = nt.SequentialRNN(layers, foresight_time_steps=6).build()
    x = torch.rand(2, 3, N) * 5
    assert model.plan(x).is_fused
    out, _ = model(x)
    next(iter(out.values())).sum().backward()
    assert layers[0].logit_beta.grad.abs().max() > 0
    assert layers[1].logit_kappa.grad.abs() > 0
    assert "input_layers.input_0.logit_beta" in model.state_dict()


def test_time_constants_can_be_read():
    layer = make(nt.SpyALIFLayer, tau_mem=TAU, learn_tau_mem=True, tau_a=0.3)
    found = layer.get_time_constants()
    assert list(found) == ["tau_syn", "tau_mem", "tau_a"]
    torch.testing.assert_close(found["tau_mem"], TAU.double(), rtol=1e-4, atol=0.0)
    torch.testing.assert_close(found["tau_a"], torch.tensor(0.3).double(), rtol=1e-4, atol=0.0)


def test_trained_constants_are_assigned_copied_and_pickled():
    layer = make(nt.LIFLayer, learn_tau_m=True)
    layer.alpha = 0.25
    assert abs(layer.alpha.item() - 0.25) < 1e-7
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other.alpha, layer.alpha)
    with pytest.raises(ValueError, match="alpha: expected values between 0 and 1"):
        layer.alpha = 1.5


def test_trained_constants_train_in_frozen_layers():
    layer = make(nt.LIFLayer, learn_tau_m=True, freeze_weights=True)
    assert [name for name, p in layer.named_parameters() if p.requires_grad] == ["logit_alpha"]


def test_compiles_without_a_break():
    layer = make(nt.SpyLIFLayerLPF, tau_mem=TAU, learn_tau_mem=True, learn_lpf_alpha=True)
    compiled = torch.compile(lambda x: layer.forward_sequence(x)[0], fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(drive()), layer.forward_sequence(drive())[0])


@pytest.mark.parametrize("value", [0.0, -0.01, float("nan"), [0.01, -0.01, 0.01, 0.01, 0.01]])
def test_time_constants_must_be_positive(value):
    with pytest.raises(ValueError, match="tau_mem, dt: expected positive numbers of seconds"):
        nt.SpyLIFLayer(4, N, tau_mem=value)
    with pytest.raises(ValueError, match="tau_m, dt: expected positive"):
        nt.LIFLayer(4, N, dt=-0.001)


def test_wrong_numbers_of_values():
    for cls, argument in ((nt.LIFLayer, "tau_m"), (nt.LIFLayer, "threshold"), (nt.LILayer, "kappa")):
        with pytest.raises(
            ValueError, match=rf"{argument}\b.*: expected a scalar or one value for each of {N} neurons"
        ):
            cls(4, N, **{argument: [0.5, 0.6]}).build()
    with pytest.raises(ValueError, match="threshold: expected values above 0"):
        nt.LIFLayer(4, N, threshold=-1.0, learn_threshold=True)
    with pytest.raises(ValueError, match="learn_kappa, learn_tau_out"):
        nt.LILayer(4, N, learn_kappa=True, learn_tau_out=True)


def test_recorded_keys_stay_without_training():
    assert list(make(nt.LILayer).state_dict())[:1] == ["kappa"]
    assert list(make(nt.SpyLIFLayer, tau_mem=TAU).state_dict())[:4] == ["alpha", "beta", "threshold", "gamma"]
