"""Tables that are written from files of rows."""

from pathlib import Path

import pytest

cases = pytest.importorskip("comparisons")
floors = pytest.importorskip("floors")
interleave = pytest.importorskip("interleave")
report = pytest.importorskip("report")
filed = pytest.importorskip("rows")

ROOT = Path(__file__).parents[2]
AT = floors.Ceilings(1, 100.0, ((1.0, 80.0), (64.0, 20.0)), ((16.0, 70.0),))


def row(name, part="both", floor=2.0, **more):
    times = interleave.Times({"ours": [0.004] * 5, "loop": [0.032] * 5, "compiled": [0.014] * 5})
    return {**interleave.summarise(name, part, 1, 0.05, times, {"loop": 10.0}, floor).as_dict(), **more}


def loops_file(path, rows):
    filed.write({"loops": True, **filed.heading("python -m pytest x"), "ceilings": [AT.as_dict()], "rows": rows}, path)
    return path


@pytest.fixture
def readmes(tmp_path):
    """The files of this checkout, whose tables are to be replaced."""
    (tmp_path / "benchmarks").mkdir()
    for name in ("README.md", "benchmarks/README.md"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    return tmp_path


def test_tables_of_readmes(readmes, tmp_path):
    rows = [row("b N=512 B=1", "forward"), row("b N=512 B=1"), row("model lif", floor=None)]
    rows = loops_file(tmp_path / "loops.json", rows)
    arguments = [str(rows), "--readme", str(readmes)]
    report.main(arguments)
    whole, short = (readmes / "benchmarks" / "README.md").read_text(), (readmes / "README.md").read_text()
    assert "One run of `python -m pytest x` at commit " in whole
    assert "With 1 thread: products 100 GFLOP/s, weight rows 80 / 20 GB/s at 1 / 64 MB, copies 70 GB/s" in whole
    assert (
        "| b N=512 B=1 | both | 1 | 5.0% | 4.00 | 2, 2.0x | 8.0 (8.0-8.0) | 3.5 (3.5-3.5) | 10x loop: not reached |"
        in whole
    )
    assert "model lif" not in whole
    assert "| 700 inputs to 512 recurrent LIF, batch 1, 100 steps, 5 % rate | 4.0 | 8.0x | 3.5x |" in short
    # What was there before is gone, what stands around it stays, and again nothing changes.
    assert whole.count("| --- | --- | --- | --- | --- | --- |") == 1
    for name, text in (("README.md", short), ("benchmarks/README.md", whole)):
        old = (ROOT / name).read_text()
        assert text.startswith(old[: old.index(report.BEGIN)])
        assert text.endswith(old[old.index(report.END) :])
    report.main(arguments)
    assert (readmes / "README.md").read_text() == short
    assert (readmes / "benchmarks" / "README.md").read_text() == whole


def test_readme_without_a_place_for_the_table_is_left_alone(readmes, tmp_path):
    (readmes / "README.md").write_text("# Nothing\n")
    rows = loops_file(tmp_path / "loops.json", [row("c")])
    with pytest.raises(ValueError, match="needs one line <!-- written by"):
        report.main([str(rows), "--readme", str(readmes)])
    assert (readmes / "README.md").read_text() == "# Nothing\n"


def test_page_with_and_without_floors(readmes, tmp_path):
    """Files of earlier versions know no floors and no ceilings; a file of rows beside loops is no part of the page."""
    more = {"kind": "recurrent", "sizes": {"neurons": 1, "batch": 1, "steps": 1}, "checked": {}, "rates": {}}
    known = ("floor", "above_floor", "inside")
    old = {key: value for key, value in row("old", **more).items() if key not in known}
    heading = filed.heading("python x")
    files = [tmp_path / "old.json", tmp_path / "new.json", loops_file(tmp_path / "loops.json", [row("beside")])]
    filed.write({**heading, "rows": [old], "memory": []}, files[0])
    arguments = ["--out", str(tmp_path / "docs"), "--readme", str(readmes)]
    report.main([str(files[0]), *arguments])
    page = (tmp_path / "docs" / "benchmarks.md").read_text()
    assert "| old | 1 | 5 | 5.0% | 4 | 32, 8.0x (8.0-8.0) | 14, 3.5x (3.5-3.5) | 10x plain loop: not reached |" in page
    assert "floor" not in page.lower()
    filed.write({**heading, "ceilings": [AT.as_dict()], "rows": [row("new", **more)], "memory": []}, files[1])
    report.main([*map(str, files), *arguments])
    page = (tmp_path / "docs" / "benchmarks.md").read_text()
    assert "3.5x (3.5-3.5) | - | 10x plain loop: not reached |" in page
    assert "3.5x (3.5-3.5) | 2, 2.0x | 10x plain loop: not reached |" in page
    assert "With 1 thread: products 100 GFLOP/s" in page
    assert "beside" not in page.split("## Workloads")[1].split("### Forward plus backward")[1]


def test_rows_of_the_checkout_are_read():
    data = report.merged(sorted((ROOT / "docs" / "benchmarks").glob("*.json")))
    for name in data["rows"]:
        assert report.Row.of(name).workload == name["workload"]


def test_cases_of_the_short_table_are_timed():
    for name, _ in report.SPEED:
        assert cases.CASES[name].loops
