"""Metrics of models on data loaders, against recorded numbers and by hand."""

import math

import numpy as np
import pytest
import torch
from helpers import GOLDEN

from neurotorch import SequentialRNN
from neurotorch.metrics import BaseMetrics, ClassificationMetrics, RegressionMetrics
from neurotorch.modules.layers import LILayer, SpyLIFLayer


@pytest.fixture(scope="module")
def recorded():
    with np.load(GOLDEN / "learning" / "metrics.npz", allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def make_model(*outputs):
    readouts = {name: LILayer(4, 3, name=name) for name in outputs or ("out",)}
    return SequentialRNN([SpyLIFLayer(2, 4), readouts], device="cpu").build()


def batches(target):
    return [(torch.rand(2, 5, 2) * 4, target()) for _ in range(3)]


@pytest.mark.parametrize("name", ["mae", "mse", "r2", "d2", "p_var"])
def test_recorded_regression(recorded, name):
    function = RegressionMetrics.get_unwrap_all_metrics_names_to_func()[name]
    value = function(y_true=recorded["y_true"], y_pred=recorded["y_pred"])
    assert isinstance(value, float)
    np.testing.assert_allclose(value, recorded[name], rtol=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_recorded_p_var(recorded, reduction):
    value = RegressionMetrics.compute_p_var(recorded["y_true"], recorded["y_pred"], reduction=reduction)
    np.testing.assert_allclose(value, recorded[f"compute_p_var/{reduction}"], rtol=1e-5)


@pytest.mark.parametrize("name", ["accuracy", "precision", "recall", "f1", "confusion_matrix", "auc"])
def test_recorded_classification(recorded, name):
    kinds = [kind for kind in ("cls", "bin") if f"{kind}/{name}" in recorded]
    assert kinds
    for kind in kinds:
        check_recorded_classes(recorded, kind, name)


def check_recorded_classes(recorded, kind, name):
    y_true, y_pred = recorded["cls_true"], recorded["cls_pred"]
    if kind == "bin":
        y_true, y_pred = (y_true > 0).astype(int), (y_pred > 0).astype(int)
    value = getattr(ClassificationMetrics, name)(y_true=y_true, y_pred=y_pred)
    np.testing.assert_allclose(value, recorded[f"{kind}/{name}"], rtol=1e-12)


def test_model_and_loader_give_what_the_arrays_give():
    model, data = make_model(), batches(lambda: torch.rand(2, 5, 3))
    found = RegressionMetrics(model)(data)
    assert list(found) == ["mae", "mse", "r2", "d2", "p_var"]
    y_true = torch.cat([y for _, y in data])
    y_pred = torch.cat([model.get_prediction_trace(x) for x, _ in data]).detach()
    assert found["mse"] == pytest.approx(torch.nn.functional.mse_loss(y_pred, y_true).item(), rel=1e-6)
    assert found["p_var"] == RegressionMetrics.p_var(model, data)
    assert RegressionMetrics(model, "mean_squared_error r2")(data) == {
        "mean_squared_error": found["mse"],
        "r2": found["r2"],
    }


@pytest.mark.parametrize("one_hot", [False, True])
def test_classes_of_a_model(one_hot):
    model = make_model()
    data = batches(lambda: torch.randint(3, (2,)))
    expected = torch.cat([model.get_prediction_proba(x, False, False)["out"].argmax(dim=-1) for x, _ in data])
    if one_hot:
        data = [(x, torch.nn.functional.one_hot(y, 3)) for x, y in data]
    y_true, y_pred = ClassificationMetrics.compute_y_true_y_pred(model, data)
    np.testing.assert_array_equal(y_pred, expected)
    found = ClassificationMetrics(model, ["acc", "f1"])(data)
    assert found["acc"] == pytest.approx((y_true == y_pred).mean())
    assert found["acc"] == ClassificationMetrics.accuracy(model, data)


def test_several_outputs_and_targets_by_name():
    model = make_model("a", "b")
    data = batches(lambda: {"a": torch.rand(2, 5, 3), "b": torch.rand(2, 5, 3)})
    found = RegressionMetrics(model, "mse")(data)["mse"]
    for name in "ab":
        errors = [(model.get_prediction_trace(x)[name] - y[name]).square().mean() for x, y in data]
        assert found[name] == pytest.approx(torch.stack(errors).mean().item(), rel=1e-6)
    shared = batches(lambda: torch.rand(2, 5, 3))
    assert set(RegressionMetrics.mean_squared_error(model, shared)) == {"a", "b"}
    classes = batches(lambda: {"a": torch.zeros(2).long(), "b": torch.ones(2, 3).long()})
    assert set(ClassificationMetrics.accuracy(model, classes)) == {"a", "b"}
    with pytest.raises(ValueError, match=r"expected a target for output 'b', got \['a', 'c'\]"):
        RegressionMetrics(model)([(torch.rand(2, 5, 2), {"a": torch.rand(2, 5, 3), "c": 0})])
    single = batches(lambda: {"out": torch.rand(2, 5, 3)})
    assert isinstance(RegressionMetrics(make_model(), "mse")(single)["mse"], float)


def test_every_module_keeps_its_mode_and_gradients_stay_off():
    model = make_model().train()
    layer = model.get_layers()[0]
    layer.eval()
    seen = []
    model.register_forward_hook(lambda *_: seen.append((model.training, torch.is_grad_enabled())))
    data = batches(lambda: torch.rand(2, 5, 3))
    RegressionMetrics(model)(data)
    assert seen == [(False, False)] * 3
    assert model.training
    assert not layer.training
    with pytest.raises(ValueError, match="a list"):
        RegressionMetrics.r2(model, [[0]])
    assert model.training


def test_classes_that_never_occur_together():
    arrays = {"y_true": np.array([0, 0, 2, 2]), "y_pred": np.array([0, 1, 2, 2])}
    assert ClassificationMetrics.precision(**arrays) == pytest.approx((1 + 0 + 1) / 3)
    assert ClassificationMetrics.recall(**arrays) == pytest.approx((0.5 + 0 + 1) / 3)
    assert ClassificationMetrics.precision(y_true=np.zeros(3), y_pred=np.zeros(3)) == 0.0
    assert math.isnan(ClassificationMetrics.auc(y_true=np.zeros(3), y_pred=np.zeros(3)))
    ranked = {"y_true": np.array([0, 1, 0, 1]), "y_pred": np.array([0.1, 0.3, 0.3, 0.9])}
    assert ClassificationMetrics.auc(**ranked) == pytest.approx(3.5 / 4)


def test_constant_targets():
    y = np.ones((2, 3, 1))
    assert RegressionMetrics.r2(y_true=y, y_pred=y) == 1.0
    assert RegressionMetrics.d2_tweedie(y_true=y, y_pred=y + 1) == 0.0


def test_own_metrics():
    class Own(BaseMetrics):
        @staticmethod
        def get_all_metrics_names_to_func():
            return {"count n": lambda model, dataloader, **kwargs: len(dataloader)}

    own = Own(make_model())
    assert own([0, 1, 2]) == {"count": 3}
    assert Own.get_all_metrics_names() == ["count", "n"]
    with pytest.raises(NotImplementedError):
        BaseMetrics(None)


def test_progress_is_shown_when_asked(capsys):
    pytest.importorskip("tqdm")
    RegressionMetrics(make_model(), "mse")(batches(lambda: torch.rand(2, 5, 3)), verbose=2)
    assert "predictions" in capsys.readouterr().err


def test_bad_arguments_are_named():
    model = make_model()
    with pytest.raises(AssertionError, match="metrics_names: expected some of accuracy, acc.* got auc"):
        ClassificationMetrics(model, "accuracy auc")
    with pytest.raises(ValueError, match="metrics_names: expected a string or a list of strings, got int"):
        RegressionMetrics(model, 3)
    with pytest.raises(AssertionError, match="verbose: expected 0, 1 or 2, got 3"):
        RegressionMetrics(model)([], verbose=3)
    with pytest.raises(AssertionError, match="expected model and dataloader, or y_true and y_pred"):
        RegressionMetrics.r2(model)
    with pytest.raises(AssertionError, match="expected both y_true and y_pred, or neither"):
        RegressionMetrics.r2(y_true=np.ones(3))
    with pytest.raises(ValueError, match="dataloader: expected batches, got none"):
        RegressionMetrics.r2(model, [])
    with pytest.raises(ValueError, match=r"dataloader: expected targets \[2, 5, 3\], got \[2, 5, 1\]"):
        RegressionMetrics.r2(model, batches(lambda: torch.rand(2, 5, 1)))
    with pytest.raises(ValueError, match=r"dataloader: expected classes \[2\] or one-hot \[2, 3\], got \[3\]"):
        ClassificationMetrics.recall(model, batches(lambda: torch.ones(3)))
    with pytest.raises(ValueError, match="reduction: expected one of mean, sum, none, got 'max'"):
        RegressionMetrics.compute_p_var(np.ones((2, 3)), np.ones((2, 3)), reduction="max")
