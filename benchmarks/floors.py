"""The least time that a workload could take on this machine, from what the machine was just measured to do.

Ceilings, measured for a number of threads (`Ceilings.measure`), the best of many runs each:

* ``gemm``: a float32 product of two matrices, GFLOP/s (one multiplication and one addition count as two);
* ``rows``: adding up rows of a table, GB/s that are read, by the table's size; divided by four it is weights added per
  second. Rows of 128 numbers are drawn at random by torch's ``embedding_bag``, which is none of our code;
* ``copy``: ``copy_`` between two buffers, GB/s read plus written, by the size of both.

A table as large as the weights is as slow as the level of cache in which it fits; so is a stream. Sizes between those
that were measured are interpolated.

Least time of a product of M rows [K], of whose entries the share r is not zero, with a matrix [K, N]:

    dense = 2 M K N / gemm                event-driven = 4 r M K N bytes / fastest rows

In a time loop of T steps with M / T samples the matrix is read at every step again, all of it by a dense product, the
rows of active entries (of any sample) by an event-driven one; the time is that of reading, if that is longer:

    4 T K N bytes / rows(matrix)          4 T (1 - (1 - r)^(M/T)) K N bytes / rows(matrix)

The lesser of dense and event-driven counts; the gradient of a matrix is the same product transposed, without the loop.
Streams are what must come from and go to memory once, at the speed of ``copy`` for their sum. With S the bytes of
[B, T, N]:

=====  =============================================  ================================================================
work   forward                                        backward, and what forward keeps for it
=====  =============================================  ================================================================
a      read x (S), write z (S)                        V (S) kept and read; gradient of z (S) read, of x (S) written
b      x W and, step by step, z R; read x and W,      V kept and read; gradient of z read; x^T dI and z^T dI, written;
       write z                                        dI R^T step by step, with all entries of dI
p      x W, dense; read x and W, write z              as b without recurrence; x is read again
c      x W and z W'; read x                           V kept and read; the gradients of W, W' and z
d      x W and phi W', step by step, both dense       both transposed, step by step; both gradients; V kept and read,
                                                      outputs and their gradient read
=====  =============================================  ================================================================

r is the measured rate of the inputs or of the neurons. A surrogate of compact support needs dI R^T only where its
derivative is not zero, which is a share r of the rows of R. V alone is kept, for z is its sign. Left out: arithmetic of
the neurons, page faults, threads that wait; time of streams and of products is added up as if they never overlapped.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import torch
from interleave import busy_elsewhere, crowded
from torch import Tensor
from workloads import Workload

MB = 2**20
ROW = 128
TABLES = (0.0625, 0.25, 1.0, 1.5, 2.0, 2.5, 4.0, 16.0)
BUFFERS = (0.5, 1.0, 4.0, 16.0, 64.0, 256.0)
BYTES = 4


def best(run: Callable[[], Any], seconds: float) -> float:
    """Seconds of the fastest run, after one that does not count."""
    run()
    fastest, end = float("inf"), perf_counter() + seconds
    while True:
        begin = perf_counter()
        run()
        fastest = min(fastest, perf_counter() - begin)
        if perf_counter() >= end:
            return fastest


@dataclass(frozen=True)
class Ceilings:
    """What this machine does with `threads`: GFLOP/s, and GB/s by the size in MB.

    `guessed`: others were busy, and the numbers are at least those of one thread times `threads`.
    """

    threads: int
    gemm: float
    rows: tuple[tuple[float, float], ...]
    copy: tuple[tuple[float, float], ...]
    guessed: bool = False

    @classmethod
    def measure(cls, threads: int, seconds: float = 0.1) -> Ceilings:
        """Takes a second or two. `seconds`: for each number."""
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            with torch.no_grad():
                return cls(
                    threads,
                    round(max(_gemm(*shape, seconds) for shape in ((512, 512, 512), (2048, 700, 512))), 1),
                    tuple((size, round(_rows(size, threads, seconds), 1)) for size in TABLES),
                    tuple((size, round(_copy(size, seconds), 1)) for size in BUFFERS),
                )
        finally:
            torch.set_num_threads(before)

    def at_least(self, one: Ceilings, times: int) -> Ceilings:
        """Number by number no less than those of one thread, so many times."""
        rows, copy = (
            tuple((size, max(value, times * least)) for (size, value), (_, least) in zip(mine, theirs, strict=True))
            for mine, theirs in ((self.rows, one.rows), (self.copy, one.copy))
        )
        return Ceilings(self.threads, max(self.gemm, times * one.gemm), rows, copy, times > 1)

    def reading(self, table: float) -> float:
        """Bytes per second of rows of a table of so many bytes."""
        return 1e9 * _at(self.rows, table)

    def streaming(self, stream: float) -> float:
        """Bytes per second of streams of so many bytes."""
        return 1e9 * _at(self.copy, stream)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def _at(curve: tuple[tuple[float, float], ...], size: float) -> float:
    """At a size in bytes, by a line along the logarithm of the sizes; what is smaller is not slower."""
    limits = [math.log(limit * MB) for limit, _ in curve]
    values = list(accumulate((value for _, value in reversed(curve)), max))[::-1]
    return float(np.interp(math.log(max(size, 1.0)), limits, values))


def _gemm(m: int, k: int, n: int, seconds: float) -> float:
    a, b, out = torch.randn(m, k), torch.randn(k, n), torch.empty(m, n)
    return 2e-9 * m * k * n / best(lambda: torch.mm(a, b, out=out), seconds)


def _rows(size: float, threads: int, seconds: float) -> float:
    table = torch.randn(int(size * MB) // (BYTES * ROW), ROW)
    index = torch.randint(0, len(table), (64 * threads, 256))
    add = torch.nn.functional.embedding_bag
    return 1e-9 * BYTES * ROW * index.numel() / best(lambda: add(index, table, mode="sum"), seconds)


def _copy(size: float, seconds: float) -> float:
    source = torch.randn(int(size * MB) // (2 * BYTES))
    target = torch.empty_like(source)
    return 2e-9 * BYTES * source.numel() / best(lambda: target.copy_(source), seconds)


_measured: dict[int, Ceilings] = {}


def ceilings(threads: int) -> Ceilings:
    """Of this process, measured once.

    Threads that wait for processors are slower than one. They are therefore taken to be as fast as one, and as fast as
    that many where others leave too few processors: rather too low a floor than one that is passed.
    """
    if threads in _measured:
        return _measured[threads]
    one = None if threads == 1 else ceilings(1)
    began, before = perf_counter(), busy_elsewhere()
    found, after = Ceilings.measure(threads), busy_elsewhere()
    if one is not None:
        elsewhere = None if before is None or after is None else (after - before) / (perf_counter() - began)
        found = found.at_least(one, threads if crowded(threads, elsewhere) else 1)
    _measured[threads] = found
    return found


def measured() -> list[Ceilings]:
    return [_measured[threads] for threads in sorted(_measured)]


class Product(NamedTuple):
    """`m` rows [k], of whose entries the share `rate` is not zero, times a matrix [k, n].

    `steps` > 1: a time loop, m / steps rows at a time. `resident`: bytes that all matrices of the loop take.
    """

    m: int
    k: int
    n: int
    rate: float = 1.0
    steps: int = 1
    resident: int = 0

    def seconds(self, at: Ceilings) -> float:
        size = BYTES * self.k * self.n
        dense = 2.0 * self.m * self.k * self.n / (1e9 * at.gemm)
        added = self.rate * self.m * size / at.reading(0)
        if self.steps == 1:
            return min(dense, added)
        samples = self.m / self.steps
        # Where samples are fewer than threads, these share the columns, and each reads its part alone.
        shared = at.threads if samples < at.threads else 1
        reading = self.steps * size / at.reading(max(size, self.resident) / shared)
        active = 1.0 - (1.0 - self.rate) ** samples
        return min(max(dense, reading), max(added, active * reading))


@dataclass(frozen=True)
class Work:
    """What a workload needs; streams in bytes, `kept` by the forward pass for the other."""

    forward: list[Product] = field(default_factory=list)
    backward: list[Product] = field(default_factory=list)
    forward_stream: int = 0
    kept: int = 0
    backward_stream: int = 0

    def milliseconds(self, part: str, at: Ceilings) -> float:
        """Least time of "forward" or "both"."""
        products, stream = list(self.forward), self.forward_stream
        if part == "both":
            products += self.backward
            stream += self.kept + self.backward_stream
        return 1e3 * (sum(p.seconds(at) for p in products) + stream / at.streaming(stream))


def _share(x: Tensor) -> float:
    return x.count_nonzero().item() / x.numel()


def _feed_forward(made: Workload, rate: float) -> Work:
    one = BYTES * made.scale.numel()
    return Work([], [], 2 * one, one, 3 * one)


def _layer(made: Workload, rate: float) -> Work:
    """A weighted layer, recurrent if it has two matrices."""
    rows, (inputs, neurons), steps = made.x[..., 0].numel(), made.parameters[0].shape, made.x.shape[1]
    share = _share(made.x)
    one, read, weights = BYTES * rows * neurons, BYTES * made.x.numel(), BYTES * inputs * neurons
    project = Product(rows, inputs, neurons, share)
    forward, backward = [project], [project]
    written = BYTES * sum(p.numel() for p in made.parameters)
    if len(made.parameters) > 1:
        inside = 1.0 if made.inside is None else made.inside()
        forward.append(Product(rows, neurons, neurons, rate, steps))
        backward += [Product(rows, neurons, neurons, rate), Product(rows, neurons, neurons, inside, steps)]
    # Events of a sparse input are kept in place of it, and are few.
    again = read if share == 1.0 else 0
    return Work(forward, backward, read + weights + one, one, 2 * one + written + again)


def _mnist(made: Workload, rate: float) -> Work:
    rows = made.x[..., 0].numel()
    (inputs, hidden), (_, classes) = (p.shape for p in made.parameters)
    forward = [Product(rows, inputs, hidden, _share(made.x)), Product(rows, hidden, classes, rate)]
    one = BYTES * rows * hidden
    return Work(forward, [*forward, Product(rows, classes, hidden)], BYTES * made.x.numel(), one, one)


def _zebrafish(made: Workload, rate: float) -> Work:
    steps, neurons = made.scale.shape[1], made.parameters[0].shape[0]
    size = BYTES * neurons**2
    loop = [Product(steps, neurons, neurons, 1.0, steps, 2 * size)] * 2
    one = BYTES * made.scale.numel()
    return Work(loop, [*loop, *[Product(steps, neurons, neurons)] * 2], one, one, 3 * one + 2 * size)


WORK: dict[str, Callable[[Workload, float], Work]] = {
    "feed_forward": _feed_forward,
    "recurrent": _layer,
    "spy_recurrent": _layer,
    "public": _layer,
    "mnist": _mnist,
    "zebrafish": _zebrafish,
}


def floors_of(workload: str, made: Workload, rate: float, at: Ceilings) -> dict[str, float]:
    """Least milliseconds of both parts of a workload whose neurons fire at `rate`; none where nobody has counted."""
    if workload not in WORK:
        return {}
    work = WORK[workload](made, rate)
    return {part: work.milliseconds(part, at) for part in ("forward", "both")}
