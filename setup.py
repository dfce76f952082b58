"""Runs CMake and puts the native library into the package. All settings stand in pyproject.toml and CMakeLists.txt."""

from __future__ import annotations

import importlib.util
import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent.resolve()
CUDA_ARCHITECTURES = "80-real;90-real;100-real;120-real;120-virtual"


def find_torch() -> tuple[Path, dict[str, object]]:
    """The torch that the package will run with: the importable one, or, in an isolated build, that of the target.

    It is located, never imported, and never one that the build installed for itself.
    """
    spec = importlib.util.find_spec("torch")
    candidates = [Path(spec.origin).parent] if spec and spec.origin else []
    candidates += [Path(sysconfig.get_path(key)) / "torch" for key in ("platlib", "purelib")]
    for folder in candidates:
        if (folder / "version.py").exists():
            return folder, runpy.run_path(str(folder / "version.py"))
    raise SystemExit("neurotorch: torch is missing; install it first (pip install torch, version 2.13 or newer), then neurotorch")


def check_torch_version(version: str) -> None:
    """A clear sentence instead of a compiler error for a torch that is too old."""
    release = tuple(int(part) for part in version.split("+")[0].split(".")[:2])
    if release < (2, 13):
        raise SystemExit(f"neurotorch: torch 2.13 or newer is needed, found {version}; upgrade torch first")


def find_nvcc() -> str | None:
    """The CUDA compiler: CUDACXX, the PATH, CUDA_HOME or the usual folder."""
    candidates = [os.environ.get("CUDACXX"), shutil.which("nvcc")]
    candidates += [str(Path(home) / "bin" / "nvcc") for home in (os.environ.get("CUDA_HOME"), "/usr/local/cuda") if home]
    return next((path for path in candidates if path and Path(path).exists()), None)


def wants_cuda(torch_cuda: object) -> bool:
    """NEUROTORCH_CUDA=1 or 0; by default on when torch is a CUDA build and nvcc is there."""
    asked = os.environ.get("NEUROTORCH_CUDA", "")
    if asked in ("", "auto"):
        return torch_cuda is not None and find_nvcc() is not None
    if asked not in ("0", "1"):
        raise SystemExit(f"neurotorch: NEUROTORCH_CUDA: expected 0 or 1, got {asked!r}")
    if asked == "1" and find_nvcc() is None:
        raise SystemExit("neurotorch: NEUROTORCH_CUDA=1 needs nvcc, and none was found; install the CUDA toolkit or set CUDACXX")
    return asked == "1"


def find_tool(name: str) -> str:
    """A build tool beside this Python or on the PATH."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise SystemExit(f"neurotorch: {name} is missing; install it (pip install {name})")
    return found


class CMakeBuild(build_ext):
    """Configures and builds the one CMake project; incremental as long as the build folder stays."""

    def get_ext_filename(self, fullname: str) -> str:
        return os.path.join(*fullname.split(".")) + ".so"

    def build_extension(self, ext: Extension) -> None:
        torch_dir, torch = find_torch()
        check_torch_version(str(torch["__version__"]))
        if not any(shutil.which(os.environ.get("CXX", name)) for name in ("c++", "g++", "clang++")):
            raise SystemExit("neurotorch: a C++20 compiler is missing; install one (Debian: apt-get install g++)")
        cuda = wants_cuda(torch.get("cuda"))
        output = Path(self.get_ext_fullpath(ext.name)).parent.resolve()
        build = Path(self.build_temp).resolve() / ("cuda" if cuda else "cpu")
        build.mkdir(parents=True, exist_ok=True)
        arguments = [
            "-GNinja",
            f"-DCMAKE_MAKE_PROGRAM={find_tool('ninja')}",
            "-DCMAKE_BUILD_TYPE=Release",
            f"-DNEUROTORCH_TORCH_DIR={torch_dir}",
            f"-DCMAKE_LIBRARY_OUTPUT_DIRECTORY={output}",
            f"-DNEUROTORCH_CUDA={int(cuda)}",
            f"-DNEUROTORCH_BUILD_TESTS={int(os.environ.get('NEUROTORCH_BUILD_TESTS', '0') == '1')}",
            f"-DPython_EXECUTABLE={sys.executable}",
        ]
        if cuda:
            arguments += [
                f"-DCMAKE_CUDA_COMPILER={find_nvcc()}",
                f"-DCMAKE_CUDA_ARCHITECTURES={os.environ.get('NEUROTORCH_CUDA_ARCHS', CUDA_ARCHITECTURES)}",
            ]
        print(f"neurotorch: torch {torch['__version__']}, CUDA kernels {'on' if cuda else 'off'}", flush=True)
        cmake = find_tool("cmake")
        subprocess.run([cmake, "-S", str(ROOT), "-B", str(build), *arguments], check=True)
        subprocess.run([cmake, "--build", str(build)], check=True)


setup(ext_modules=[Extension("neurotorch._C", [])], cmdclass={"build_ext": CMakeBuild})
