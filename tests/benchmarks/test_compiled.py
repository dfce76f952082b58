"""The compiled loop beside ours."""

import json
from dataclasses import replace

import pytest
import torch

cases = pytest.importorskip("comparisons")
compare = pytest.importorskip("compare")
loops = pytest.importorskip("loops")

# torch's compiler warns in many places.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def compiler(set_threads):
    """A cache of its own, and afterwards the number of threads as it was."""
    utils = pytest.importorskip("torch._inductor.utils")
    with utils.fresh_cache():
        yield utils
    loops.forget_compiled()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a", "b", "b triangle", "b SpyLIF", "c", "d", "p"])
def test_compiled_loops_compute_what_ours_does_and_are_timed(name, tmp_path):
    case = replace(cases.TINY[name], names=("loop", "compiled"))
    comparison = compare.Comparison(tmp_path / "rows.json", {}, {}, 0.0)
    comparison.case(name, case, 1)
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert [row["part"] for row in rows] == ["forward", "both"]
    for row in rows:
        assert set(row["milliseconds"]) == {"ours", "loop", "compiled"}
        assert row["checked"]["compiled"] == "float32"


@pytest.mark.slow
def test_loops_are_compiled_for_the_number_of_threads(compiler):
    case = cases.Case("feed_forward", {"steps": 10, "batch": 8, "neurons": 1024})
    for threads, parallel in ((2, True), (1, False)):
        torch.set_num_threads(threads)
        loops.forget_compiled()
        _, code = compiler.run_and_get_cpp_code(case.make().step, "compiled")
        assert ("omp parallel" in code) is parallel


def test_case_goes_on_without_a_compiler(tmp_path, capsys):
    config = pytest.importorskip("torch._inductor.config")
    comparison = compare.Comparison(tmp_path / "rows.json", {}, {}, 0.0)
    with config.patch({"cpp.cxx": ("/nowhere/g++",)}):
        comparison.case("a", replace(cases.TINY["a"], names=("loop", "compiled")), 1)
    assert "a: without the compiled loop: InvalidCxxCompiler" in capsys.readouterr().out
    row = json.loads((tmp_path / "rows.json").read_text())["rows"][0]
    assert set(row["milliseconds"]) == {"ours", "loop"}
