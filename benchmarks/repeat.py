"""One case of ours over and over, for a profiler.

    perf record -D 5000 -e cpu-clock -o perf.data python benchmarks/repeat.py "b N=512 B=32" both --seconds 10
    perf report -i perf.data --no-children

The first seconds, in which everything is imported and made, are left out by ``-D``.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from comparisons import CASES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=list(CASES))
    parser.add_argument("part", choices=["forward", "both"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10.0)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    workload = CASES[asked.case].make()
    run = workload.forward if asked.part == "forward" else workload.step
    times, begun = [], time.perf_counter()
    while time.perf_counter() - begun < asked.seconds:
        start = time.perf_counter()
        run("ours")
        times.append(time.perf_counter() - start)
    print(f"{asked.case}, {asked.part}, {asked.threads} thread(s): {1e3 * statistics.median(times):.2f} ms")


if __name__ == "__main__":
    main()
