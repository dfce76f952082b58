"""Figures without a display; none stays open."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def headless(monkeypatch, tmp_path):
    """The folder of the test is the current one, so that bare file names end up there."""
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(matplotlib.rcParams, "figure.dpi", 50)
    plt.close("all")
    yield
    plt.close("all")


@pytest.fixture
def activity():
    """[40, 9]: three kinds of units, shuffled."""
    rng = np.random.default_rng(1)
    t = np.linspace(0, 2 * np.pi, 40)
    kinds = np.stack([np.sin(t), np.cos(t), np.sin(2 * t)], axis=1)
    return (kinds[:, [0, 2, 1, 1, 0, 2, 2, 0, 1]] + 0.05 * rng.normal(size=(40, 9))).astype(np.float32)


@pytest.fixture
def prediction(activity):
    rng = np.random.default_rng(2)
    return activity + rng.normal(size=activity.shape).astype(np.float32) * np.linspace(0.02, 0.6, 9, dtype=np.float32)
