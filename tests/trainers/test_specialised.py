"""Trainers with defaults for series and for classes."""

import pytest
import torch

from neurotorch import BPTT, SequentialRNN
from neurotorch.metrics import ClassificationMetrics, NLLLoss, RegressionMetrics
from neurotorch.modules.layers import LILayer, SpyLIFLayer
from neurotorch.trainers import ClassificationTrainer, RegressionTrainer


def make_model(*outputs, build=True):
    torch.manual_seed(0)
    readouts = {name: LILayer(8, 3, name=name) for name in outputs or ("out",)}
    model = SequentialRNN([SpyLIFLayer(4, 8, gamma=5.0), readouts], device="cpu")
    return model.build() if build else model


def series(*outputs):
    y = torch.randn(6, 10, 3)
    return [(torch.rand(6, 10, 4) * 4, dict.fromkeys(outputs, y) if outputs else y)]


def classes(*outputs):
    x = torch.rand(30, 10, 4) * 4
    y = x.mean(dim=1)[:, :3].argmax(dim=-1)
    return [(x, dict.fromkeys(outputs, y) if outputs else y)]


@pytest.mark.parametrize("outputs", [(), ("a",), ("a", "b")])
@pytest.mark.parametrize("build", [True, False])
def test_regression(outputs, build):
    model, data = make_model(*outputs, build=build), series(*outputs)
    trainer = RegressionTrainer(model, verbose=False)
    assert trainer.predict_method == "get_prediction_trace"
    assert isinstance(trainer.metrics[0], RegressionMetrics)
    history = trainer.train(data, data, n_iterations=5)
    assert history["train_loss"][-1] < history["train_loss"][0]
    assert trainer.learning_algorithms[0].criterion is trainer.criterion
    ends = [f"_{name}" for name in outputs] if len(outputs) > 1 else [""]
    for end in ends:
        assert {f"{part}_{name}{end}" for part in ("train", "val") for name in ("mse", "p_var")} <= set(history.keys())
    assert history["val_loss"][-1] == pytest.approx(sum(history[f"val_mse{end}"][-1] for end in ends), rel=1e-5)


@pytest.mark.parametrize("outputs", [(), ("a", "b")])
@pytest.mark.parametrize("build", [True, False])
def test_classification(outputs, build):
    model, data = make_model(*outputs, build=build), classes(*outputs)
    trainer = ClassificationTrainer(model, verbose=False)
    assert trainer.predict_method == "get_prediction_log_proba"
    history = trainer.train(data, data, n_iterations=8)
    optimizer = trainer.learning_algorithms[0].optimizer
    assert type(optimizer) is torch.optim.Adam
    assert optimizer.defaults["lr"] == 1e-3
    assert {id(p) for group in optimizer.param_groups for p in group["params"]} == {id(p) for p in model.parameters()}
    assert history["train_loss"][-1] < history["train_loss"][0]
    accuracy = ClassificationMetrics.accuracy(model, data)
    for name, value in accuracy.items() if outputs else (("", accuracy),):
        assert history["val_accuracy" + ("_" + name if name else "")][-1] == value
    assert model.training


def test_targets_of_any_number_type_become_class_numbers():
    seen = []
    trainer = ClassificationTrainer(make_model(), metrics=[], verbose=False, criterion=None)
    trainer.learning_algorithms[0].on_batch_end = lambda trainer, **kwargs: seen.append(trainer.state.y_batch.dtype)
    (x, y), *_ = classes()
    trainer.train([(x, y.float())], n_iterations=1)
    assert seen == [torch.long]


def test_what_is_given_is_used():
    model = make_model()
    optimizer, loss = torch.optim.SGD(model.parameters(), lr=0.1), NLLLoss()
    with pytest.warns(DeprecationWarning, match="learning algorithm"):
        trainer = ClassificationTrainer(model, optimizer=optimizer, criterion=loss, metrics=[], verbose=False)
    trainer.train(classes(), n_iterations=1)
    assert trainer.metrics == []
    assert trainer.learning_algorithms[0].optimizer is optimizer
    assert trainer.learning_algorithms[0].criterion is loss
    for kind, predict in ((RegressionTrainer, "get_last_prediction"), (ClassificationTrainer, "get_prediction_proba")):
        own = BPTT()
        trainer = kind(model, predict_method=predict, learning_algorithm=own, verbose=False)
        assert trainer.predict_method == predict
        assert list(trainer.learning_algorithms) == [own]
    assert isinstance(ClassificationTrainer(model).metrics[0], ClassificationMetrics)


def test_unknown_arguments_warn_with_the_nearest():
    with pytest.warns(UserWarning, match="RegressionTrainer: unknown argument 'metric'.*'metrics'") as caught:
        RegressionTrainer(make_model(), metric=[])
    assert caught[0].filename == __file__


@pytest.mark.parametrize(("kind", "make"), [(RegressionTrainer, series), (ClassificationTrainer, classes)])
@pytest.mark.parametrize("outputs", [(), ("a", "b")])
def test_metrics_of_the_predictions_of_validation_are_the_same_and_spare_a_run(kind, make, outputs):
    found, runs = [], []
    for reuse in (False, True):
        torch.manual_seed(1)
        data, model = make(*outputs), make_model(*outputs)
        trainer = kind(model, verbose=False, reuse_val_predictions=reuse)
        calls = []
        model.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        history = trainer.train(data, data, n_iterations=2, exec_metrics_on_train=False)
        found.append(dict(history.items()))
        runs.append(len(calls))
    assert found[0] == found[1]
    assert any(name.startswith("val_") and name != "val_loss" for name in found[0])
    assert runs == [6, 4]


def test_other_metrics_run_by_themselves():
    model, data = make_model(), series()
    seen = []
    metrics = [RegressionMetrics(make_model()), lambda loader: seen.append(1) or 0.0]
    trainer = RegressionTrainer(model, verbose=False, reuse_val_predictions=True, metrics=metrics)
    history = trainer.train(data, data, n_iterations=2, exec_metrics_on_train=False)
    assert history["val_mse"][0] == history["val_mse"][1]
    assert len(seen) == 2


def test_half_precision_predictions_may_be_reused():
    torch.manual_seed(0)
    model = SequentialRNN([torch.nn.Linear(4, 3)], device="cpu").build()
    trainer = RegressionTrainer(model, verbose=False, reuse_val_predictions=True, amp="bfloat16")
    history = trainer.train(series(), series(), n_iterations=1, exec_metrics_on_train=False)
    assert history["val_mse"][0] == pytest.approx(history["val_loss"][0], rel=1e-2)
