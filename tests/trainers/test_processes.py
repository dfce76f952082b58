"""Two processes under torchrun: the results of one with twice the batch."""

import os
import subprocess
import sys
from pathlib import Path

import ddp_script
import pytest
import torch

SCRIPT = Path(__file__).with_name("ddp_script.py")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    out = tmp_path_factory.mktemp("processes")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(SCRIPT)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([*command, str(out), "all"], env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-4000:]
    return out, [torch.load(out / f"rank{rank}.pt", weights_only=True) for rank in range(2)]


def alone(folder, rule, **options):
    return ddp_script.run(
        ddp_script.make_model(),
        ddp_script.shares(0, 1, 4),
        ddp_script.shares(0, 1, 8),
        folder,
        9,
        rule,
        **options,
    )


@pytest.mark.parametrize(("rule", "options"), [("bptt", {}), ("bptt", {"accumulate_grad_batches": 2}), ("tbptt", {})])
def test_as_one_process_with_twice_the_batch(found, tmp_path, rule, options):
    _, ranks = found
    name = rule + "".join(options)
    expected = alone(tmp_path, rule, **options)
    for rank in ranks:
        for key, value in expected["weights"].items():
            torch.testing.assert_close(rank[name]["weights"][key], value, rtol=1e-4, atol=1e-5)
            assert torch.equal(rank[name]["weights"][key], ranks[0][name]["weights"][key])
        assert list(rank[name]["history"]) == list(expected["history"])
        for key, values in expected["history"].items():
            assert rank[name]["history"][key] == pytest.approx(values, rel=1e-4)


def test_all_stop_when_one_stops_and_the_first_one_saves(found):
    out, ranks = found
    for rank in ranks:
        assert len(rank["bptt"]["history"]["train_loss"]) == 5
        assert rank["processes"] == 1
    names = sorted(path.name for path in (out / "bptt").glob("*.pt"))
    assert names == [f"network-itr{k}.pt" for k in range(5)]


def test_resumed_processes_have_their_own_generators_and_order(found):
    _, ranks = found
    for rank in ranks:
        whole, parts = rank["resumed1"], rank["resumed2"]
        assert whole["history"] == parts["history"]
        for key, value in whole["weights"].items():
            assert torch.equal(value, parts["weights"][key]), key


def test_what_cannot_be_done_raises_in_all_processes(found):
    _, ranks = found
    for rank in ranks:
        assert rank["uneven"] == "train_dataloader: expected as many batches in all processes"
        assert rank["eprop"] == "Eprop does not work with several processes (DistributedDataParallel)"
