"""Predictions in the form of their targets, and small helpers for figures."""

import matplotlib
import numpy as np
import pytest
import torch
from helpers import GOLDEN

from neurotorch import utils

matplotlib.use("Agg")


def test_predictions_take_the_form_of_the_targets():
    t, other = torch.ones(2), torch.zeros(2)
    assert utils.format_pred_batch(t, t) is t
    assert utils.format_pred_batch((t, other), t) is t
    assert utils.format_pred_batch([{"a": t}, other], t) is t
    assert utils.format_pred_batch(t, {"b": other}) == {"b": t}
    assert utils.format_pred_batch({"a": t, "b": other}, {"b": t, "a": t}) == {"a": t, "b": other}


@pytest.mark.parametrize(
    ("pred", "y", "error"),
    [
        ({"a": 1, "b": 2}, 0, "expected one entry"),
        ({"a": 1}, {"b": 1}, r"expected the keys \['b'\], got \['a'\]"),
        (torch.ones(1), {"a": 1, "b": 2}, r"expected a dict with \['a', 'b'\]"),
    ],
)
def test_predictions_that_do_not_fit(pred, y, error):
    with pytest.raises(AssertionError, match=error):
        utils.format_pred_batch(pred, y)
    with pytest.raises(ValueError, match="got int"):
        utils.format_pred_batch(3, y)


def test_softmax_where_needed():
    with np.load(GOLDEN / "learning" / "transforms.npz", allow_pickle=False) as file:
        x, once, twice = (torch.from_numpy(file[k]) for k in ("softmax_x", "maybe_softmax_a", "maybe_softmax_b"))
    torch.testing.assert_close(utils.maybe_apply_softmax(x), once)
    torch.testing.assert_close(utils.maybe_apply_softmax(once), twice)
    torch.testing.assert_close(utils.maybe_apply_softmax(x, dim=0), torch.softmax(x, dim=0))
    assert utils.maybe_apply_softmax([[1, 0], [0, 1]]).tolist() == [[1, 0], [0, 1]]


@pytest.fixture
def axes():
    from matplotlib import pyplot as plt

    fig, ax = plt.subplots()
    yield ax
    plt.close(fig)


def test_confusion_matrix(axes):
    fig, ax = utils.plot_confusion_matrix(torch.tensor([[5, 1], [2, 8]]), ["a", "b"], ax=axes, show=False)
    assert (fig, ax) == (axes.figure, axes)
    assert [text.get_text() for text in ax.texts] == ["5", "1", "2", "8"]
    assert [text.get_position() for text in ax.texts] == [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert [text.get_color() for text in ax.texts] == ["white", "black", "black", "white"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    assert ax.get_ylabel() == "True label"
    with pytest.raises(ValueError, match="classes"):
        utils.plot_confusion_matrix(np.eye(2), ["a"], ax=axes, show=False)
    with pytest.raises(ValueError, match="cm"):
        utils.plot_confusion_matrix(np.ones((2, 3)), ["a", "b"], ax=axes, show=False)


def test_confusion_matrix_is_shown_unless_told_otherwise(monkeypatch):
    from matplotlib import pyplot as plt

    shown = []
    monkeypatch.setattr(plt, "show", lambda *_: shown.append(1))
    fig, _ = utils.plot_confusion_matrix(np.eye(2) / 3, ["a", "b"])
    plt.close(fig)
    assert shown == [1]


def test_legend_has_every_label_once(axes):
    utils.legend_without_duplicate_labels_(axes)
    assert axes.get_legend() is None
    first = axes.plot([0, 1], label="a")[0]
    axes.plot([1, 0], label="a")
    axes.plot([1, 1], label="b")
    utils.legend_without_duplicate_labels_(axes)
    legend = axes.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b"]
    assert legend.legend_handles[0].get_color() == first.get_color()
