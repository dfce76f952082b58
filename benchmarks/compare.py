"""Ours beside NeuroTorch 0.0.2, Norse, snnTorch, SpikingJelly, sinabs and plain, compiled and SpyTorch-style loops.

    python benchmarks/compare.py --out rows.json [--quick] [--large] [--threads 1 2] [--only "b N=512"] [--seconds 2]

All candidates run once per round, each library in a process of its own environment (``make bench-environments``);
libraries without one are left out. Before a case is timed, spikes and gradients are compared where the equations agree.
The file is rewritten after every case and read by ``report.py``.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import memory
import torch
from check import Differs, as_timed, check_ours, check_peer
from comparisons import CASES, TINY, Case
from environments import ROOT, interpreters, servers
from floors import ceilings, floors_of
from interleave import Row, Times, interleave, summarise
from learning import training
from loops import forget_compiled
from rows import heading, write
from server import PeerError, Server, Unavailable
from torch._dynamo.exc import TorchDynamoException
from workloads import Workload


def quartiles(times: Times) -> dict[str, dict[str, float]]:
    """Milliseconds of every candidate, lower and upper quartile."""
    found = {name: statistics.quantiles(values, n=4) for name, values in times.seconds.items()}
    return {
        "low": {name: round(1e3 * values[0], 3) for name, values in found.items()},
        "high": {name: round(1e3 * values[2], 3) for name, values in found.items()},
    }


def command(arguments: list[str]) -> str:
    """As it can be repeated elsewhere: without the paths of interpreters."""
    kept = [
        argument
        for before, argument in zip(["", *arguments], arguments)
        if not {before, argument} & {"--peers", "--reference"}
    ]
    return shlex.join(["python", "benchmarks/compare.py", *kept])


def row_of(row: Row, times: Times, **more: Any) -> dict[str, Any]:
    return {**row.as_dict(), **quartiles(times), **more}


def compiling(name: str, case: Case, timed: Workload) -> Case:
    """The case without the compiled loop if that does not compile here, as without a C++ compiler."""
    if "compiled" not in case.names:
        return case
    try:
        timed.step("compiled")
    except TorchDynamoException as error:
        print(f"{name}: without the compiled loop: {str(error).splitlines()[0]}", flush=True)
        return uncompiled(case)
    return case


def uncompiled(case: Case) -> Case:
    return replace(case, names=tuple(n for n in case.names if n != "compiled"))


class Comparison:
    """Rows of one run; `out` is rewritten whenever there are more."""

    def __init__(self, out: Path, running: dict[str, Server], versions: dict[str, str], seconds: float) -> None:
        self.out, self.running, self.seconds = out, running, seconds
        self.found: dict[str, tuple[dict[str, str], dict[str, float]]] = {}
        self.data = {**heading(command(sys.argv[1:]), versions), "ceilings": [], "rows": [], "memory": []}

    def measure(self, threads: list[int]) -> None:
        """Ceilings of this machine, before anything else runs."""
        self.data["ceilings"] = [ceilings(n).as_dict() for n in threads]

    def add(self, rows: list[dict[str, Any]], key: str = "rows") -> None:
        self.data[key].extend(rows)
        write(self.data, self.out)

    def checked(self, name: str, case: Case, timed: Workload) -> tuple[dict[str, str], dict[str, float]]:
        """Candidates that compute what they should, with what was compared, and the means of libraries' outputs."""
        own, means = check_ours(case, timed), {}
        for library, server in self.running.items():
            if library in case.without:
                continue
            try:
                own[library], means[library] = check_peer(library, server, case, timed)
            except Unavailable:
                continue
            except (Differs, PeerError) as error:
                own.pop(library, None)
                print(f"{name}: without {library}: {error}", flush=True)
        return own, means

    def case(self, name: str, case: Case, threads: int, compiled: bool = True) -> None:
        began = time.perf_counter()
        torch.set_num_threads(threads)
        forget_compiled()
        timed = case.make()
        case = compiling(name, case, timed) if compiled else uncompiled(case)
        # Results do not depend on the number of threads, but that of the compiled loop is compiled anew.
        if name not in self.found:
            self.found[name] = self.checked(name, case, timed)
        elif "compiled" in case.names:
            as_timed("compiled", timed)
        checked, means = self.found[name]
        libraries = {n: self.running[n] for n in checked if n in self.running}
        for library, server in libraries.items():
            server.ask("build", candidate=library, workload=case.workload, sizes=case.sizes, threads=threads)
        rate, inside = timed.rate(), timed.inside() if timed.inside else None
        least = floors_of(case.workload, timed, rate, ceilings(threads))
        means = {
            library: round(mean, 4) for library, mean in means.items() if case.workload not in ("mnist", "zebrafish")
        }
        rows = []
        for part, run, target in (("forward", timed.forward, case.forward), ("both", timed.step, case.both)):
            candidates = {n: partial(run, n) for n in ("ours", *case.names)}
            candidates.update({n: partial(server.run, part) for n, server in libraries.items()})
            # Rounds of many seconds say enough three at a time.
            times = interleave(candidates, self.seconds, min_rounds=3, awake=threads > 1)
            row = summarise(name, part, threads, rate, times, target, least.get(part), inside)
            rows.append(row_of(row, times, kind=case.workload, sizes=case.sizes, checked=checked, rates=means))
            ratios = ", ".join(f"{other} {ratio:.1f}" for other, ratio in row.ratio.items())
            ours = f"{row.milliseconds['ours']:.2f} ms, floor {row.least()}"
            print(f"{name}, {part}, {threads} thread(s): ours {ours}; {ratios}", flush=True)
        print(f"{name}, {threads} thread(s): {time.perf_counter() - began:.0f} s", flush=True)
        self.add(rows)

    def learning(self, threads: int = 1, **sizes: Any) -> None:
        """Iterations of training. The reference always updates at every step, and stands beside both e-props."""
        torch.set_num_threads(threads)
        server = self.running.get("neurotorch")
        for recurrent in (False, True):
            for rules in (("e-prop every step", "e-prop per sequence"), ("BPTT",), ("RLS",)):
                if rules == ("RLS",) and recurrent:
                    continue
                options = {**sizes, **({} if rules == ("RLS",) else {"recurrent": recurrent})}
                candidates: dict[str, Any] = {rule: training(rule, **options) for rule in rules}
                if server is not None:
                    server.ask("train", rule=rules[0], threads=threads, **options)
                    candidates["neurotorch"] = partial(server.run, "iteration")
                times = interleave(candidates, self.seconds, min_rounds=2 if rules == ("RLS",) else 3)
                rows = []
                for rule in rules:
                    kept = {n: v for n, v in times.seconds.items() if n == "neurotorch"}
                    own = Times({"ours": times.seconds[rule], **kept}, times.elsewhere)
                    wanted = {"e-prop every step": 15.0, "e-prop per sequence": 80.0, "BPTT": 15.0}.get(rule)
                    named = f"{rule}{', recurrent' if recurrent else ''}"
                    row = summarise(named, "iteration", threads, 0.0, own, {"neurotorch": wanted} if wanted else {})
                    rows.append(row_of(row, own, kind="learning", sizes=options, checked={}, rates={}))
                    print(f"{named}: {row.milliseconds}", flush=True)
                self.add(rows)

    def import_time(self, rounds: int = 5) -> None:
        """Seconds of `import neurotorch` and `import torch` in fresh processes."""

        def seconds(module: str) -> float:
            code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
            command = [sys.executable, "-c", code]
            return float(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)

        measured = [(seconds("neurotorch"), seconds("torch")) for _ in range(rounds + 1)][1:]
        ours, others = (list(values) for values in zip(*measured))
        times = Times({"ours": ours, "torch": others})
        row = summarise("import", "import", 1, 0.0, times, {"torch": round(1 / 1.3, 2)})
        self.add([row_of(row, times, kind="import", sizes={}, checked={}, rates={})])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON file of the rows")
    parser.add_argument("--quick", action="store_true", help="the cases of a few minutes")
    parser.add_argument("--large", action="store_true", help="also those of minutes per round")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, which show only that everything works")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--seconds", type=float, default=2.0, help="time of each part of a case")
    parser.add_argument(
        "--no-compiled", action="store_true", help="without the compiled loop, which compiles for minutes"
    )
    parser.add_argument("--parts", nargs="+", choices=["cases", "learning", "memory", "import"])
    parser.add_argument("--peers", help="interpreter that has Norse, snnTorch, SpikingJelly and sinabs")
    parser.add_argument("--reference", help="interpreter that has NeuroTorch 0.0.2")
    asked = parser.parse_args(arguments)
    parts = asked.parts or ["cases", "learning", "memory", "import"]
    before = torch.get_num_threads()
    pythons = interpreters(asked.peers, asked.reference)
    try:
        with servers(pythons) as (running, versions):
            comparison = Comparison(asked.out, running, versions, asked.seconds)
            if "cases" in parts:
                comparison.measure(asked.threads)
            for name, case in (TINY if asked.tiny else CASES).items() if "cases" in parts else ():
                wanted = asked.only in name and (case.quick or not asked.quick) and (asked.large or not case.large)
                for threads in asked.threads if wanted else ():
                    if threads == asked.threads[0] or case.threads:
                        comparison.case(name, case, threads, not asked.no_compiled)
            if "learning" in parts:
                comparison.learning(**({"neurons": 12, "steps": 10} if asked.tiny else {}))
            known = {name: python for name, python in pythons.items() if name in running}
        if "memory" in parts:
            tiny = {"steps": (20, 40), "sizes": {"neurons": 12, "batch": 2}}
            comparison.add(memory.against_steps(known, **(tiny if asked.tiny else {})), "memory")
        if "import" in parts:
            comparison.import_time(2 if asked.tiny else 5)
    finally:
        torch.set_num_threads(before)


if __name__ == "__main__":
    main()
