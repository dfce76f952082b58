"""What the package promises to those who install it: versions, dependencies, symbols, contents of wheels."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import tomllib

from neurotorch import _library
from neurotorch._version import __version__

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINS = dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))

needs_binutils = pytest.mark.skipif(shutil.which("nm") is None, reason="nm and readelf (binutils) are not installed")


def output(*command: str | Path) -> str:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60, check=True).stdout


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def required(requirement: str) -> str:
    return normalised(re.match(r"[A-Za-z0-9_.-]+", requirement)[0])


def run_setup(prelude: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run setup.py with its arguments after some Python that changes what it finds."""
    program = (
        f"import runpy, sys\n{prelude}\nsys.argv[1:] = {list(arguments)}\nrunpy.run_path('setup.py', {{}}, '__main__')"
    )
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def torch_found_in(folder: Path) -> str:
    """A prelude that lets setup.py look for torch in the folder only."""
    return (
        "import importlib.util, setuptools, sysconfig\n"
        "find_spec = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'torch' else find_spec(name, *rest)\n"
        "get_path = sysconfig.get_path\n"
        f"libraries = {{'platlib': {str(folder)!r}, 'purelib': {str(folder)!r}}}\n"
        "sysconfig.get_path = lambda key, *rest: libraries.get(key) or get_path(key, *rest)"
    )


def test_versions_agree() -> None:
    assert __version__ == SETTINGS["project"]["version"]
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert re.search(
        rf"^## \[({re.escape(__version__)}|Unreleased)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )


def test_installed_metadata_agree() -> None:
    try:
        installed = importlib.metadata.version("neurotorch")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("neurotorch is used from its source tree, not installed")
    assert installed == __version__


def test_build_never_asks_for_torch() -> None:
    assert "torch" not in [required(r) for r in SETTINGS["build-system"]["requires"]]
    assert [required(r) for r in SETTINGS["project"]["dependencies"]] == ["torch", "numpy"]


def test_everything_that_is_installed_here_is_pinned() -> None:
    project = SETTINGS["project"]
    asked = [*SETTINGS["build-system"]["requires"], *project["dependencies"]]
    asked += [requirement for extra in project["optional-dependencies"].values() for requirement in extra]
    missing = {required(r) for r in asked} - {normalised(name) for name in PINS} - {"neurotorch"}
    assert not missing


def test_pre_commit_runs_the_pinned_tools() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    used = dict(re.findall(r"([a-z-]+)==([0-9.]+)", hooks))
    assert used
    assert used == {name: PINS[name] for name in used}


@needs_binutils
def test_library_uses_torch_and_the_c_runtime_only() -> None:
    dynamic = output("readelf", "-dW", _library.load())
    allowed = r"lib(torch_cpu|torch|c10|stdc\+\+|gcc_s|c|m|dl|pthread|rt)\.so[.\d]*|ld-linux[-\w.]+"
    needed = re.findall(r"NEEDED.*\[(.+)\]", dynamic)
    assert [name for name in needed if not re.fullmatch(allowed, name)] == []
    assert re.findall(r"RUNPATH.*\[(.+)\]", dynamic) == ["$ORIGIN/../torch/lib"]


@needs_binutils
def test_library_has_no_python_symbols_and_exports_nothing() -> None:
    library = _library.load()
    undefined = output("nm", "-D", "--undefined-only", library)
    assert re.findall(r"\b_?Py[A-Z_]\w*", undefined) == []
    assert output("nm", "-D", "--defined-only", library) == ""


def test_library_holds_no_folders_of_the_build_machine() -> None:
    assert re.findall(rb"(?<![\w.])/[\w./+-]*(?:site-packages|csrc)/[\w./+-]*", _library.load().read_bytes()) == []


@needs_binutils
@pytest.mark.parametrize("isa", ["v3", "v4"])
def test_kernels_define_nothing_outside_their_namespace(isa: str) -> None:
    # The linker keeps one copy of a weak symbol: an AVX-512 one outside its namespace would run on every processor.
    objects = sorted((ROOT / "build").glob(f"c*/CMakeFiles/nt_kernels_{isa}.dir/**/*.o"))
    if not objects:
        pytest.skip(f"no object files of {isa} under build/: the library was built elsewhere")
    for path in objects:
        defined = output("nm", "-C", "--defined-only", "--extern-only", path)
        names = [line.split(" ", 2)[2] for line in defined.splitlines() if line]
        assert names
        # DW.ref.* holds an address for the exception tables, not code.
        foreign = [name for name in names if f"nt::{isa}::" not in name and not name.startswith("DW.ref.")]
        assert foreign == [], path


def test_build_without_torch_says_so(tmp_path: Path) -> None:
    result = run_setup(torch_found_in(tmp_path), "build_ext", "--build-lib", str(tmp_path))
    assert result.returncode == 1
    assert "neurotorch: torch is missing; install torch 2.13 or newer first" in result.stderr
    assert "Traceback" not in result.stderr


def test_build_with_an_old_torch_says_so(tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "version.py").write_text("__version__ = '2.9.1+cpu'\n")
    result = run_setup(torch_found_in(tmp_path), "build_ext", "--build-lib", str(tmp_path))
    assert result.returncode == 1
    assert "neurotorch: torch 2.13 or newer is needed, found 2.9.1+cpu" in result.stderr


def test_build_without_a_compiler_says_so(tmp_path: Path) -> None:
    result = run_setup("", "build_ext", "--build-lib", str(tmp_path), CXX="/nowhere/g++")
    assert result.returncode == 1
    assert "neurotorch: no C++ compiler was found (/nowhere/g++)" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("name", ["NEUROTORCH_CUDA", "NEUROTORCH_BUILD_TESTS"])
def test_build_refuses_values_that_it_does_not_know(name: str, tmp_path: Path) -> None:
    result = run_setup("", "build_ext", "--build-lib", str(tmp_path), **{name: "maybe"})
    assert result.returncode == 1
    assert f"neurotorch: {name}: expected 0 or 1, got 'maybe'" in result.stderr


@pytest.mark.slow
def test_distributions_hold_what_they_should(tmp_path: Path) -> None:
    # From a copy, so that the library in this tree stays the one that the tests run with.
    source = tmp_path / "source"
    kept_out = shutil.ignore_patterns(".*", "build", "runs", "_build", "*.so", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, source, ignore=kept_out)
    setup = [sys.executable, "setup.py", "--quiet"]
    built = {**os.environ, "NEUROTORCH_BUILD_TESTS": "0", "NEUROTORCH_CUDA": "0"}
    for command in (["sdist", "--dist-dir", "dist"], ["bdist_wheel", "--dist-dir", "dist"]):
        subprocess.run([*setup, *command], cwd=source, env=built, capture_output=True, timeout=600, check=True)
    (wheel,) = (source / "dist").glob("*.whl")
    assert re.fullmatch(rf"neurotorch-{re.escape(__version__)}-cp310-abi3-\w+\.whl", wheel.name)
    names = zipfile.ZipFile(wheel).namelist()
    assert {"neurotorch/_C.so", "neurotorch/py.typed", "neurotorch/cli.py"} <= set(names)
    assert {name.split("/")[0] for name in names} == {"neurotorch", f"neurotorch-{__version__}.dist-info"}
    assert [name for name in names if name.endswith(".so")] == ["neurotorch/_C.so"]
    (archive,) = (source / "dist").glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        held = {name.split("/", 1)[1] for name in packed.getnames() if "/" in name}
    assert {"CMakeLists.txt", "csrc/library.cpp", "csrc/cpu/kernels.cpp", "csrc/cuda/layer.cu", "LICENSE"} <= held
