"""The workloads of the benchmarks, each as functions that several candidates compute.

a: feed-forward LIF on a given current.  b: Linear + recurrent LIF on sparse spikes.  c: the MNIST training step
(784 -> 100 LIF -> 10 SpyLI, max over time, NLL).  d: the zebrafish closed loop (SpyLIF-LPF -> Linear, BPTT).

Candidates: `ours` (fused operators), `loop` (a tuned plain-PyTorch time loop: batched input projection, `unbind`),
`compiled` (that loop under torch.compile in chunks of ten steps).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

import neurotorch.functional as F
from neurotorch.functional import LayerCall, run_network

ALPHA, BETA = math.exp(-0.1), math.exp(-0.2)
GAMMA = 100.0
CHUNK = 10


class Spike(torch.autograd.Function):
    """Heaviside step with the fast-sigmoid derivative."""

    @staticmethod
    def forward(v: Tensor, gamma: float) -> Tensor:
        return (v >= 1.0).to(v.dtype)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        v, ctx.gamma = inputs
        ctx.save_for_backward(v)

    @staticmethod
    def backward(ctx, grad: Tensor):
        (v,) = ctx.saved_tensors
        return grad / (ctx.gamma * (v - 1.0).abs() + 1.0) ** 2, None


def lif_steps(
    currents: tuple[Tensor, ...], v: Tensor, z: Tensor, recurrent: Tensor | None
) -> tuple[list[Tensor], Tensor, Tensor]:
    out = []
    for current in currents:
        u = ALPHA * v + current
        if recurrent is not None:
            u = u + z @ recurrent
        v = u * (1.0 - z.detach())
        z = Spike.apply(v, GAMMA)
        out.append(z)
    return out, v, z


def spy_li_steps(currents: tuple[Tensor, ...], v: Tensor, i: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
    out = []
    for current in currents:
        i = BETA * i + current
        v = ALPHA * v + i
        out.append(v)
    return out, v, i


_compiled: dict[Callable, Callable] = {}


def forget_compiled() -> None:
    """Compile afresh: torch's compiler bakes in the number of threads, and generalises over shapes that it has seen."""
    _compiled.clear()
    torch._dynamo.reset()


def in_chunks(steps: Callable, compiled: bool, currents: Tensor, *state) -> Tensor:
    """Run `steps` over time, whole or compiled in chunks."""
    n_state = 2
    rows = currents.unbind(1)
    if not compiled:
        return torch.stack(steps(rows, *state)[0], 1)
    run = _compiled.setdefault(steps, torch.compile(steps, dynamic=False))
    out: list[Tensor] = []
    for first in range(0, len(rows), CHUNK):
        part, *changed = run(tuple(rows[first : first + CHUNK]), *state)
        state = (*changed[:n_state], *state[n_state:])
        out += part
    return torch.stack(out, 1)


@dataclass
class Workload:
    """Inputs of one workload and one function per candidate; each returns the outputs to be compared.

    The gradients of `parameters` are those of ``(outputs * scale).sum()``, `scale` being handed to the backward pass as
    it is; `spikes` gives the hidden spikes.
    """

    name: str
    candidates: dict[str, Callable[[], Tensor]]
    parameters: list[Tensor]
    scale: Tensor
    spikes: Callable[[], Tensor]

    def forward(self, candidate: str) -> Tensor:
        with torch.no_grad():
            return self.candidates[candidate]()

    def step(self, candidate: str, scale: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Forward and backward; outputs and the gradients of all parameters."""
        out = self.candidates[candidate]()
        return out.detach(), list(torch.autograd.grad(out, self.parameters, self.scale if scale is None else scale))


def feed_forward(steps: int, batch: int = 32, neurons: int = 512, dtype: torch.dtype = torch.float32) -> Workload:
    generator = torch.Generator().manual_seed(0)
    current = (0.3 * torch.randn(batch, steps, neurons, generator=generator) + 0.1).to(dtype).requires_grad_()
    zeros = torch.zeros(batch, neurons, dtype=dtype)

    def loop(compiled: bool) -> Callable[[], Tensor]:
        return lambda: in_chunks(lif_steps, compiled, current, zeros, zeros, None)

    return Workload(
        f"a N={neurons} B={batch} T={steps}",
        {"ours": lambda: F.lif(current, alpha=ALPHA, gamma=GAMMA)[0], "compiled": loop(True), "loop": loop(False)},
        [current],
        torch.randn(batch, steps, neurons, generator=generator).to(dtype),
        lambda: F.lif(current, alpha=ALPHA)[0],
    )


def recurrent(
    neurons: int,
    batch: int,
    steps: int = 100,
    inputs: int = 700,
    rate: float = 0.05,
    drive: float = 0.1,
    dtype: torch.dtype = torch.float32,
) -> Workload:
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(batch, steps, inputs, generator=generator) < rate).to(dtype)
    # `drive` is the mean current per step, which sets the rate of the neurons.
    weight = 0.8 / math.sqrt(inputs) * torch.randn(inputs, neurons, generator=generator) + drive / (inputs * rate)
    weight = weight.to(dtype).requires_grad_()
    rec = (0.2 / math.sqrt(neurons) * torch.randn(neurons, neurons, generator=generator)).to(dtype).requires_grad_()
    zeros = torch.zeros(batch, neurons, dtype=dtype)

    def loop(compiled: bool) -> Callable[[], Tensor]:
        return lambda: in_chunks(lif_steps, compiled, x @ weight, zeros, zeros, rec)

    return Workload(
        f"b N={neurons} B={batch} T={steps}",
        {
            "ours": lambda: F.lif(x, weight, rec, alpha=ALPHA, gamma=GAMMA)[0],
            "compiled": loop(True),
            "loop": loop(False),
        },
        [weight, rec],
        torch.randn(batch, steps, neurons, generator=generator).to(dtype),
        lambda: F.lif(x, weight, rec, alpha=ALPHA)[0],
    )


def mnist(batch: int = 256, steps: int = 100, dtype: torch.dtype = torch.float32) -> Workload:
    generator = torch.Generator().manual_seed(0)
    # About a tenth of the pixels is active, each in up to every second step, as the constant-current encoder gives.
    active = (torch.rand(batch, 1, 784, generator=generator) < 0.2).float()
    x = (active * (torch.rand(batch, steps, 784, generator=generator) < 0.5)).to(dtype)
    w1 = (math.sqrt(2 / 884) * torch.randn(784, 100, generator=generator)).to(dtype).requires_grad_()
    w2 = (0.2 / 10 * torch.randn(100, 10, generator=generator)).to(dtype).requires_grad_()
    labels = torch.randint(0, 10, (batch,), generator=generator)

    def readout(v: Tensor) -> Tensor:
        return torch.nn.functional.nll_loss(torch.log_softmax(v.amax(1), -1), labels)

    def ours() -> Tensor:
        z, _ = F.lif(x, w1, alpha=ALPHA, gamma=GAMMA)
        return readout(F.spy_li(z, w2, alpha=BETA, beta=ALPHA)[0])

    def loop(compiled: bool) -> Callable[[], Tensor]:
        def run() -> Tensor:
            hidden, out = (torch.zeros(batch, n, dtype=dtype) for n in (100, 10))
            z = in_chunks(lif_steps, compiled, x @ w1, hidden, hidden, None)
            return readout(in_chunks(spy_li_steps, compiled, z @ w2, out, out))

        return run

    return Workload(
        f"c B={batch} T={steps}",
        {"ours": ours, "compiled": loop(True), "loop": loop(False)},
        [w1, w2],
        torch.ones((), dtype=dtype),
        lambda: F.lif(x, w1, alpha=ALPHA)[0],
    )


def closed_loop_steps(
    x: Tensor, state: tuple[Tensor, ...], w1: Tensor, w2: Tensor, steps: int, lpf: float
) -> tuple[list[Tensor], Tensor, tuple]:
    v, i, phi, z = state
    out = []
    for _ in range(steps):
        i = BETA * i + x @ w1
        v = (ALPHA * v + i) * (1.0 - z.detach())
        z = Spike.apply(v, 10.0)
        phi = lpf * phi + z
        x = torch.sigmoid(phi @ w2)
        out.append(x)
    return out, x, (v, i, phi, z)


def zebrafish(neurons: int = 522, steps: int = 557, dtype: torch.dtype = torch.float32) -> Workload:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, neurons, generator=generator).to(dtype)
    w1 = (0.02 * torch.randn(neurons, neurons, generator=generator)).to(dtype).requires_grad_()
    w2 = (0.05 * torch.randn(neurons, neurons, generator=generator)).to(dtype).requires_grad_()
    zeros = tuple(torch.zeros(1, neurons, dtype=dtype) for _ in range(4))

    def run_ours(trace: bool = False) -> tuple[Tensor, Tensor]:
        calls = [
            LayerCall("spy_lif_lpf", w1, None, (BETA, ALPHA, 1.0, 10.0, ALPHA)),
            LayerCall("linear", w2, None, (0.0,), activation="sigmoid"),
        ]
        loop = {"n_inputs": 1, "n_outputs": 1, "foresight": steps, "feedback": [0], "trace": trace}
        outs, states = run_network(calls, [x[:, None]], [None, None], **loop)
        return outs[0], states[0][-1]

    def loop(compiled: bool) -> Callable[[], Tensor]:
        def run() -> Tensor:
            if not compiled:
                return torch.stack(closed_loop_steps(x, zeros, w1, w2, steps, ALPHA)[0], 1)
            chunk = _compiled.setdefault(closed_loop_steps, torch.compile(closed_loop_steps, dynamic=False))
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
        [w1, w2],
        (torch.randn(1, steps, neurons, generator=generator) / neurons).to(dtype),
        lambda: run_ours(trace=True)[1],
    )
