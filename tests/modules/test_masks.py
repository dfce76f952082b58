"""Masks of connections: what they exclude stays excluded."""

import numpy as np
import pytest
import torch

from neurotorch import BPTT, TBPTT, LILayer, Linear, LinearJtoI, LinearRNN, SequentialRNN, SpyLIFLayer, Trainer
from neurotorch.modules.layers import ALIFLayer, LIFLayer, WilsonCowanCURBDLayer, WilsonCowanLayer


def masks(f=4, n=6):
    generator = torch.Generator().manual_seed(5)
    return torch.rand(f, n, generator=generator) < 0.5, torch.rand(n, n, generator=generator) < 0.5


RECURRENT = [LIFLayer, ALIFLayer, SpyLIFLayer, WilsonCowanLayer, LinearRNN]
READOUTS = [LILayer, Linear]


def built(cls, **options):
    forward, recurrent = masks()
    if cls in RECURRENT:
        options.update(recurrent_mask=recurrent, use_recurrent_connection=True)
    elif cls not in READOUTS:
        raise AssertionError(cls)
    return cls(4, 6, forward_mask=forward, hh_init="zeros", **options).build()


@pytest.mark.parametrize("dale", [False, True])
@pytest.mark.parametrize("cls", [*RECURRENT, *READOUTS])
def test_outputs_are_those_of_a_layer_with_zeros(cls, dale):
    forward, recurrent = masks()
    layer = built(cls, force_dale_law=dale)
    recurrence = {"use_recurrent_connection": True} if cls in RECURRENT else {}
    plain = cls(4, 6, hh_init="zeros", force_dale_law=dale, **recurrence).build()
    state = {name: value for name, value in layer.state_dict().items() if name != "forward_mask"}
    if cls in RECURRENT:
        state["rec_mask"] = torch.ones(6, 6)
    plain.load_state_dict(state)
    with torch.no_grad():
        layer._forward_weights += 1.0 - forward.float()  # what a mask excludes may hold anything
        if cls in RECURRENT:
            layer._recurrent_weights += 1.0 - recurrent.float()
    x = torch.rand(2, 7, 4) * 3
    torch.testing.assert_close(layer.forward_sequence(x)[0], plain.forward_sequence(x)[0], rtol=0, atol=0)
    assert not layer.forward_weights[~forward].any()
    step, plain_step = layer(x[:, 0]), plain(x[:, 0])
    step, plain_step = (step, plain_step) if cls is Linear else (step[0], plain_step[0])
    torch.testing.assert_close(step, plain_step, rtol=0, atol=0)


@pytest.mark.parametrize("dale", [False, True])
@pytest.mark.parametrize("cls", RECURRENT)
def test_what_is_masked_has_no_weight_and_no_gradient(cls, dale):
    forward, recurrent = masks()
    layer = built(cls, force_dale_law=dale)
    for weights, mask in ((layer._forward_weights, forward), (layer._recurrent_weights, recurrent)):
        assert not weights[~mask].any()
        assert weights[mask].all()
    with torch.no_grad():
        layer._forward_weights.fill_(0.5)
        layer._recurrent_weights.fill_(0.5)
    layer.forward_sequence(torch.rand(3, 9, 4) * 4)[0].sum().backward()
    assert not layer._forward_weights.grad[~forward].any()
    assert not layer._recurrent_weights.grad[~recurrent].any()
    assert layer._forward_weights.grad[forward].any()
    assert layer._recurrent_weights.grad[recurrent].any()


OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.5),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.1),
    "Rprop": lambda p: torch.optim.Rprop(p, lr=0.1),
    "Adam, maximize": lambda p: torch.optim.Adam(p, lr=0.1, maximize=True),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("rule", [BPTT, TBPTT])
def test_masked_weights_stay_zero_in_training(name, rule):
    forward, recurrent = masks()
    layer = built(SpyLIFLayer, gamma=1.0)
    model = SequentialRNN([layer, LILayer(6, 3)], device="cpu").build()
    before = layer._recurrent_weights.detach().clone()
    learning = rule(optimizer=OPTIMIZERS[name](list(model.parameters())))
    trainer = Trainer(model, predict_method="get_prediction_trace", callbacks=[learning], verbose=False)
    trainer.train([(torch.rand(3, 12, 4) * 4, torch.rand(3, 12, 3))], n_iterations=5)
    assert not layer._forward_weights[~forward].any()
    assert not layer._recurrent_weights[~recurrent].any()
    assert not torch.equal(layer._recurrent_weights, before)


def test_closed_loop_is_masked():
    model = SequentialRNN([built(WilsonCowanLayer), Linear(6, 4)], foresight_time_steps=5, device="cpu").build()
    x = torch.rand(2, 1, 4)
    before = model.get_prediction_trace(x)
    layer = model.get_layer()
    with torch.no_grad():
        layer._forward_weights[layer.forward_mask == 0] = 3.0
        layer._recurrent_weights[layer.rec_mask == 0] = 3.0
    assert torch.equal(model.get_prediction_trace(x), before)


def test_stored_transposed_weights_have_a_transposed_mask():
    mask = masks()[0]
    layer = LinearJtoI(4, 6, forward_mask=mask.T, force_dale_law=True).build()
    assert layer.forward_weights.shape == (6, 4)
    assert not layer.forward_weights[~mask.T].any()
    assert layer.forward_weights[mask.T].all()
    assert not layer(torch.eye(4))[~mask].any()


def test_curbd_is_masked():
    mask = torch.rand(6, 6) < 0.5
    layer = WilsonCowanCURBDLayer(6, 6, forward_mask=mask, hh_init="zeros").build()
    assert not layer.forward_weights[~mask].any()
    assert layer.forward_weights[mask].all()


def test_keys_of_layers_without_masks_stay():
    plain, masked = SpyLIFLayer(4, 6).build(), built(SpyLIFLayer)
    assert "forward_mask" not in plain.state_dict()
    assert plain.forward_mask is None
    assert set(masked.state_dict()) - set(plain.state_dict()) == {"forward_mask"}
    assert [name for name, _ in masked.named_parameters()] == [name for name, _ in plain.named_parameters()]
    assert set(SpyLIFLayer(4, 6, recurrent_mask=masks()[1]).build().state_dict()) == set(plain.state_dict())


def test_masks_are_saved_cast_and_copied():
    forward, recurrent = masks()
    layer = built(LIFLayer)
    other = LIFLayer(4, 6, forward_mask=torch.ones(4, 6), recurrent_mask=torch.ones(6, 6)).build()
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other.forward_mask.bool(), forward)
    assert torch.equal(other.rec_mask.bool(), recurrent)
    assert layer.double().forward_weights.dtype == torch.float64
    assert not layer.rec_mask.requires_grad


def test_other_connections_are_drawn_as_without_a_mask():
    forward, recurrent = masks()
    found = []
    for options in ({}, {"forward_mask": forward.numpy(), "recurrent_mask": recurrent.int().tolist()}):
        torch.manual_seed(3)
        np.random.seed(3)
        found.append(SpyLIFLayer(4, 6, force_dale_law=True, forward_sign=0.5, recurrent_sign=0.5, **options).build())
    assert torch.equal(found[0]._forward_weights * forward, found[1]._forward_weights)
    assert torch.equal(found[0]._recurrent_weights * recurrent, found[1]._recurrent_weights)
    assert torch.equal(found[0]._recurrent_sign, found[1]._recurrent_sign)


def test_no_self_connections_beside_a_mask():
    layer = LIFLayer(4, 6, use_rec_eye_mask=True, recurrent_mask=torch.ones(6, 6)).build()
    assert torch.equal(layer.rec_mask, 1.0 - torch.eye(6))
    assert not layer._recurrent_weights.diagonal().any()


def test_initialising_again_keeps_the_zeros():
    layer = built(LIFLayer)
    layer.initialize_weights_()
    assert not layer._forward_weights[layer.forward_mask == 0].any()


@pytest.mark.parametrize(
    ("message", "options"),
    [
        (r"forward_mask: expected shape \[4, 6\], got \[6, 4\]", {"forward_mask": torch.ones(6, 4)}),
        (r"forward_mask: expected zeros and ones, got 0.5", {"forward_mask": torch.full((4, 6), 0.5)}),
        (r"recurrent_mask: expected shape \[6, 6\], got \[4\]", {"recurrent_mask": torch.ones(4)}),
        (
            "recurrent_mask: layer 'LIFLayer' has no recurrent connections",
            {"recurrent_mask": torch.ones(6, 6), "use_recurrent_connection": False},
        ),
    ],
)
def test_bad_masks_are_named(message, options):
    layer = LIFLayer(4, 6, **options)
    with pytest.raises(ValueError, match=message):
        layer.build()
    assert not layer.is_built


def test_assigned_weights_are_masked_when_built():
    forward, _ = masks()
    layer = LIFLayer(4, 6, forward_mask=forward)
    layer.forward_weights = torch.ones(4, 6)
    layer.build()
    assert torch.equal(layer._forward_weights.detach(), forward.float())
