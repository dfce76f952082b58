"""The main job at a small size: files, numbers, interruption, and refusals that write nothing."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from neurotorch import TBPTT, metrics
from neurotorch.cli import main
from neurotorch.datasets import Recording, preprocess, simulate_demo
from neurotorch.fitting import RECIPES, FitInterrupted, FitSettings, fit, predict
from neurotorch.fitting import training as training_module
from neurotorch.fitting.files import read_checkpoint
from neurotorch.fitting.learning import LEARNING, Task
from neurotorch.fitting.network import build_network
from neurotorch.fitting.report import by_phase, chosen_neurons

FILES = {"checkpoint", "metrics.json", "prediction.npz", "report.png"}


@pytest.fixture
def small():
    activity = simulate_demo(n_neurons=30, n_steps=60, seed=3).activity
    return Recording("small", activity, "small")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a finished fit, and its metrics."""
    activity = simulate_demo(n_neurons=30, n_steps=60, seed=3).activity
    out = tmp_path_factory.mktemp("fit") / "new" / "small"
    found = fit(Recording("small", activity, "small"), FitSettings(iterations=120), out)
    return out, found, activity


def test_writes_four_files_with_the_numbers_that_they_say(finished):
    out, found, activity = finished
    assert {path.name for path in out.iterdir()} == FILES
    stored = json.loads((out / "metrics.json").read_text())
    assert stored == found
    assert all(not isinstance(value, (dict, list)) for value in stored.values())
    with np.load(out / "prediction.npz", allow_pickle=False) as archive:
        prediction, target = archive["prediction"], archive["target"]
    np.testing.assert_array_equal(target, preprocess(activity))
    np.testing.assert_array_equal(prediction[0], target[0])
    assert prediction.shape == target.shape == (60, 30)
    for name, value in metrics.pvar_report(prediction, target).items():
        assert stored[name] == pytest.approx(value), name
    assert stored["pvar_global"] > 0.9
    assert stored["skill"] == pytest.approx(1 - (1 - stored["pvar_global"]) / (1 - stored["pvar_constant_mean"]))
    assert stored["ei_neurons_of_both_signs"] == 0
    assert stored["holdout_pvar_global"] is None
    assert stored["seconds"] > 0
    assert (out / "report.png").read_bytes().startswith(b"\x89PNG")


def test_scores_are_free_runs_from_frame_0(finished):
    """Another recording with the same first frame is predicted alike: nothing else of it gets in."""
    out, _, _ = finished
    content = read_checkpoint(out / "checkpoint")
    assert content["first_frame"].shape == (30,)
    assert not any(isinstance(v, torch.Tensor) and v.shape == (60, 30) for v in content.values())
    prediction, difference = predict(out)
    assert difference == 0.0
    assert prediction.shape == (60, 30)


def test_predict_command(finished, tmp_path, capsys):
    out, _, _ = finished
    assert main(["predict", str(out), "--out", str(tmp_path / "again.npz")]) == 0
    assert "equal to the stored prediction" in capsys.readouterr().out
    with np.load(tmp_path / "again.npz") as again, np.load(out / "prediction.npz") as stored:
        np.testing.assert_array_equal(again["prediction"], stored["prediction"])
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "checkpoint").write_bytes((out / "checkpoint").read_bytes())
    assert main(["predict", str(tmp_path / "alone")]) == 0
    assert (tmp_path / "alone" / "prediction.npz").exists()
    assert main(["predict", str(tmp_path)]) == 2
    assert "no file 'checkpoint'" in capsys.readouterr().err
    (tmp_path / "checkpoint").write_bytes(b"PK nonsense")
    assert main(["predict", str(tmp_path)]) == 2
    assert "not a checkpoint of a fit" in capsys.readouterr().err


def test_same_command_on_a_finished_fit_changes_nothing(finished, small):
    out, found, _ = finished
    before = (out / "prediction.npz").read_bytes(), (out / "checkpoint").read_bytes()
    again = fit(small, FitSettings(iterations=120), out)
    assert {**again, "seconds": 0} == {**found, "seconds": 0}
    assert before[1] == (out / "checkpoint").read_bytes()
    assert predict(out)[1] == 0.0


def test_other_files_in_the_folder_stay(small, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    fit(small, FitSettings(iterations=3), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES | {"notes.txt"}
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_folder_of_another_fit_is_refused(finished, small):
    out, _, _ = finished
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(ValueError, match="another fit|another seed"):
        fit(small, FitSettings(iterations=120, seed=1), out)
    with pytest.raises(ValueError, match="another iterations, dale|another dale, iterations"):
        fit(small, FitSettings(iterations=7, dale=False), out)
    other = Recording("small", small.activity[::-1], "small")
    with pytest.raises(ValueError, match="another recording"):
        fit(other, FitSettings(iterations=120), out)
    assert before == {path.name: path.read_bytes() for path in out.iterdir()}


def test_seed_alone_decides(small, tmp_path):
    settings = FitSettings(iterations=12)
    torch.manual_seed(4)
    one = fit(small, settings, tmp_path / "one")
    torch.manual_seed(5)
    two = fit(small, settings, tmp_path / "two")
    other = fit(small, FitSettings(iterations=12, seed=1), tmp_path / "three")
    assert {**one, "seconds": 0} == {**two, "seconds": 0}
    assert one["pvar_global"] != other["pvar_global"]


@pytest.mark.parametrize("learning", LEARNING)
def test_interrupted_and_resumed_equals_uninterrupted(small, tmp_path, monkeypatch, learning):
    settings = FitSettings(iterations=60, learning=learning)
    whole = fit(small, settings, tmp_path / "whole")
    evaluate = training_module.FreeRunScore.on_iteration_end
    for stop in (17, 43):

        def interrupt(self, trainer, stop=stop, **kwargs):
            evaluate(self, trainer, **kwargs)
            if self.done == stop:
                signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(training_module.FreeRunScore, "on_iteration_end", interrupt)
        with pytest.raises(FitInterrupted, match=f"stopped after iteration {stop} of 60"):
            fit(small, settings, tmp_path / "parts")
        assert {path.name for path in (tmp_path / "parts").iterdir()} == {"checkpoint"}
    monkeypatch.setattr(training_module.FreeRunScore, "on_iteration_end", evaluate)
    said = []
    resumed = fit(small, settings, tmp_path / "parts", say=said.append)
    assert "going on after iteration 43 of 60" in said[0]
    assert {**resumed, "seconds": 0} == {**whole, "seconds": 0}
    with np.load(tmp_path / "whole/prediction.npz") as a, np.load(tmp_path / "parts/prediction.npz") as b:
        np.testing.assert_array_equal(a["prediction"], b["prediction"])


def test_learning_rule_is_the_one_asked_for(finished, small, tmp_path, capsys):
    """Learning by windows fits too, to other weights than learning through the whole sequence."""
    np.save(tmp_path / "small.npy", small.activity)
    out = tmp_path / "out"
    arguments = ["fit", str(tmp_path / "small.npy"), "--out", str(out), "--iterations", "120", "--learning", "tbptt"]
    assert main(arguments) == 0
    assert "by tbptt" in capsys.readouterr().out
    found = json.loads((out / "metrics.json").read_text())
    assert found["learning"] == "tbptt"
    assert found["pvar_global"] > 0.9
    assert found["pvar_global"] != finished[1]["pvar_global"]
    rule = LEARNING["tbptt"].make(Task(build_network(FitSettings(), 3), torch.nn.MSELoss(), FitSettings()))
    assert isinstance(rule, TBPTT)


def test_least_squares_trains_the_readout_alone_in_few_passes(small, tmp_path, capsys):
    np.save(tmp_path / "small.npy", small.activity)
    out = tmp_path / "out"
    arguments = ["fit", str(tmp_path / "small.npy"), "--out", str(out), "--learning", "rls", "--model", "wilson-cowan"]
    assert main(arguments) == 0
    assert "by rls, 300 iterations" in capsys.readouterr().out
    assert json.loads((out / "metrics.json").read_text())["pvar_global"] > 0.9
    weights = torch.load(out / "checkpoint", weights_only=True)["model_state_dict"]
    first = build_network(FitSettings(model="wilson-cowan", learning="rls", iterations=300), 30).state_dict()
    changed = [name for name, value in first.items() if not torch.equal(value, weights[name])]
    assert changed == [name for name in first if name.endswith("readout._forward_weights")]


def test_checkpoint_from_before_a_choice_has_its_default():
    content = FitSettings(iterations=7).as_dict()
    del content["learning"]
    assert FitSettings(**content) == FitSettings(iterations=7)
    assert FitSettings(iterations=7).differences(content) == []
    assert FitSettings(iterations=7, learning="tbptt").differences(content) == ["learning"]


def fit_process(tmp_path, *arguments):
    np.save(tmp_path / "small.npy", simulate_demo(n_neurons=30, n_steps=60, seed=3).activity)
    command = [sys.executable, "-m", "neurotorch", "fit", str(tmp_path / "small.npy"), "--out", str(tmp_path / "out")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def wait_for_line(process, start):
    for line in process.stdout:
        if line.startswith(start):
            return
    raise AssertionError(process.stderr.read())


def test_ctrl_c_says_how_to_go_on(tmp_path):
    process = fit_process(tmp_path, "--iterations", "20000")
    wait_for_line(process, "spy-lif-lpf")
    time.sleep(2.0)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on" in errors
    assert "Traceback" not in errors
    assert read_checkpoint(tmp_path / "out/checkpoint")["iteration"] > 0


def test_kill_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    process = fit_process(tmp_path, "--iterations", "20000")
    wait_for_line(process, "spy-lif-lpf")
    time.sleep(1.0)
    process.kill()
    process.communicate(timeout=60)
    folder = tmp_path / "out"
    assert not folder.exists() or {path.name for path in folder.iterdir()} <= {"checkpoint"}
    if (folder / "checkpoint").exists():
        read_checkpoint(folder / "checkpoint")


def test_holdout_is_not_trained_on_and_scored_apart(small, tmp_path):
    settings = FitSettings(iterations=40, holdout=0.25)
    found = fit(small, settings, tmp_path / "a")
    assert found["train_frames"] == 45
    changed = small.activity.copy()
    changed[45:] = 3.0 * changed[45:][::-1]
    other = fit(Recording("small", changed, "small"), settings, tmp_path / "b")
    with np.load(tmp_path / "a/prediction.npz") as a, np.load(tmp_path / "b/prediction.npz") as b:
        np.testing.assert_array_equal(a["prediction"], b["prediction"])
        target, prediction = a["target"], a["prediction"]
    assert other["pvar_global"] == found["pvar_global"]
    assert other["holdout_pvar_global"] != found["holdout_pvar_global"]
    assert found["holdout_pvar_global"] == pytest.approx(metrics.pvar_global(prediction[45:], target[45:]))
    means = np.broadcast_to(target[:45].mean(axis=0), target[45:].shape)
    assert found["holdout_pvar_constant_mean"] == pytest.approx(metrics.pvar_global(means, target[45:]))


@pytest.mark.parametrize(
    "options",
    [
        *({"model": name} for name in RECIPES),
        {"learning": "tbptt"},
        {"dale": False},
        {"normalise": "unit", "sigma": 2.0},
    ],
)
def test_other_choices_work(small, tmp_path, options):
    found = fit(small, FitSettings(iterations=10, **options), tmp_path)
    assert np.isfinite(found["pvar_global"])
    assert (found["ei_neurons_of_both_signs"] == 0) == options.get("dale", True)
    assert predict(tmp_path)[1] == 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "perceptron"}, "model: expected one of spy-lif-lpf.*'perceptron'"),
        ({"learning": "hebb"}, "learning: expected one of bptt, tbptt.*'hebb'"),
        ({"iterations": 0}, "iterations"),
        ({"sigma": -1.0}, "sigma"),
        ({"normalise": "max"}, "normalise"),
        ({"holdout": 1.0}, "holdout"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_settings_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        FitSettings(**options)


@pytest.mark.parametrize(
    ("spoil", "arguments", "message"),
    [
        (lambda a: a, ["--holdout", "0.9"], "holdout: leaves 6 of 60 frames"),
        (lambda a: a, ["--sigma", "-3"], "sigma: expected 0 or more"),
        (lambda a: np.where(a == a[3, 4], np.nan, a), [], "NaN"),
        (lambda a: np.concatenate([a, np.ones((60, 1))], 1), [], "never change"),
        (lambda a: a[0], [], "2-D"),
        (lambda a: a, ["--axes", "units,time", "--holdout", "0.7"], "holdout: leaves 9 of 30 frames"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(tmp_path, capsys, spoil, arguments, message):
    np.save(tmp_path / "bad.npy", spoil(simulate_demo(n_neurons=30, n_steps=60, seed=3).activity))
    status = main(["fit", str(tmp_path / "bad.npy"), "--out", str(tmp_path / "out"), *arguments])
    errors = capsys.readouterr().err
    assert status == 2
    assert message in errors
    assert errors.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["bad.npy"]


def test_out_that_is_a_file_is_refused(small, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(ValueError, match="--out.*not a folder"):
        fit(small, FitSettings(iterations=1), tmp_path / "out")


def test_report_parts():
    phases = np.array([0.3, 2.0, -1.5, 0.5])
    waves = np.cos(np.linspace(0, 6 * np.pi, 120, endpoint=False)[:, None] - phases)
    order = by_phase(waves)
    turned = np.diff(phases[np.append(order, order[0])]) % (2 * np.pi)
    assert min(turned.sum(), (-turned % (2 * np.pi)).sum()) == pytest.approx(2 * np.pi)
    assert chosen_neurons(np.array([0.5, 0.9, -2.0, 0.6, 0.7])) == {"best": 1, "typical": 3, "worst": 2}


@pytest.mark.slow
def test_demo_passes_090_in_its_default_recipe(tmp_path):
    assert main(["fit", "demo", "--out", str(tmp_path)]) == 0
    stored = json.loads((tmp_path / "metrics.json").read_text())
    assert stored["pvar_global"] > 0.9
    assert stored["seconds"] < 120


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_zebrafish_passes_095_in_its_default_recipe(tmp_path, data_folder):
    assert main(["fit", "zebrafish-darkflash", "--out", str(tmp_path)]) == 0
    stored = json.loads((tmp_path / "metrics.json").read_text())
    assert stored["pvar_global"] > 0.95
    assert stored["pvar_time_mean"] > 0.95
