"""The command line's `info`, the choice of the instruction set, and the errors of a library that cannot be loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from neurotorch import _library, cli
from neurotorch._version import __version__

ROOT = Path(__file__).parents[1]


def run_info(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "neurotorch", "info"],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def rows(printed: str) -> dict[str, str]:
    return {line[:16].strip(): line[16:] for line in printed.splitlines()}


def test_info_prints_what_was_built_and_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info"]) == 0
    printed = rows(capsys.readouterr().out)
    built = _library.build_info()
    assert printed["neurotorch"] == __version__
    assert printed["library"] == str(_library.load())
    assert printed["ISA built"] == built["isa_built"]
    assert printed["ISA chosen"] == f"{built['isa']}: {built['isa_reason']}"
    assert printed["CUDA"].startswith(("built", "not built"))
    assert int(printed["threads"].split()[0]) >= 1


@pytest.mark.parametrize("isa", ["baseline", "v3", "v4"])
def test_environment_overrides_the_instruction_set(isa: str) -> None:
    if isa not in _library.build_info()["isa_built"].split(", "):
        pytest.skip(f"{isa} is not built on this platform")
    result = run_info(NEUROTORCH_ISA=isa)
    if "this processor does not run" in result.stderr:
        pytest.skip(f"this processor does not run {isa}")
    assert result.returncode == 0, result.stderr
    printed = rows(result.stdout)
    assert printed["ISA chosen"] == f"{isa}: NEUROTORCH_ISA asked for it"
    assert printed["NEUROTORCH_ISA"] == isa


def test_unknown_instruction_set_is_refused() -> None:
    result = run_info(NEUROTORCH_ISA="avx")
    assert result.returncode == 1
    assert f"NEUROTORCH_ISA: expected one of {_library.build_info()['isa_built']}, got avx" in result.stderr


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"neurotorch {__version__}\n"


def test_missing_library_says_how_to_build_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_library, "_PATH", tmp_path / "_C.so")
    with pytest.raises(ImportError, match=r"_C\.so is missing; build it with .*pip install"):
        _library.load.__wrapped__()


def test_unloadable_library_names_torch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "_C.so"
    broken.write_text("not a library")
    monkeypatch.setattr(_library, "_PATH", broken)
    with pytest.raises(ImportError, match=r"_C\.so does not load with torch .* \(2\.13 or newer is needed\)"):
        _library.load.__wrapped__()
