"""Runs CMake and puts the native library into the package. All settings stand in pyproject.toml and CMakeLists.txt."""

from __future__ import annotations

import importlib.util
import os
import runpy
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NoReturn

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.dist_info import dist_info

ROOT = Path(__file__).parent.resolve()
CUDA_ARCHITECTURES = "80-real;90-real;100-real;120-real;120-virtual"


def fail(sentence: str) -> NoReturn:
    """Stop the build with one sentence instead of a traceback."""
    raise SystemExit(f"neurotorch: {sentence}")


def find_torch() -> tuple[Path, str, str | None]:
    """Directory, version and CUDA version (None in a CPU build) of the torch that the package will run with.

    That is the importable one or, in an isolated build, the one that the target environment holds. It is located, never
    imported, and never one that the build installed for itself.
    """
    spec = importlib.util.find_spec("torch")
    candidates = [Path(spec.origin).parent] if spec and spec.origin else []
    candidates += [Path(sysconfig.get_path(key)) / "torch" for key in ("platlib", "purelib")]
    for folder in candidates:
        if (folder / "version.py").exists():
            break
    else:
        fail(
            "torch is missing; install torch 2.13 or newer first (pip install torch), then neurotorch; "
            f"where {sys.executable} can import one already, add --no-build-isolation"
        )
    described = runpy.run_path(str(folder / "version.py"))
    version = str(described["__version__"])
    if tuple(int(part) for part in version.split("+")[0].split(".")[:2]) < (2, 13):
        fail(f"torch 2.13 or newer is needed, found {version} in {folder}; upgrade torch first")
    return folder, version, described.get("cuda")


def flag(name: str) -> bool | None:
    """The environment variable as a choice; None when it is not set."""
    value = os.environ.get(name, "")
    if value not in ("", "0", "1"):
        fail(f"{name}: expected 0 or 1, got {value!r}")
    return None if value == "" else value == "1"


def find_nvcc() -> str | None:
    """The CUDA compiler: CUDACXX, the PATH, CUDA_HOME or the usual folder."""
    homes = [home for home in (os.environ.get("CUDA_HOME"), "/usr/local/cuda") if home]
    candidates = [os.environ.get("CUDACXX"), shutil.which("nvcc"), *(f"{home}/bin/nvcc" for home in homes)]
    return next((path for path in candidates if path and Path(path).exists()), None)


def choose_cuda(torch_version: str, torch_cuda: str | None) -> tuple[bool, str]:
    """Whether to build the CUDA kernels, and why. By default: when torch is a CUDA build and nvcc is there."""
    asked = flag("NEUROTORCH_CUDA")
    if asked is False:
        return False, "NEUROTORCH_CUDA=0 asked for that"
    if asked is None and torch_cuda is None:
        return False, f"torch {torch_version} is a CPU build"
    if find_nvcc() is None:
        if asked:
            fail("NEUROTORCH_CUDA=1 needs nvcc, and none was found; install the CUDA toolkit or set CUDACXX")
        return False, f"torch {torch_version} is a CUDA build, but no nvcc was found"
    return True, "NEUROTORCH_CUDA=1 asked for that" if asked else f"torch {torch_version} is a CUDA build"


def find_tool(name: str) -> str:
    """A build tool beside this Python or on the PATH."""
    beside = Path(sys.executable).parent / name
    return (str(beside) if beside.exists() else shutil.which(name)) or fail(f"{name} is missing; pip install {name}")


def check_compiler() -> None:
    """A clear sentence instead of CMake's report of everything that it tried."""
    names = [shlex.split(os.environ["CXX"])[0]] if os.environ.get("CXX") else ["c++", "g++", "clang++"]
    if not any(shutil.which(name) for name in names):
        fail(f"no C++ compiler was found ({', '.join(names)}); install one that knows C++20, such as g++ 12")


class CheckedDistInfo(dist_info):
    """Refuses before pip looks at the dependencies, which would download a torch and still not build."""

    def run(self) -> None:
        find_torch()
        super().run()


class CMakeBuild(build_ext):
    """Configures and builds the one CMake project; incremental, since its folder does not change between commands."""

    def get_ext_filename(self, fullname: str) -> str:
        return os.path.join(*fullname.split(".")) + ".so"

    def build_extension(self, ext: Extension) -> None:
        torch_folder, torch_version, torch_cuda = find_torch()
        check_compiler()
        cuda, reason = choose_cuda(torch_version, torch_cuda)
        build = ROOT / "build" / ("cuda" if cuda else "cpu")
        arguments = [
            f"-DCMAKE_MAKE_PROGRAM={find_tool('ninja')}",
            "-DCMAKE_BUILD_TYPE=Release",
            f"-DNEUROTORCH_TORCH_DIR={torch_folder}",
            f"-DNEUROTORCH_CUDA={int(cuda)}",
            f"-DNEUROTORCH_CUDA_REASON={reason}",
            f"-DNEUROTORCH_BUILD_TESTS={int(bool(flag('NEUROTORCH_BUILD_TESTS')))}",
            f"-DPython_EXECUTABLE={sys.executable}",
        ]
        if cuda:
            arguments += [
                f"-DCMAKE_CUDA_COMPILER={find_nvcc()}",
                f"-DCMAKE_CUDA_ARCHITECTURES={os.environ.get('NEUROTORCH_CUDA_ARCHS', CUDA_ARCHITECTURES)}",
            ]
        print(f"neurotorch: torch {torch_version}, CUDA kernels {'on' if cuda else 'off'}: {reason}", flush=True)
        cmake = find_tool("cmake")
        configure = [cmake, "-S", str(ROOT), "-B", str(build), "-GNinja", *arguments]
        if subprocess.run(configure).returncode or subprocess.run([cmake, "--build", str(build)]).returncode:
            fail("the native build failed; the messages above say why")
        # Each kind of build keeps its own library, so that changing between them never leaves the other one in place.
        library = Path(self.get_ext_fullpath(ext.name))
        library.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(build / "_C.so", library.with_suffix(".tmp"))
        library.with_suffix(".tmp").replace(library)


# No CPython symbols in the library: one wheel serves every Python from 3.10 on.
setup(
    ext_modules=[Extension("neurotorch._C", [])],
    cmdclass={"build_ext": CMakeBuild, "dist_info": CheckedDistInfo},
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
