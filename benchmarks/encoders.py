"""Times the spike encoder of images: 784 SpyLIF neurons under constant currents, beside the same layer step by step.

    python benchmarks/encoders.py [--reference PYTHON]

With the interpreter of an environment that has NeuroTorch 0.0.2 (``reference/encoders.py``), both run in turn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from neurotorch.transforms import SpyLIFEncoder

UNITS = 784
SIZES = ((32, 8), (32, 100), (256, 100))  # batch, steps


def seconds(call: Callable[[], Any], rounds: int = 5) -> list[float]:
    """Of each call, after one that warms up."""
    found = []
    for _ in range(rounds + 1):
        begin = time.perf_counter()
        call()
        found.append(time.perf_counter() - begin)
    return found[1:]


def stepped(encoder: SpyLIFEncoder, x: torch.Tensor) -> torch.Tensor:
    state, spikes = None, []
    for _ in range(encoder.n_steps):
        z, state = encoder.spikes_layer(x, state)
        spikes.append(z)
    return torch.stack(spikes, dim=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for batch, steps in SIZES:
        encoder, x = SpyLIFEncoder(steps, UNITS), (torch.rand(batch, UNITS) - 0.1307) / 0.3081
        with torch.no_grad():
            assert torch.equal(encoder(x), stepped(encoder, x))
            ours, loop = seconds(partial(encoder, x)), seconds(partial(stepped, encoder, x))
        shown = {"ours": ours, "its layer step by step": loop}
        if arguments.reference:
            script = Path(__file__).parent / "reference" / "encoders.py"
            command = [arguments.reference, str(script), str(batch), str(steps), str(UNITS)]
            printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
            shown["NeuroTorch"] = json.loads(printed)["seconds"]
        times = {name: 1e3 * statistics.median(values) for name, values in shown.items()}
        print(f"B={batch} T={steps}: " + ", ".join(f"{name} {value:.1f} ms" for name, value in times.items()))


if __name__ == "__main__":
    main()
