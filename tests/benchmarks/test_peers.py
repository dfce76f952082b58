"""The comparison with other libraries at a tiny size: our own loop in a process of its own stands for them."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

cases = pytest.importorskip("comparisons")
check = pytest.importorskip("check")
compare = pytest.importorskip("compare")
environments = pytest.importorskip("environments")
interleave = pytest.importorskip("interleave")
learning = pytest.importorskip("learning")
memory = pytest.importorskip("memory")
report = pytest.importorskip("report")
filed = pytest.importorskip("rows")
serving = pytest.importorskip("server")
workloads = pytest.importorskip("workloads")

B = cases.TINY["b"]


@pytest.fixture(scope="module")
def server():
    with serving.Server(sys.executable) as running:
        yield running


def test_process_computes_what_ours_does_and_gives_its_own_seconds(server):
    server.ask("build", candidate="loop", workload="recurrent", sizes=B.sizes, dtype="float64")
    expected = B.make(torch.float64).step("ours")
    check.exactly("loop", check.results_of(server), expected)
    begin = time.perf_counter()
    spent = server.run("both")
    assert 0 < spent.seconds < time.perf_counter() - begin
    assert spent.processor > 0


def test_rounds_count_seconds_that_a_candidate_reports():
    times = interleave.interleave({"ours": lambda: None, "peer": lambda: interleave.Spent(5.0, 0.0)}, 0.0, min_rounds=3)
    assert times.seconds["peer"] == [5.0] * 3
    assert max(times.seconds["ours"]) < 1.0


def test_a_run_that_wakes_threads_does_not_count():
    ran = []
    times = interleave.interleave({"ours": lambda: ran.append(1)}, 0.0, min_rounds=2, awake=True)
    assert len(ran) == 2 * (2 + 1)
    assert len(times.seconds["ours"]) == 2


@pytest.mark.parametrize(("long", "runs"), [(10.0, 4), (0.0, 3)])
def test_first_round_counts_if_it_is_long(monkeypatch, long, runs):
    monkeypatch.setattr(interleave, "LONG", long)
    ran = []
    times = interleave.interleave({"ours": lambda: ran.append(1)}, 0.0, min_rounds=3)
    assert len(ran) == runs
    assert len(times.seconds["ours"]) == 3


def test_processor_seconds_of_a_process_are_not_those_of_others(monkeypatch):
    monkeypatch.setattr(interleave, "busy_elsewhere", lambda: time.perf_counter())

    def peer():
        time.sleep(0.05)
        return interleave.Spent(0.05, 0.05)

    def ours():
        time.sleep(0.001)

    assert interleave.interleave({"ours": ours, "peer": peer}, 0.0).elsewhere < 0.3
    assert interleave.interleave({"ours": ours, "peer": lambda: time.sleep(0.05)}, 0.0).elsewhere > 0.9


def test_errors_of_a_process_are_raised(server):
    with pytest.raises(serving.PeerError, match="build: KeyError: 'nonsense'"):
        server.ask("build", candidate="nonsense", workload="recurrent", sizes=B.sizes)
    # It goes on.
    assert server.ask("versions")["torch"] == torch.__version__


def test_process_that_ends_or_is_silent(tmp_path):
    with serving.Server("/bin/false") as ended, pytest.raises(serving.PeerError, match="the process ended with status"):
        ended.ask("versions")
    silent = tmp_path / "python"
    silent.write_text("#!/bin/sh\nexec sleep 60\n")
    silent.chmod(0o755)
    with (
        serving.Server(silent, timeout=0.2) as process,
        pytest.raises(serving.PeerError, match=r"no answer within 0\.2 s"),
    ):
        process.ask("versions")


class Answering:
    """A library that answers with given results; in float64 it cannot, as long as `only_float32`."""

    def __init__(self, results, only_float32=True):
        self.results, self.only_float32 = results, only_float32

    def ask(self, do, dtype="float32", file=None, samples=None, **_):
        if dtype == "float64" and self.only_float32:
            raise serving.PeerError("build: RuntimeError: expected m1 and m2 to have the same dtype")
        if do == "results":
            outputs, gradients = self.results(samples)
            np.savez(file, outputs=outputs, **{f"gradient{k}": g for k, g in enumerate(gradients)})
        return {}


def test_check_lets_one_sample_flip_and_nothing_else(monkeypatch):
    monkeypatch.setitem(check.SAME, "peer", {"recurrent"})
    timed = B.make()
    outputs, gradients = timed.step("ours")

    def checked(results):
        return check.check_peer("peer", Answering(results), B, timed)

    def ours(samples):
        scale = timed.scale if samples is None else check.masked(timed.scale, torch.tensor(samples))
        return timed.step("loop", scale)

    assert checked(ours)[0] == "float32"
    flipped = outputs.clone()
    flipped[2, 5] = 1 - flipped[2, 5]
    assert checked(lambda samples: (flipped, ours(samples)[1]))[0] == "float32"
    # The gradients of all samples are not those of the samples that agree.
    with pytest.raises(check.Differs, match="peer and ours: gradient 0 differs"):
        checked(lambda samples: (flipped, gradients))
    flipped[3, 5] = 1 - flipped[3, 5]
    with pytest.raises(check.Differs, match="outputs of 25% of the samples differ"):
        checked(lambda samples: (flipped, ours(samples)[1]))
    with pytest.raises(check.Differs, match="gradient 1 differs"):
        checked(lambda samples: (outputs, [gradients[0], 1.01 * gradients[1]]))


def test_check_of_other_equations_wants_shapes_rates_and_gradients():
    timed = B.make()
    outputs, gradients = timed.step("ours")

    def checked(*results):
        return check.check_peer("peer", Answering(lambda samples: results), B, timed)[0]

    assert checked(outputs.roll(1, 0), gradients) == "own equations"
    with pytest.raises(check.Differs, match="shape"):
        checked(outputs.transpose(0, 1), gradients)
    with pytest.raises(check.Differs, match="not finite"):
        checked(outputs, [gradients[0], gradients[1] * torch.nan])
    with pytest.raises(check.Differs, match="zero everywhere"):
        checked(outputs, [gradients[0], 0 * gradients[1]])
    with pytest.raises(check.Differs, match="times that of ours"):
        checked(torch.ones_like(outputs), gradients)


def test_candidates_of_this_process_agree_with_ours():
    for name in ("b", "b triangle", "b SpyLIF"):
        case = cases.TINY[name]
        timed = case.make()
        assert check.check_ours(case, timed) == dict.fromkeys(case.names, "float64")
        for candidate in case.names:
            check.as_timed(candidate, timed)


def test_every_case_has_a_workload_with_its_candidates():
    for case in (*cases.CASES.values(), *cases.TINY.values()):
        assert case.workload in workloads.WORKLOADS
    for case in cases.TINY.values():
        assert set(case.names) <= set(case.make().candidates)


def test_rows_become_a_page_with_figures(server, tmp_path, monkeypatch):
    monkeypatch.setitem(check.SAME, "loop", {"recurrent"})
    rows = tmp_path / "rows.json"
    comparison = compare.Comparison(rows, {"loop": server}, {"loop": "1.0"}, 0.0)
    comparison.case("b", cases.Case("recurrent", B.sizes, ("recomputed",), both={"loop": 0.0}), 1)
    data = json.loads(rows.read_text())
    assert [row["part"] for row in data["rows"]] == ["forward", "both"]
    row = data["rows"][1]
    assert row["checked"] == {"recomputed": "float64", "loop": "float64"}
    assert set(row["milliseconds"]) == {"ours", "recomputed", "loop"}
    assert row["low"]["loop"] <= row["milliseconds"]["loop"] <= row["high"]["loop"]
    assert row["rounds"] == 3
    data["rows"] = [
        {
            **row,
            "workload": f"b{k}",
            "disturbed": k == 1,
            "elsewhere": 1.5,
            "sizes": {"neurons": 512, "batch": 1, "steps": k},
        }
        for k in (1, 2)
    ]
    data["rows"][1]["checked"]["loop"] = "own equations"
    data["memory"] = [
        {"candidate": name, "steps": t, "neurons": 512, "batch": 32, "bytes": size * t, "extrapolated": t == 2}
        for name, size in (("recomputed", 10**6), ("neurotorch", 3 * 10**7))
        for t in (1, 2)
    ]
    rows.write_text(filed.dumped(data))
    assert json.loads(rows.read_text()) == data
    report.main([str(rows), "--out", str(tmp_path / "docs")])
    page = (tmp_path / "docs" / "benchmarks.md").read_text()
    assert "| b1 | 1 | 3 |" in page
    assert "disturbed, 1.5 processors busy elsewhere" in page
    assert "1 of 2 rows were disturbed" in page
    assert "0x plain loop: reached" in page
    assert "\\*, " in page
    assert "| NeuroTorch 0.0.2 | 30 | ~60 |" in page
    assert "takes 30 times less than NeuroTorch 0.0.2 as extrapolated" in page
    assert "have never run on a GPU" in page
    figures = sorted((tmp_path / "docs" / "benchmarks").iterdir())
    assert [figure.name for figure in figures] == ["memory.svg", "times.svg"]
    drawn = [figure.read_bytes() for figure in figures]
    assert sum(map(len, drawn)) < 100_000
    report.main([str(rows), "--out", str(tmp_path / "docs")])
    assert [figure.read_bytes() for figure in figures] == drawn


def test_case_goes_on_without_a_library_that_computes_something_else(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(check.SAME, "neurotorch", {"recurrent"})
    outputs, gradients = B.make().step("ours")
    wrong = Answering(lambda samples: (1 - outputs, gradients))
    comparison = compare.Comparison(tmp_path / "rows.json", {"neurotorch": wrong}, {}, 0.0)
    comparison.case("b", B, 1)
    assert (
        "b: without neurotorch: neurotorch and ours: outputs of 100% of the samples differ" in capsys.readouterr().out
    )
    assert "neurotorch" not in json.loads((tmp_path / "rows.json").read_text())["rows"][0]["milliseconds"]


def test_results_are_compared_once_for_all_numbers_of_threads(server, tmp_path, monkeypatch, set_threads):
    monkeypatch.setitem(check.SAME, "loop", {"recurrent"})
    asked = []
    monkeypatch.setattr(compare, "check_peer", lambda *a: asked.append(a) or check.check_peer(*a))
    comparison = compare.Comparison(tmp_path / "rows.json", {"loop": server}, {}, 0.0)
    for threads in (1, 2):
        comparison.case("b", cases.Case("recurrent", B.sizes, ("recomputed",)), threads)
    assert len(asked) == 1
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert [row["threads"] for row in rows] == [1, 1, 2, 2]
    assert all(row["milliseconds"]["loop"] > 0 for row in rows)
    assert rows[3]["checked"] == rows[1]["checked"]
    assert rows[3]["above_floor"] > 0


def test_missing_environments_are_one_line_each(capsys):
    assert environments.interpreters("/nowhere/python", "/nowhere/reference") == {}
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1] == "without NeuroTorch 0.0.2: no /nowhere/reference (make bench-environments creates it)"
    with environments.servers({"norse": sys.executable}) as (running, versions):
        assert not running
        assert not versions
    assert "without Norse" in capsys.readouterr().out


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
def test_memory_of_recomputed_steps_is_less():
    sizes = {"neurons": 64, "batch": 32}
    kept, recomputed = (memory.measured(sys.executable, name, 2000, sizes) for name in ("ours", "recomputed"))
    potential = 4 * 2000 * 64 * 32
    assert kept > 0.9 * potential
    assert recomputed < 0.6 * kept


def test_line_through_the_last_points_where_memory_ends(monkeypatch):
    monkeypatch.setattr(memory, "measured", lambda python, name, steps, sizes: 10**6 * steps)
    monkeypatch.setattr(memory, "available", lambda: 10**9)
    rows = memory.against_steps({}, steps=(100, 200, 400), sizes={"neurons": 512, "batch": 1})
    assert [(row["bytes"], row["extrapolated"]) for row in rows[:3]] == [
        (10**8, False),
        (2 * 10**8, False),
        (4 * 10**8, False),
    ]
    monkeypatch.setattr(memory, "available", lambda: 5 * 10**8)
    rows = memory.against_steps({}, steps=(100, 200, 400), sizes={"neurons": 512, "batch": 1})
    assert (rows[2]["bytes"], rows[2]["extrapolated"]) == (4 * 10**8, True)


@pytest.mark.parametrize("rule", learning.RULES)
def test_every_rule_trains(rule):
    iterate = learning.training(rule, neurons=8, steps=6)
    iterate()
    iterate()


def test_commands_are_recorded_without_paths_of_interpreters():
    assert compare.command(["--peers", "/x/python", "--quick"]) == "python benchmarks/compare.py --quick"
