"""Compiles the CUDA kernels for every supported architecture and checks that no register is spilled."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

CUDA_SOURCES = sorted((Path(__file__).parents[2] / "csrc" / "cuda").glob("*.cu"))
ARCHITECTURES = ["80", "90", "100", "120"]
FLAGS = ["-std=c++17", "-O3", "-fmad=false", "-ftz=true", "-Xptxas", "-v", "-Xcompiler", "-Wall,-Wextra,-fPIC"]


def find_nvcc() -> str | None:
    for home in (os.environ.get("CUDA_HOME"), "/usr/local/cuda"):
        if home and (found := shutil.which("nvcc", path=f"{home}/bin")):
            return found
    return shutil.which("nvcc")


@pytest.mark.parametrize("source", CUDA_SOURCES, ids=lambda path: path.name)
def test_nvcc_compiles_without_spills(source: Path, tmp_path: Path) -> None:
    nvcc = find_nvcc()
    if nvcc is None:
        pytest.skip("no CUDA toolkit here: neither CUDA_HOME, /usr/local/cuda nor the PATH has nvcc")
    targets = [flag for a in ARCHITECTURES for flag in ("-gencode", f"arch=compute_{a},code=sm_{a}")]
    result = subprocess.run(
        [nvcc, *FLAGS, *targets, "-c", str(source), "-o", str(tmp_path / "kernels.o")],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    log = result.stdout + result.stderr
    assert result.returncode == 0, log
    assert "warning" not in log.lower(), log
    kernels = re.findall(
        r"Compiling entry function '(\w+)' for 'sm_(\d+)'"
        r".*?(\d+) bytes spill stores, (\d+) bytes spill loads.*?Used (\d+) registers",
        log,
        re.DOTALL,
    )
    assert {architecture for _, architecture, *_ in kernels} == set(ARCHITECTURES)
    for architecture in ARCHITECTURES:
        registers = sorted(int(used) for _, a, _, _, used in kernels if a == architecture)
        print(f"{source.name} sm_{architecture}: {len(registers)} kernels, {registers[0]} to {registers[-1]} registers")
    spilled = [
        f"{name} on sm_{a}: {stores} + {loads} bytes"
        for name, a, stores, loads, _ in kernels
        if stores != "0" or loads != "0"
    ]
    assert not spilled, spilled
