"""Instructions of the hot kernels against the record, and whether that check can fail."""

import sys
from dataclasses import replace

import pytest

instructions = pytest.importorskip("instructions")

COUNT = instructions.Count(1_000_000, 50_000, "neuron-step", 0.05)
COUNTS = instructions.Counts("gcc 12.2.0", "v3", "3.19.0", {"lif_forward": COUNT})


def times(factor):
    return {"lif_forward": replace(COUNT, instructions=round(COUNT.instructions * factor))}


@pytest.fixture(scope="module")
def program():
    try:
        instructions.find_tool("valgrind", "counts instructions")
        return instructions.build()
    except instructions.Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def counted(program):
    try:
        return instructions.measure(program)
    except instructions.Unavailable as reason:
        pytest.skip(str(reason))


def test_no_kernel_needs_more_instructions_than_recorded(counted, capsys):
    recorded = instructions.load()
    if reason := instructions.why_not_comparable(counted, recorded):
        pytest.skip(reason)
    if less := instructions.shrunk(counted.cases, recorded.cases):
        with capsys.disabled():
            print(f"\n{instructions.hint(less)}: python benchmarks/instructions.py --record")
    lines = instructions.grown(counted.cases, recorded.cases)
    assert not lines, "\n".join([*lines, instructions.ADVICE])


# A network that is quiet or busy takes other branches of the kernels than those that matter.
def test_spikes_of_the_cases_are_sparse(counted):
    for name, case in counted.cases.items():
        assert 0.03 < case.active < 0.15 or name == "rls_update", name


def test_the_same_case_counts_the_same(program, counted):
    assert instructions.count(program, "rls_update") == counted.cases["rls_update"]


def test_twice_the_steps_are_reported(program, counted):
    twice = instructions.count(program, "lif_recurrent_forward", 2)
    before = counted.cases["lif_recurrent_forward"]
    assert twice.units == 2 * before.units
    (line,) = instructions.grown({"lif_recurrent_forward": twice}, {"lif_recurrent_forward": before})
    assert f"{twice.instructions:,} instructions, recorded {before.instructions:,}, +9" in line


def test_unknown_cases_are_refused(program):
    with pytest.raises(RuntimeError, match="ended with 2\n.*got 'nothing'"):
        instructions.count(program, "nothing")


@pytest.mark.parametrize(("factor", "reported"), [(1.06, True), (1.04, False), (1.0, False), (0.94, False)])
def test_more_than_five_percent_are_reported(factor, reported):
    lines = instructions.grown(times(factor), COUNTS.cases)
    expected = "lif_forward: 1,060,000 instructions, recorded 1,000,000, +6.0%; 5% are allowed"
    assert lines == ([expected] if reported else [])


@pytest.mark.parametrize(("factor", "hinted"), [(0.94, True), (0.96, False), (1.06, False)])
def test_a_record_that_guards_no_longer_is_named(factor, hinted):
    assert instructions.shrunk(times(factor), COUNTS.cases) == (["lif_forward"] if hinted else [])


def test_cases_that_only_one_side_knows_are_reported():
    assert instructions.grown(COUNTS.cases, {}) == ["lif_forward: not in the record"]
    assert instructions.grown({}, COUNTS.cases) == ["lif_forward: in the record only"]


def test_counts_of_other_compilers_are_not_compared():
    other = replace(COUNTS, compiler="clang 19.1.0")
    expected = "instructions were recorded with compiler gcc 12.2.0, here it is clang 19.1.0"
    assert instructions.why_not_comparable(other, COUNTS) == expected
    assert instructions.why_not_comparable(replace(COUNTS, valgrind="3.24.0"), COUNTS) is None


def test_what_is_missing_is_named(monkeypatch):
    with pytest.raises(instructions.Unavailable, match="no-such-program is missing, which counts instructions"):
        instructions.find_tool("no-such-program", "counts instructions")
    monkeypatch.setattr(instructions.platform, "machine", lambda: "aarch64")
    with pytest.raises(instructions.Unavailable, match="x86-64-v3 are counted, and this is aarch64"):
        instructions.build()


def test_command_fails_on_growth_until_it_records_anew(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(instructions, "ROOT", tmp_path)
    monkeypatch.setattr(instructions, "RECORD", tmp_path / "instructions.json")
    monkeypatch.setattr(instructions, "build", lambda: None)
    monkeypatch.setattr(instructions, "measure", lambda program: replace(COUNTS, cases=times(1.06)))
    monkeypatch.setattr(sys, "argv", ["instructions.py"])
    instructions.save(COUNTS, instructions.RECORD)
    assert instructions.main() == 1
    assert "+6.0%; 5% are allowed\nwhere that is wanted: python benchmarks/instructions.py --record" in (
        capsys.readouterr().out
    )
    monkeypatch.setattr(sys, "argv", ["instructions.py", "--record"])
    assert instructions.main() == 0
    monkeypatch.setattr(sys, "argv", ["instructions.py"])
    assert instructions.main() == 0
    assert instructions.load(instructions.RECORD) == replace(COUNTS, cases=times(1.06))
