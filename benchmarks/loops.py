"""Time loops of plain PyTorch, whose steps can also be compiled in chunks, and the loop of the SpyTorch tutorials."""

from __future__ import annotations

from collections.abc import Callable

import torch
from inputs import ALPHA, BETA, GAMMA, ZEBRAFISH_GAMMA
from torch import Tensor

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


class TriangleSpike(Spike):
    """The same step with a derivative of compact support, ``gamma max(0, 1 - gamma |v - 1|)``."""

    @staticmethod
    def backward(ctx, grad: Tensor):
        (v,) = ctx.saved_tensors
        return grad * (ctx.gamma * (1.0 - ctx.gamma * (v - 1.0).abs()).clamp(min=0.0)), None


SPIKES = {"fast_sigmoid": Spike, "triangle": TriangleSpike}


def lif_steps(
    currents: tuple[Tensor, ...],
    v: Tensor,
    z: Tensor,
    recurrent: Tensor | None,
    surrogate: str = "fast_sigmoid",
    gamma: float = GAMMA,
) -> tuple[list[Tensor], Tensor, Tensor]:
    spike, out = SPIKES[surrogate], []
    for current in currents:
        u = ALPHA * v + current
        if recurrent is not None:
            u = u + z @ recurrent
        v = u * (1.0 - z.detach())
        z = spike.apply(v, gamma)
        out.append(z)
    return out, v, z


def spy_li_steps(currents: tuple[Tensor, ...], v: Tensor, i: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
    out = []
    for current in currents:
        i = BETA * i + current
        v = ALPHA * v + i
        out.append(v)
    return out, v, i


def spy_lif_steps(
    currents: tuple[Tensor, ...], v: Tensor, i: Tensor, z: Tensor, recurrent: Tensor
) -> tuple[list[Tensor], Tensor, Tensor, Tensor]:
    out = []
    for current in currents:
        i = BETA * i + current + z @ recurrent
        v = (ALPHA * v + i) * (1.0 - z.detach())
        z = Spike.apply(v, GAMMA)
        out.append(z)
    return out, v, i, z


def spytorch(x: Tensor, weight: Tensor, rec: Tensor) -> Tensor:
    """As the tutorials of SpyTorch run a layer: products by einsum, every step kept in lists and stacked.

    Its synapse acts within the step here, as in this library and in NeuroTorch; in the tutorials a step later.
    """
    current = torch.einsum("bti,in->btn", x, weight)
    synapse = potential = spikes = torch.zeros_like(current[:, 0])
    potentials, trains = [], []
    for t in range(x.shape[1]):
        arriving = current[:, t] + torch.einsum("bn,nm->bm", spikes, rec)
        synapse = BETA * synapse + arriving
        potential = (ALPHA * potential + synapse) * (1.0 - spikes.detach())
        spikes = Spike.apply(potential, GAMMA)
        potentials.append(potential)
        trains.append(spikes)
    torch.stack(potentials, 1)
    return torch.stack(trains, 1)


_compiled: dict[Callable, Callable] = {}


def forget_compiled() -> None:
    """Compile afresh: torch's compiler bakes in the number of threads, and generalises over shapes that it has seen."""
    _compiled.clear()
    torch._dynamo.reset()


def compiled_once(steps: Callable) -> Callable:
    return _compiled.setdefault(steps, torch.compile(steps, dynamic=False))


def in_chunks(steps: Callable, compiled: bool, currents: Tensor, *state, n_state: int = 2) -> Tensor:
    """Run `steps` over time, whole or compiled in chunks; of `state`, the first `n_state` change."""
    rows = currents.unbind(1)
    if not compiled:
        return torch.stack(steps(rows, *state)[0], 1)
    run = compiled_once(steps)
    out: list[Tensor] = []
    for first in range(0, len(rows), CHUNK):
        part, *changed = run(tuple(rows[first : first + CHUNK]), *state)
        state = (*changed[:n_state], *state[n_state:])
        out += part
    return torch.stack(out, 1)


def closed_loop_steps(
    x: Tensor, state: tuple[Tensor, ...], w1: Tensor, w2: Tensor, steps: int, lpf: float
) -> tuple[list[Tensor], Tensor, tuple]:
    v, i, phi, z = state
    out = []
    for _ in range(steps):
        i = BETA * i + x @ w1
        v = (ALPHA * v + i) * (1.0 - z.detach())
        z = Spike.apply(v, ZEBRAFISH_GAMMA)
        phi = lpf * phi + z
        x = torch.sigmoid(phi @ w2)
        out.append(x)
    return out, x, (v, i, phi, z)
