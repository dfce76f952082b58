"""Every example runs at its tiny setting, says something, and leaves a figure; the list of them is whole."""

import importlib.util
import re
import sys
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

FOLDER = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py"))


def numbers(result):
    return list(result.values()) if isinstance(result, dict) else [result]


@pytest.fixture
def run(tmp_path, monkeypatch, set_threads, capsys):
    """A script's result, what it printed, and the folder that it wrote to."""
    matplotlib.use("Agg")
    monkeypatch.setattr(Figure, "savefig", _small(Figure.savefig))
    monkeypatch.delenv("NEUROTORCH_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    set_threads(1)

    def call(name, *arguments):
        spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        result = module.main(["--tiny", "--out", "out", *arguments])
        return result, capsys.readouterr().out, tmp_path / "out"

    yield call
    plt.close("all")
    for name in [name for name in sys.modules if name.startswith("example_")]:
        del sys.modules[name]


def _small(savefig):
    return lambda self, *args, **kwargs: savefig(self, *args, **{**kwargs, "dpi": 20})


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name != "checkpoints"])
def test_runs(name, run):
    result, printed, out = run(name)
    pictures = list(out.glob("*.png"))
    assert pictures
    for picture in pictures:
        Image.open(picture).verify()
    assert "pVar" in printed or "accuracy" in printed
    if name != "figures_of_a_fit":
        assert np.isfinite(numbers(result)).all()


def test_a_resumed_run_has_the_same_bits(run):
    difference, printed, _ = run("checkpoints")
    assert difference == 0.0
    assert "interrupted after iteration 3" in printed
    assert "same history: True" in printed


@pytest.mark.parametrize(("name", "level"), [("images", 0.5), ("spoken_digits", 0.5)])
@pytest.mark.slow
def test_classifiers_learn_synthetic_data(name, level, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    synthetic = ["--synthetic"] if name == "spoken_digits" else ["--data", "synthetic"]
    assert module.main([*synthetic, "--epochs", "10"]) > level


def test_the_list_is_whole():
    """Each script stands in the README with a command, and its docstring starts with what it shows."""
    listed = re.findall(r"`(\w+)\.py`", (FOLDER / "README.md").read_text())
    assert sorted(set(listed)) == SCRIPTS
    for name in SCRIPTS:
        text = (FOLDER / f"{name}.py").read_text()
        assert f"python examples/{name}.py" in text.split('"""')[1]
        assert len(text.splitlines()) <= 140
