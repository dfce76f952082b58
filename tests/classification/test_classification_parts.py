"""Encoders, variations of samples, the network and what the report shows, by hand."""

import numpy as np
import pytest
import torch

from neurotorch.classification import ClassifySettings, build_classifier
from neurotorch.classification.augmentation import Shifts
from neurotorch.classification.encoders import ConstantCurrent, Latency
from neurotorch.classification.examples import chosen_samples, states_of


def test_constant_current():
    x = torch.rand(2, 3)
    y = ConstantCurrent(4)(x)
    assert y.shape == (2, 4, 3)
    assert all(torch.equal(y[:, t], x) for t in range(4))


def test_latency_by_hand():
    n = 10
    values = torch.tensor([[0.0, 0.1, 0.2, 0.21, 0.25, 0.5, 1.0]])
    spikes = Latency(n)(values)
    for k, x in enumerate(values[0].tolist()):
        time = 2 * np.log(x / (x - 0.2)) if x > 0.2 + 1e-6 else np.inf
        expected = [float(t <= time < t + 1) for t in range(n)]
        assert spikes[0, :, k].tolist() == expected, x
    assert spikes.sum(dim=1).tolist() == [[0, 0, 0, 1, 1, 1, 1]]


def test_shifts_move_samples_whole():
    x = torch.zeros(200, 9, 7)
    x[:, 4, 3] = 1.0
    x[:, 5, 3] = 2.0
    shifts = Shifts(2, 3)
    y = shifts(x)
    assert y.shape == x.shape
    _, step, column = (y == 1).nonzero().T
    assert set(step.tolist()) == set(range(1, 8))
    assert set(column.tolist()) == set(range(1, 6))
    assert torch.equal((y == 2).nonzero(), (y == 1).nonzero() + torch.tensor([0, 1, 0]))
    assert len({(a, b) for a, b in zip(step.tolist(), column.tolist(), strict=True)}) > 25
    assert torch.equal(shifts.eval()(x), x)
    edge = torch.ones(50, 9, 7)
    assert set(Shifts(0, 1)(edge).sum(dim=(1, 2)).tolist()) == {63.0, 56.0}  # zeros come in
    assert Shifts(2, 3)(x.to_sparse()).shape == x.shape


def test_dale_holds_for_inputs_and_hidden_neurons():
    network = build_classifier(ClassifySettings("spoken-digits", hidden=20, dale=True), 35, 10)
    hidden = network["hidden"]
    for weights in (hidden.forward_weights, hidden.recurrent_weights):
        assert not ((weights > 0).any(dim=1) & (weights < 0).any(dim=1)).any()


def test_network_follows_its_seed_and_leaves_the_global_generator_alone():
    torch.manual_seed(3)
    one = build_classifier(ClassifySettings("mnist", hidden=20), 784, 10)
    after = torch.rand(1)
    two = build_classifier(ClassifySettings("mnist", hidden=20), 784, 10)
    torch.manual_seed(3)
    assert after == torch.rand(1)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("task", ["mnist", "spoken-digits"])
def test_scores_are_of_the_readout_voltages(task):
    network = build_classifier(ClassifySettings(task, hidden=20), 12, 3).eval()
    x = 5 * torch.rand(4, 12) if task == "mnist" else torch.poisson(torch.rand(4, 70, 12)).to_sparse()
    spikes, voltages = states_of(network, x)
    assert set(spikes.unique().tolist()) == {0.0, 1.0}
    scores = voltages.max(dim=1).values if task == "mnist" else voltages.mean(dim=1)
    found = network.get_prediction_log_proba(x, re_outputs_trace=False, re_hidden_states=False)["readout"]
    torch.testing.assert_close(found, torch.log_softmax(scores, dim=-1))
    assert network.hh_memory_size == 1


def test_chosen_samples_are_of_different_classes_and_one_is_wrong():
    y_true = np.repeat(np.arange(10), 3)
    y_pred = y_true.copy()
    assert chosen_samples(y_true, y_pred) == [0, 9, 18, 27]
    y_pred[4] = 7
    chosen = chosen_samples(y_true, y_pred)
    assert chosen[-1] == 4
    assert len(set(y_true[chosen])) == 4
    assert (y_true[chosen[:-1]] == y_pred[chosen[:-1]]).all()
    assert chosen_samples(y_true, 9 - y_true) == [0]
    assert chosen_samples(np.zeros(5, int), np.zeros(5, int)) == [0]
