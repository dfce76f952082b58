"""Runs that are killed again and again end with the bits of a run that was not."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from neurotorch import CheckpointManager, LoadCheckpointMode

SERVER = Path(__file__).with_name("crash_server.py")
CLOCKS = ("time_convergence", "training_time")


@pytest.fixture
def server():
    process = subprocess.Popen(
        [sys.executable, str(SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )

    def run(folder, n_iterations, kill_at=0, seconds=0.0):
        process.stdin.write(f"{folder} {n_iterations} {kill_at} {seconds}\n")
        process.stdin.flush()
        answer = process.stdout.readline().strip()
        assert answer in ("killed", "done"), answer
        return answer

    yield run
    process.stdin.close()
    process.kill()
    process.wait(timeout=60)
    process.stdout.close()


def loaded(folder):
    """The last checkpoint without what a clock says."""
    content = CheckpointManager(folder).load_checkpoint(load_checkpoint_mode=LoadCheckpointMode.LAST_ITR)
    for name in CLOCKS:
        content["ConvergenceTimeGetter"].pop(name)
    return content


def assert_same(a, b, where=""):
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert list(a) == list(b), where
        for key in a:
            assert_same(a[key], b[key], f"{where}[{key!r}]")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), where
        for k, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}[{k}]")
    else:
        assert a == b or (a != a and b != b), f"{where}: {a} {b}"


@pytest.mark.parametrize(
    ("n_kills", "n_iterations"), [pytest.param(10, 30, id="10"), pytest.param(60, 200, marks=pytest.mark.slow, id="60")]
)
def test_killed_run_has_the_bits_of_one_that_was_not(server, tmp_path, n_kills, n_iterations):
    dice = random.Random(n_kills)
    assert server(tmp_path / "whole", n_iterations) == "done"
    killed, lives = 0, 0
    while killed < n_kills:
        lives += 1
        options = {"seconds": dice.uniform(0.0, 0.15)} if lives % 3 == 0 else {"kill_at": dice.randint(1, 24)}
        killed += server(tmp_path / "killed", n_iterations, **options) == "killed"
        meta = tmp_path / "killed" / "network-checkpoints.json"
        if meta.exists():
            names = json.loads(meta.read_text())["iterations"].values()
            assert all((tmp_path / "killed" / name).exists() for name in names)
        assert lives < 3 * n_kills, "the run ended before it was killed often enough"
    before = loaded(tmp_path / "killed")["itr"]
    assert before < n_iterations - 1
    assert server(tmp_path / "killed", n_iterations) == "done"
    whole, resumed = loaded(tmp_path / "whole"), loaded(tmp_path / "killed")
    assert whole["itr"] == n_iterations - 1
    assert len(whole["training_history"]["_container"]["total"]) == n_iterations
    assert_same(whole, resumed)
    assert not list((tmp_path / "killed").glob(".*")), "files of killed writers are left"
