"""The kernels of every instruction set against each other, each in a process of its own."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch
from cases import GRADIENT_TOLERANCE, MODELS, VALUE_TOLERANCE, assert_equal_bits, fused, make_case, outcome, variants
from helpers import NETWORK_TOLERANCE, assert_near
from networks import SAFE_MARGIN, LayerSpec, NetworkCase, differentiate, make_network

from neurotorch import _library

KINDS = {"current": {"weight": False}, "sparse": {"rate": 0.05}, "dense": {}}
DTYPES = {"float32": torch.float32, "float64": torch.float64}
RUNS = [f"{model}/{kind}/{dtype}" for model in (*MODELS, "network") for kind in KINDS for dtype in DTYPES]
RUNS = [run for run in RUNS if not run.startswith("network") or "/dense/" in run]


def closed_loop(dtype: torch.dtype) -> dict[str, torch.Tensor]:
    case = make_network(
        [LayerSpec("spy_lif_lpf", 37, recurrent=True), LayerSpec("lif", 9, surrogate="phi")],
        [],
        [LayerSpec("linear", 6, activation="sigmoid"), LayerSpec("spy_li", 5, activation="tanh")],
        sizes=[6, 5],
        dtype=dtype,
        trace=True,
        seed=2,
    )
    assert case.margin() > SAFE_MARGIN
    values, grads = differentiate(case, NetworkCase.run)
    return values | {f"grad {key}": g for key, g in grads.items() if g is not None}


def results(run: str) -> dict[str, torch.Tensor]:
    """Values and gradients of every variant of a model, by name."""
    model, kind, dtype = run.split("/")
    if model == "network":
        return closed_loop(DTYPES[dtype])
    found = {}
    for variant in variants(model):
        # 37 neurons: full vectors of every width, and a rest.
        case = make_case(model, 3, 10, 40, 37, dtype=DTYPES[dtype], **KINDS[kind], **variant)
        prefix, result = "-".join(map(str, variant.values())), outcome(case, fused())
        found |= {f"{prefix} {name}": t for name, t in result.per_sample.items()}
        found |= {f"{prefix} grad {name}": g for name, g in result.grads.items() if g is not None}
    return found


def python(*arguments: str, isa: str) -> subprocess.CompletedProcess[str]:
    """This interpreter with the same import path and the given instruction set."""
    environment = {**os.environ, "NEUROTORCH_ISA": isa, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=240, check=False
    )


@pytest.fixture(scope="module")
def results_of(tmp_path_factory):
    """Results of all runs with one instruction set; the test is skipped where it is not built or does not run."""
    folder = tmp_path_factory.mktemp("isa")

    @cache
    def compute(isa: str) -> dict[str, dict[str, torch.Tensor]] | str:
        if isa not in _library.build_info()["isa_built"].split(", "):
            return f"{isa} is not built on this platform"
        file = folder / f"{isa}.pt"
        done = python(__file__, str(file), isa=isa)
        if "this processor does not run" in done.stderr:
            return f"this processor does not run {isa}"
        assert done.returncode == 0, done.stderr
        saved = torch.load(file)
        assert saved.pop("isa") == isa
        return saved

    def get(isa: str) -> dict[str, dict[str, torch.Tensor]]:
        found = compute(isa)
        if isinstance(found, str):
            pytest.skip(found)
        return found

    return get


@pytest.mark.parametrize("isa", ["v3", "v4"])
@pytest.mark.parametrize("run", RUNS)
def test_agrees_with_the_baseline(run, isa, results_of):
    """A fused multiply-add rounds once less; spikes are the same."""
    expected, actual = results_of("baseline")[run], results_of(isa)[run]
    assert actual.keys() == expected.keys()
    dtype = DTYPES[run.split("/")[-1]]
    for name, value in expected.items():
        if run.startswith("network"):
            tolerance = NETWORK_TOLERANCE[dtype]
        else:
            tolerance = (GRADIENT_TOLERANCE if " grad " in name else VALUE_TOLERANCE)[dtype]
        assert_near(actual[name], value, tolerance, name)


@pytest.mark.parametrize("run", [run for run in RUNS if "/current/" in run])
def test_v3_and_v4_give_the_same_bits(run, results_of):
    """Both have the fused multiply-add, and without weights there is no other library's matrix product."""
    assert_equal_bits(results_of("v4")[run], results_of("v3")[run])


@pytest.mark.parametrize("isa", ["avx", "V3"])
def test_unknown_instruction_set_is_named(isa):
    done = python("-c", "import neurotorch.functional", isa=isa)
    assert done.returncode != 0
    built = _library.build_info()["isa_built"]
    assert f"NEUROTORCH_ISA: expected one of {built}, got {isa}" in done.stderr


if __name__ == "__main__":
    torch.set_num_threads(2)
    saved = {run: results(run) for run in RUNS}
    torch.save({"isa": _library.build_info()["isa"], **saved}, Path(sys.argv[1]))
