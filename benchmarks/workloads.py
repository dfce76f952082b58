"""The workloads of the benchmarks, each as functions that several candidates compute.

a: feed-forward LIF on a given current.  b: Linear + recurrent LIF on sparse spikes; also with SpyLIF neurons, with a
surrogate of compact support, and in long sequences.  c: the MNIST training step (784 -> 100 LIF -> 10 SpyLI, max over
time, NLL).  d: the zebrafish closed loop (SpyLIF-LPF -> Linear, BPTT).  p: Linear + LIF on dense input, the public
setting of the field.

Candidates: `ours` (fused operators), `recomputed` (ours, keeping every hundredth step), `loop` (a tuned plain-PyTorch
time loop: batched input projection, `unbind`), `compiled` (that loop under torch.compile in chunks of ten steps),
`spytorch` (the loop of the SpyTorch tutorials).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import inputs
import torch
from inputs import ALPHA, BETA, GAMMA, ZEBRAFISH_GAMMA, readout_loss
from loops import (
    CHUNK,
    closed_loop_steps,
    compiled_once,
    in_chunks,
    lif_steps,
    spy_li_steps,
    spy_lif_steps,
    spytorch,
)
from torch import Tensor

import neurotorch.functional as F
from neurotorch.functional import LayerCall, run_network

RECOMPUTE = 100


@dataclass
class Workload:
    """Inputs of one workload and one function per candidate; each returns the outputs to be compared.

    The gradients of `parameters` are those of ``(outputs * scale).sum()``, `scale` being handed to the backward pass as
    it is; `spikes` gives the hidden spikes; `inside` the share of neurons and steps at which the surrogate derivative
    is not zero, where it can be.
    """

    name: str
    candidates: dict[str, Callable[[], Tensor]]
    parameters: list[Tensor]
    scale: Tensor
    spikes: Callable[[], Tensor]
    x: Tensor | None = None
    inside: Callable[[], float] | None = None

    def rate(self) -> float:
        """Mean of the hidden spikes."""
        with torch.no_grad():
            return float(self.spikes().mean())

    def forward(self, candidate: str) -> Tensor:
        with torch.no_grad():
            return self.candidates[candidate]()

    def step(self, candidate: str, scale: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Forward and backward; outputs and the gradients of all parameters."""
        out = self.candidates[candidate]()
        return out.detach(), list(torch.autograd.grad(out, self.parameters, self.scale if scale is None else scale))


def feed_forward(steps: int, batch: int = 32, neurons: int = 512, dtype: torch.dtype = torch.float32) -> Workload:
    drawn = inputs.feed_forward(steps, batch, neurons, dtype)
    current = drawn.x
    zeros = torch.zeros(batch, neurons, dtype=dtype)

    def loop(compiled: bool) -> Callable[[], Tensor]:
        return lambda: in_chunks(lif_steps, compiled, current, zeros, zeros, None)

    return Workload(
        f"a N={neurons} B={batch} T={steps}",
        {"ours": lambda: F.lif(current, alpha=ALPHA, gamma=GAMMA)[0], "compiled": loop(True), "loop": loop(False)},
        drawn.parameters,
        drawn.scale,
        lambda: F.lif(current, alpha=ALPHA)[0],
        drawn.x,
    )


def recurrent(
    neurons: int,
    batch: int,
    steps: int = 100,
    dtype: torch.dtype = torch.float32,
    surrogate: str = "fast_sigmoid",
    gamma: float = GAMMA,
    **options,
) -> Workload:
    """`options` are those of ``inputs.recurrent``."""
    drawn = inputs.recurrent(neurons, batch, steps, dtype=dtype, **options)
    x, (weight, rec) = drawn.x, drawn.parameters
    zeros = torch.zeros(batch, neurons, dtype=dtype)

    def ours(recompute_every: int = 0) -> Tensor:
        options = {"gamma": gamma, "surrogate": surrogate, "recompute_every": recompute_every}
        return F.lif(x, weight, rec, alpha=ALPHA, **options)[0]

    def loop(compiled: bool) -> Callable[[], Tensor]:
        return lambda: in_chunks(lif_steps, compiled, x @ weight, zeros, zeros, rec, surrogate, gamma)

    def inside() -> float:
        with torch.no_grad():
            v = F.lif(x, weight, rec, alpha=ALPHA, trace=True)[1].v
        return float(((v - 1.0).abs() * gamma < 1.0).to(dtype).mean())

    return Workload(
        f"b N={neurons} B={batch} T={steps}",
        {"ours": ours, "recomputed": lambda: ours(RECOMPUTE), "compiled": loop(True), "loop": loop(False)},
        drawn.parameters,
        drawn.scale,
        lambda: F.lif(x, weight, rec, alpha=ALPHA)[0],
        x,
        inside if surrogate == "triangle" else None,
    )


def spy_recurrent(
    neurons: int, batch: int, steps: int = 100, dtype: torch.dtype = torch.float32, **options
) -> Workload:
    """`options` are those of ``inputs.spy_recurrent``."""
    drawn = inputs.spy_recurrent(neurons, batch, steps, dtype=dtype, **options)
    x, (weight, rec) = drawn.x, drawn.parameters
    zeros = torch.zeros(batch, neurons, dtype=dtype)

    def ours() -> Tensor:
        return F.spy_lif(x, weight, rec, alpha=BETA, beta=ALPHA, gamma=GAMMA)[0]

    def loop(compiled: bool) -> Callable[[], Tensor]:
        return lambda: in_chunks(spy_lif_steps, compiled, x @ weight, zeros, zeros, zeros, rec, n_state=3)

    return Workload(
        f"b SpyLIF N={neurons} B={batch} T={steps}",
        {
            "ours": ours,
            "compiled": loop(True),
            "loop": loop(False),
            "spytorch": lambda: spytorch(x, weight, rec),
        },
        drawn.parameters,
        drawn.scale,
        ours,
        x,
    )


def public(neurons: int, batch: int = 16, steps: int = 500, dtype: torch.dtype = torch.float32) -> Workload:
    drawn = inputs.public(neurons, batch, steps, dtype)
    x, (weight,) = drawn.x, drawn.parameters
    zeros = torch.zeros(batch, neurons, dtype=dtype)

    def ours() -> Tensor:
        return F.lif(x, weight, alpha=ALPHA, gamma=GAMMA)[0]

    def loop(compiled: bool) -> Callable[[], Tensor]:
        return lambda: in_chunks(lif_steps, compiled, x @ weight, zeros, zeros, None)

    return Workload(
        f"p N={neurons} B={batch} T={steps}",
        {"ours": ours, "compiled": loop(True), "loop": loop(False)},
        drawn.parameters,
        drawn.scale,
        ours,
        x,
    )


def mnist(batch: int = 256, steps: int = 100, dtype: torch.dtype = torch.float32) -> Workload:
    drawn = inputs.mnist(batch, steps, dtype)
    x, (w1, w2), labels = drawn.x, drawn.parameters, drawn.labels

    def ours() -> Tensor:
        z, _ = F.lif(x, w1, alpha=ALPHA, gamma=GAMMA)
        return readout_loss(F.spy_li(z, w2, alpha=BETA, beta=ALPHA)[0], labels)

    def loop(compiled: bool) -> Callable[[], Tensor]:
        def run() -> Tensor:
            hidden, out = (torch.zeros(batch, n, dtype=dtype) for n in (100, 10))
            z = in_chunks(lif_steps, compiled, x @ w1, hidden, hidden, None)
            return readout_loss(in_chunks(spy_li_steps, compiled, z @ w2, out, out), labels)

        return run

    return Workload(
        f"c B={batch} T={steps}",
        {"ours": ours, "compiled": loop(True), "loop": loop(False)},
        drawn.parameters,
        drawn.scale,
        lambda: F.lif(x, w1, alpha=ALPHA)[0],
        x,
    )


def zebrafish(neurons: int = 522, steps: int = 557, dtype: torch.dtype = torch.float32) -> Workload:
    drawn = inputs.zebrafish(neurons, steps, dtype)
    x, (w1, w2) = drawn.x, drawn.parameters
    zeros = tuple(torch.zeros(1, neurons, dtype=dtype) for _ in range(4))

    def run_ours(trace: bool = False) -> tuple[Tensor, Tensor]:
        calls = [
            LayerCall("spy_lif_lpf", w1, None, (BETA, ALPHA, 1.0, ZEBRAFISH_GAMMA, ALPHA)),
            LayerCall("linear", w2, None, (0.0,), activation="sigmoid"),
        ]
        loop = {"n_inputs": 1, "n_outputs": 1, "foresight": steps, "feedback": [0], "trace": trace}
        outs, states = run_network(calls, [x[:, None]], [None, None], **loop)
        return outs[0], states[0][-1]

    def loop(compiled: bool) -> Callable[[], Tensor]:
        def run() -> Tensor:
            if not compiled:
                return torch.stack(closed_loop_steps(x, zeros, w1, w2, steps, ALPHA)[0], 1)
            chunk = compiled_once(closed_loop_steps)
            out: list[Tensor] = []
            last, state = x, zeros
            for first in range(0, steps, CHUNK):
                part, last, state = chunk(last, state, w1, w2, min(CHUNK, steps - first), ALPHA)
                out += part
            return torch.stack(out, 1)

        return run

    return Workload(
        f"d N={neurons} T={steps} BPTT",
        {"ours": lambda: run_ours()[0], "compiled": loop(True), "loop": loop(False)},
        drawn.parameters,
        drawn.scale,
        lambda: run_ours(trace=True)[1],
        x,
    )


WORKLOADS: dict[str, Callable[..., Workload]] = {
    function.__name__: function for function in (feed_forward, recurrent, spy_recurrent, public, mnist, zebrafish)
}
