"""Runs at a small size: files, numbers, interruption, refusals that write nothing."""

import importlib
import json
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from published_files import heidelberg_file, image_file, spoken_file

from neurotorch.classification import TASKS, ClassificationInterrupted, ClassifySettings, classify
from neurotorch.classification import training as training_module
from neurotorch.classification.learning import LEARNING
from neurotorch.cli import main

classify_module = importlib.import_module("neurotorch.classification.classify")
FILES = {"checkpoints", "settings.json", "metrics.json", "predictions.npz", "report.png"}
SMALL = {"hidden": 30, "n_steps": 8, "epochs": 3, "batch_size": 10}


@pytest.fixture(autouse=True)
def pictures(request, monkeypatch):
    """Pictures take longest; one test looks at them."""
    if request.function is not test_learns_and_writes_what_it_says:
        monkeypatch.setattr(classify_module, "draw_report", lambda picture, path: path.write_bytes(b"drawn"))


@pytest.fixture
def spoken(tmp_path_factory, monkeypatch):
    """Forty spoken digits that are easy to tell apart."""
    folder = tmp_path_factory.mktemp("data")
    spoken_file(folder / "fsdd_spikes.npz", n=40)
    monkeypatch.setenv("NEUROTORCH_DATA", str(folder))
    return ClassifySettings("spoken-digits", **SMALL)


@pytest.fixture
def images(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("data")
    arrays, _ = image_file(monkeypatch, train=60, test=20)
    np.savez(folder / "mnist.npz", **arrays)
    monkeypatch.setenv("NEUROTORCH_DATA", str(folder))
    monkeypatch.setitem(TASKS, "mnist", replace(TASKS["mnist"], val_ratio=0.1))
    return ClassifySettings("mnist", **SMALL)


def names(folder):
    return {path.name for path in folder.iterdir()}


def contents(folder):
    with np.load(folder / "predictions.npz", allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def same(a, b):
    for name, value in contents(a).items():
        np.testing.assert_array_equal(value, contents(b)[name], err_msg=name)


def test_learns_and_writes_what_it_says(spoken, tmp_path):
    settings = replace(spoken, epochs=40, learning_rate=0.02)
    lines = []
    found = classify(settings, tmp_path / "new" / "run", say=lines.append)
    assert found["accuracy"] > 0.7
    assert found["train_accuracy"] > 0.7
    out = tmp_path / "new" / "run"
    assert names(out) == FILES
    assert json.loads((out / "metrics.json").read_text()) == found
    assert all(not isinstance(value, (dict, list)) for value in found.values())
    stored = contents(out)
    assert stored["learning_curve"].shape == (40, 5)
    np.testing.assert_array_equal(stored["learning_curve"][:, 0], np.arange(1, 41))
    np.testing.assert_array_equal(stored["y_true"], np.arange(40) % 10)
    assert found["accuracy"] == (stored["y_true"] == stored["y_pred"]).mean()
    assert np.trace(stored["confusion_matrix"]) == 40 * found["accuracy"]
    assert stored["confusion_matrix"].sum(axis=1).tolist() == [4] * 10
    assert found["test_samples"] == 40
    assert found["train_samples"] == 38
    assert 0 < found["hidden_spikes_per_step"] < 0.5
    assert (out / "report.png").read_bytes().startswith(b"\x89PNG")
    assert len(lines) == 20
    assert lines[-1].startswith("epoch 40 of 40: loss ")


def test_few_checkpoints_stay(spoken, tmp_path):
    classify(replace(spoken, epochs=8), tmp_path)
    meta = json.loads((tmp_path / "checkpoints/network-checkpoints.json").read_text())
    files = {name for name in names(tmp_path / "checkpoints") if name.endswith(".pt")}
    assert files == set(meta["iterations"].values())
    assert "7" in meta["iterations"]
    assert meta["best"] in files
    assert len(files) <= 3


@pytest.mark.parametrize(("stops", "learning"), [((2,), "bptt"), ((3, 11), "bptt"), ((6,), "eprop")])
def test_interrupted_and_resumed_equals_uninterrupted(spoken, tmp_path, monkeypatch, stops, learning):
    """An epoch has four batches; the second part goes on behind the whole epochs of the first."""
    settings = replace(spoken, epochs=4, learning=learning)
    whole = classify(settings, tmp_path / "whole")
    count = training_module.LearningCurve.on_batch_end
    for stop in stops:
        batches = []

        def interrupt(self, trainer, batches=batches, stop=stop, **kwargs):
            count(self, trainer, **kwargs)
            batches.append(1)
            if len(batches) == stop:
                signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(training_module.LearningCurve, "on_batch_end", interrupt)
        with pytest.raises(ClassificationInterrupted, match="holds every whole epoch of 4"):
            classify(settings, tmp_path / "parts")
        assert names(tmp_path / "parts") <= {"checkpoints", "settings.json"}
        assert len(batches) == stop
    monkeypatch.setattr(training_module.LearningCurve, "on_batch_end", count)
    lines = []
    resumed = classify(settings, tmp_path / "parts", say=lines.append)
    whole_epochs = {(2,): 0, (3, 11): 2, (6,): 1}[stops]
    assert lines[0].startswith(f"going on after epoch {whole_epochs} of 4" if whole_epochs else "epoch 1 of 4")
    assert {**resumed, "seconds": 0} == {**whole, "seconds": 0}
    same(tmp_path / "whole", tmp_path / "parts")


def test_same_call_on_a_finished_run_changes_nothing(spoken, tmp_path):
    found = classify(spoken, tmp_path)
    before = contents(tmp_path)
    assert classify(spoken, tmp_path) == found
    for name, value in contents(tmp_path).items():
        np.testing.assert_array_equal(value, before[name])


def test_seed_alone_decides(spoken, tmp_path):
    torch.manual_seed(4)
    classify(spoken, tmp_path / "one")
    torch.manual_seed(5)
    classify(spoken, tmp_path / "two")
    after = torch.rand(1)
    classify(replace(spoken, seed=1), tmp_path / "three")
    same(tmp_path / "one", tmp_path / "two")
    assert (contents(tmp_path / "one")["learning_curve"] != contents(tmp_path / "three")["learning_curve"]).any()
    torch.manual_seed(5)
    assert after == torch.rand(1)  # and it leaves the global generator alone


def test_folder_of_another_run_is_refused_or_started_over(spoken, tmp_path, monkeypatch):
    (tmp_path / "notes.txt").write_text("mine")
    classify(spoken, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    other = replace(spoken, seed=1, hidden=20)
    with pytest.raises(ValueError, match="another hidden, seed; choose another folder, or --no-resume"):
        classify(other, tmp_path)
    data = tmp_path / "other"
    data.mkdir()
    spoken_file(data / "fsdd_spikes.npz", n=30)
    monkeypatch.setenv("NEUROTORCH_DATA", str(data))
    with pytest.raises(ValueError, match="another data"):
        classify(spoken, tmp_path)
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    found = classify(other, tmp_path, resume=False)
    assert found["hidden"] == 20
    assert contents(tmp_path)["learning_curve"].shape == (3, 5)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_foreign_folders_are_refused(spoken, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "settings.json").write_text("[]")
    with pytest.raises(ValueError, match=r"settings\.json: not the settings of a run"):
        classify(spoken, tmp_path / "a")
    (tmp_path / "b" / "checkpoints").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"has checkpoints without settings\.json"):
        classify(spoken, tmp_path / "b")
    (tmp_path / "c").write_text("")
    with pytest.raises(ValueError, match="not a folder"):
        classify(spoken, tmp_path / "c")


@pytest.mark.parametrize(
    "options",
    [
        {"model": "lif", "encoder": "latency"},
        {"encoder": "spy-lif"},
        {"model": "alif", "dale": True},
        {"model": "spy-alif-lpf"},
        {"model": "lif-lpf"},
    ],
)
def test_other_choices_work_on_images(images, tmp_path, options):
    found = classify(replace(images, **options), tmp_path)
    assert found["test_samples"] == 20
    assert np.isfinite(contents(tmp_path)["learning_curve"]).all()


@pytest.mark.parametrize("learning", LEARNING)
def test_images_are_learned(images, tmp_path, learning):
    found = classify(replace(images, epochs=20, learning_rate=0.01, learning=learning), tmp_path)
    assert found["accuracy"] > 0.8
    assert found["val_accuracy"] is not None


def test_without_validation(images, tmp_path, monkeypatch):
    monkeypatch.setitem(TASKS, "mnist", replace(TASKS["mnist"], val_ratio=0.0))
    found = classify(images, tmp_path)
    assert found["val_accuracy"] is None
    assert found["train_samples"] == 60


def test_command(spoken, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ["classify", "spoken-digits", "--model", "spylif", "--hidden", "20", "--n-steps", "8"]
    arguments += ["--iterations", "2", "--batch-size", "16", "--seed", "3", "--dale", "--learning", "bptt"]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "20 spy-lif neurons with Dale's law, 8 steps, by bptt, 2 epochs of batches of 16, seed 3" in said
    assert "writing to runs/spoken-digits" in said
    stored = json.loads((tmp_path / "runs/spoken-digits/metrics.json").read_text())
    assert f"test accuracy {stored['accuracy']:.4f} on 40 samples" in said
    assert (stored["model"], stored["dale"], stored["epochs"]) == ("spy-lif", True, 2)
    assert main([*arguments, "--seed", "4"]) == 2
    assert "another seed" in capsys.readouterr().err
    assert main([*arguments, "--seed", "4", "--no-resume"]) == 0


def test_command_on_heidelberg_digits(tmp_path, monkeypatch, capsys):
    for part in ("train", "test"):
        heidelberg_file(tmp_path / f"shd_{part}.h5", n=60)
    monkeypatch.setenv("NEUROTORCH_DATA", str(tmp_path))
    arguments = ["--hidden", "10", "--epochs", "1", "--n-steps", "10", "--output-dir", str(tmp_path / "out")]
    assert main(["classify", "shd", *arguments]) == 0
    assert "on 60 samples" in capsys.readouterr().out
    assert names(tmp_path / "out") == FILES


def test_threads(spoken, tmp_path, set_threads):
    set_threads(1)
    assert main(["classify", "spoken-digits", "--epochs", "1", "--threads", "2", "--out", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "metrics.json").read_text())["threads"] == 2


def test_ctrl_c_on_the_command_line(spoken, tmp_path, monkeypatch, capsys):
    def interrupt(self, trainer, **kwargs):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(training_module.LearningCurve, "on_batch_end", interrupt)
    assert main(["classify", "spoken-digits", "--epochs", "2", "--out", str(tmp_path)]) == 130
    errors = capsys.readouterr().err
    assert "the same command goes on from there" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "cifar"}, "task: expected one of mnist.*'cifar'"),
        ({"model": "perceptron"}, "model: expected one of lif, spy-lif.*'perceptron'"),
        ({"learning": "hebb"}, "learning: expected one of bptt, eprop.*'hebb'"),
        ({"encoder": "morse"}, "encoder: expected one of constant, latency, lif, spy-lif.*'morse'"),
        ({"hidden": -1}, "hidden: expected 1 or more, got -1"),
        ({"epochs": -2}, "epochs"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"seed": -1}, "seed"),
        ({"task": "shd", "encoder": "latency"}, "encoder: shd are events, which need none"),
    ],
)
def test_bad_settings_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        ClassifySettings(**{"task": "mnist", **options})


def test_what_is_not_given_is_the_recipe():
    settings = ClassifySettings("spoken-digits", hidden=7)
    recipe = TASKS["spoken-digits"]
    assert (settings.hidden, settings.n_steps, settings.model) == (7, recipe.n_steps, recipe.model)
    assert settings == ClassifySettings(**settings.as_dict())
    assert settings.differences(settings.as_dict()) == []
    assert ClassifySettings("mnist", model="spylif").model == "spy-lif"


def test_without_data_it_is_one_line_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NEUROTORCH_DATA", str(tmp_path))
    assert main(["classify", "spoken-digits", "--out", str(tmp_path / "out")]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("neurotorch classify: spoken-digits: no fsdd_spikes.npz in")
    assert errors.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [["cifar"], ["mnist", "--hidden", "0"], ["mnist", "--model", "x"]])
def test_bad_arguments_are_refused_by_the_parser(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["classify", *arguments])
    assert stop.value.code == 2
    assert "error: argument" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("task", "accuracy"), [("mnist", 0.97), ("spoken-digits", 0.73)])
def test_default_recipes_on_published_data(tmp_path, data_folder, task, accuracy):
    assert main(["classify", task, "--out", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "metrics.json").read_text())["accuracy"] >= accuracy
