"""Instructions of the hot CPU kernels, counted by callgrind (valgrind), beside recorded ones: load does not move them.

    python benchmarks/instructions.py            # builds, counts and prints a table; fails on more than 5 % growth
    python benchmarks/instructions.py --record   # the same, and rewrites benchmarks/instructions.json

`tests/native/counted.cpp` has the cases: kernels on fixed inputs, as built for x86-64-v3, the newest instruction set
that valgrind knows. Counts belong to a compiler; those of two compilers are not compared.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = ROOT / "tests" / "native" / "_build" / "counted"
RECORD = Path(__file__).with_suffix(".json")
LIMIT = 0.05
ADVICE = "where that is wanted: python benchmarks/instructions.py --record, and the reason in the commit"
NO_SUCH_PROCESSOR = 3  # exit status of the program
# Without these, setting memory to zero may be one instruction per byte, by a choice of the C library.
TUNABLES = "glibc.cpu.x86_rep_stosb_threshold=1073741824:glibc.cpu.x86_rep_movsb_threshold=1073741824"


class Unavailable(Exception):
    """Nothing can be counted here, and why."""


@dataclass(frozen=True)
class Count:
    """Instructions of one case, and how much work it is."""

    instructions: int
    units: int
    unit: str
    active: float  # share of the neurons that fired, or of the entries that are not zero


@dataclass
class Counts:
    """Counts by case, and what they belong to."""

    compiler: str
    isa: str
    valgrind: str
    cases: dict[str, Count] = field(default_factory=dict)


# ---- counting --------------------------------------------------------------------------------------------------


def run(command: list[Any], **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)


def output_of(command: list[Any], **options: Any) -> str:
    result = run(command, **options)
    if result.returncode == NO_SUCH_PROCESSOR:
        raise Unavailable(result.stderr.strip().splitlines()[-1])
    if result.returncode != 0:
        raise RuntimeError(
            f"{' '.join(map(str, command))} ended with {result.returncode}\n{result.stdout}{result.stderr}"
        )
    return result.stdout


def find_tool(name: str, what: str) -> str:
    """A program beside this Python or on the PATH."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}")
    if found is None:
        raise Unavailable(f"{name} is missing, which {what}")
    return found


def build() -> Path:
    """Bring the program up to date, with the kernels as the library has them."""
    if platform.machine() not in ("x86_64", "AMD64"):
        raise Unavailable(f"kernels of x86-64-v3 are counted, and this is {platform.machine()}")
    caches = {path.parent: path.read_text() for path in sorted((ROOT / "build").glob("c*/CMakeCache.txt"))}
    own = [folder for folder, cache in caches.items() if f"CMAKE_HOME_DIRECTORY:INTERNAL={ROOT}\n" in cache]
    if not own:
        raise Unavailable("the library was not built in this folder; make install does that")
    folder, cmake = own[0], find_tool("cmake", "builds the program")
    if not re.search(r"^NEUROTORCH_BUILD_TESTS:\w+=(1|ON)$", caches[folder], re.MULTILINE):
        options = ["-DNEUROTORCH_BUILD_TESTS=1", f"-DPython_EXECUTABLE={sys.executable}"]
        output_of([cmake, "-S", ROOT, "-B", folder, *options])
    output_of([cmake, "--build", folder, "--target", "counted"])
    return PROGRAM


def count(program: Path, case: str, scale: int = 1) -> Count:
    """Instructions of a case; `scale`: times as many steps."""
    valgrind = find_tool("valgrind", "counts instructions")
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "callgrind.out"
        options = ["--tool=callgrind", "--quiet", "--toggle-collect=counted_region", f"--callgrind-out-file={written}"]
        environment = {**os.environ, "GLIBC_TUNABLES": TUNABLES}
        work = json.loads(output_of([valgrind, *options, program, case, scale], env=environment))
        found = re.search(r"^totals: (\d+)$", written.read_text(), re.MULTILINE)
    if found is None or int(found[1]) == 0:
        raise RuntimeError(f"callgrind counted nothing in {case}")
    return Count(int(found[1]), **work)


def measure(program: Path) -> Counts:
    """Count all cases."""
    version = output_of([find_tool("valgrind", "counts instructions"), "--version"]).strip().removeprefix("valgrind-")
    known = json.loads(output_of([program, "list"]))
    found = Counts(known["compiler"], known["isa"], version)
    for case in known["cases"]:
        found.cases[case] = count(program, case)
    return found


# ---- the record ------------------------------------------------------------------------------------------------


def load(path: Path | None = None) -> Counts:
    data = json.loads((path or RECORD).read_text())
    return Counts(**{**data, "cases": {name: Count(**case) for name, case in data["cases"].items()}})


def save(counts: Counts, path: Path | None = None) -> None:
    from neurotorch.utils.files import written_whole

    with written_whole(path or RECORD) as temporary:
        temporary.write_text(json.dumps(asdict(counts), indent=1) + "\n")


def why_not_comparable(found: Counts, recorded: Counts) -> str | None:
    """One sentence, or None where both belong to the same compiler and instruction set."""
    for what in ("compiler", "isa"):
        here, there = getattr(found, what), getattr(recorded, what)
        if here != there:
            return f"instructions were recorded with {what} {there}, here it is {here}"
    return None


def change(found: Count, recorded: Count) -> float:
    return found.instructions / recorded.instructions - 1


def grown(found: dict[str, Count], recorded: dict[str, Count]) -> list[str]:
    """A line for each case that needs more than is allowed, or that only one of both knows."""
    lines = [f"{name}: not in the record" for name in found if name not in recorded]
    lines += [f"{name}: in the record only" for name in recorded if name not in found]
    for name in found.keys() & recorded.keys():
        growth = change(found[name], recorded[name])
        if growth > LIMIT:
            lines.append(
                f"{name}: {found[name].instructions:,} instructions, recorded {recorded[name].instructions:,}, "
                f"{growth:+.1%}; {LIMIT:.0%} are allowed"
            )
    return sorted(lines)


def shrunk(found: dict[str, Count], recorded: dict[str, Count]) -> list[str]:
    """Cases that need so much less that the record no longer guards them."""
    return [name for name in found if name in recorded and change(found[name], recorded[name]) < -LIMIT]


def hint(names: Iterable[str]) -> str:
    return f"{', '.join(names)}: more than {LIMIT:.0%} fewer instructions than recorded; record them anew"


def table(found: Counts, recorded: Counts | None) -> str:
    lines = [
        "| case | active | instructions | per | | recorded | change |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, case in found.cases.items():
        before = None if recorded is None else recorded.cases.get(name)
        known = "- | -" if before is None else f"{before.instructions:,} | {change(case, before):+.2%}"
        each = case.instructions / case.units
        lines.append(f"| {name} | {case.active:.0%} | {case.instructions:,} | {case.unit} | {each:.3g} | {known} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help=f"write the counts to {RECORD.name}")
    arguments = parser.parse_args()
    try:
        found = measure(build())
    except Unavailable as reason:
        print(f"instructions: {reason}", file=sys.stderr)
        return 1
    recorded = load() if RECORD.exists() else None
    reason = None if recorded is None else why_not_comparable(found, recorded)
    print(f"{found.compiler}, {found.isa}, valgrind {found.valgrind}\n")
    print(table(found, recorded if reason is None else None))
    if arguments.record:
        save(found)
        print(f"\nwritten to {RECORD.relative_to(ROOT)}")
        return 0
    if recorded is None or reason is not None:
        print(f"\nnothing to compare with: {reason or 'no record'}")
        return 0
    lines = grown(found.cases, recorded.cases)
    if less := shrunk(found.cases, recorded.cases):
        print(f"\n{hint(less)}")
    if lines:
        print("\n" + "\n".join([*lines, ADVICE]))
    return int(bool(lines))


if __name__ == "__main__":
    raise SystemExit(main())
