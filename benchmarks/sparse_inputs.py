"""Times sparse batches of spoken digits against the same filled with zeros, through recurrent SpyLIF neurons.

    NEUROTORCH_DATA=FOLDER python benchmarks/sparse_inputs.py [--threads 1]

Dense: ``x.to_dense()``, then the operator, which finds the events again. Sparse: currents from the events, then the
operator without weights, in training also where the library would fill in the zeros. 700 channels, one second in T
steps, binary. Both are checked to give the same bits. Milliseconds, the fastest of several rounds in turn.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor

import neurotorch.functional as F
from neurotorch.datasets import EventBins, SpokenDigits
from neurotorch.functional import _events

ROUNDS = 7


def fastest(functions: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Milliseconds of each, the best of rounds in which they take turns."""
    best = dict.fromkeys(functions, math.inf)
    for k in range(ROUNDS + 1):
        for name, function in functions.items():
            begin = time.perf_counter()
            function()
            if k:
                best[name] = min(best[name], 1e3 * (time.perf_counter() - begin))
    return best


def row(x: Tensor, neurons: int) -> str:
    """One line of the table."""
    batch, steps, inputs = x.shape
    torch.manual_seed(0)
    weight = (0.2 / math.sqrt(inputs) * torch.randn(inputs, neurons)).requires_grad_()
    recurrent = (0.2 / math.sqrt(neurons) * torch.randn(neurons, neurons)).requires_grad_()
    grad = torch.randn(batch, steps, neurons)

    def forward(given: Tensor) -> Tensor:
        return F.spy_lif(given, weight, recurrent, alpha=math.exp(-1 / 5), beta=math.exp(-1 / 10), gamma=10.0)[0]

    def both(given: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad(forward(given), (weight, recurrent), grad)

    for a, b in zip(both(x.to_dense()), both(x), strict=True):
        assert torch.equal(a, b)
    with torch.no_grad():
        assert torch.equal(forward(x.to_dense()), forward(x))
        alone = fastest({"dense": lambda: forward(x.to_dense()), "sparse": lambda: forward(x)})
    learning = fastest({"dense": lambda: both(x.to_dense()), "sparse": lambda: both(x)})
    share = x.values().numel() / x.numel()
    cells = [f"{t['dense']:.1f} | {t['sparse']:.1f} | {t['dense'] / t['sparse']:.2f}x" for t in (alone, learning)]
    return f"| {batch} | {steps} | {neurons} | {100 * share:.1f}% | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args().threads)
    _events.MOST_TO_LEARN_FROM = 1.0
    print("| B | T | N | not zero | forward, dense | sparse | | both, dense | sparse | |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for steps, batches in ((100, (32, 256)), (250, (32, 128)), (500, (32,)), (1000, (32,))):
        data = SpokenDigits(bins=EventBins(steps, 1.0 / steps))
        for batch, neurons in product(batches, (128, 256, 512)):
            print(row(data.batch(range(0, 4 * batch, 4))[0], neurons), flush=True)


if __name__ == "__main__":
    main()
