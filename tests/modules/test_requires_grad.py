"""Freezing and thawing whole models: what must not be trained stays as it is."""

import copy

import pytest
import torch

import neurotorch as nt
from neurotorch import BPTT, Eprop, Trainer
from neurotorch.modules.layers import BellecLIFLayer, IzhikevichLayer, WilsonCowanLayer

SPIKING = [
    nt.LIFLayer,
    nt.ALIFLayer,
    nt.SpyLIFLayer,
    nt.SpyALIFLayer,
    nt.LIFLayerLPF,
    nt.SpyLIFLayerLPF,
    BellecLIFLayer,
    IzhikevichLayer,
]


def make(layer, **options):
    torch.manual_seed(0)
    return nt.SequentialRNN([layer(3, 4, **options), nt.LILayer(4, 2)], device="cpu").build()


def flags(model):
    return {name: p.requires_grad for name, p in model.named_parameters()}


@pytest.mark.parametrize(
    ("layer", "options"),
    [
        *[(layer, {}) for layer in SPIKING],
        (nt.SpyLIFLayer, {"learn_tau_mem": True, "force_dale_law": True}),
        (nt.ALIFLayer, {"learn_beta": True}),
        (WilsonCowanLayer, {"learn_mu": True, "learn_tau": True}),
    ],
)
def test_frozen_and_thawed_model_trains_what_it_did(layer, options):
    model = make(layer, **options)
    before = flags(model)
    assert set(before.values()) == {True, False}
    model.requires_grad_(False)
    assert set(flags(model).values()) == {False}
    model.requires_grad_(True)
    assert flags(model) == before
    assert flags(copy.deepcopy(model).requires_grad_(True)) == before


@pytest.mark.parametrize("layer", SPIKING)
@pytest.mark.parametrize("foresight", [0, 4])
def test_calls_work_when_every_parameter_requires_a_gradient(layer, foresight):
    torch.manual_seed(0)
    model = nt.SequentialRNN([layer(3, 4), nt.LILayer(4, 3)], foresight_time_steps=foresight, device="cpu").build()
    x = torch.rand(2, 10, 3)
    expected = model.get_prediction_trace(x)
    wanted = torch.autograd.grad(expected.sum(), [p for p in model.parameters() if p.requires_grad])
    trained = [p for p in model.parameters() if p.requires_grad]
    for p in model.parameters():
        p.requires_grad_(True)
    found = model.get_prediction_trace(x)
    assert torch.equal(found, expected)
    found.sum().backward()
    for p, grad in zip(trained, wanted, strict=True):
        assert torch.equal(p.grad, grad)
    hidden = model.get_layer()
    assert hidden.gamma.grad is None
    assert hidden.rec_mask.grad is None


@pytest.mark.parametrize("rule", [BPTT, Eprop])
def test_training_after_every_parameter_requires_a_gradient(rule):
    model = make(nt.SpyLIFLayer)
    for p in model.parameters():
        p.requires_grad_(True)
    gamma, mask = (getattr(model.get_layer(), name).detach().clone() for name in ("gamma", "rec_mask"))
    trainer = Trainer(model, predict_method="get_prediction_trace", learning_algorithm=rule(), verbose=False)
    trainer.train([(torch.rand(2, 10, 3) * 4, torch.rand(2, 10, 2))], n_iterations=2)
    assert torch.equal(model.get_layer().gamma, gamma)
    assert torch.equal(model.get_layer().rec_mask, mask)
