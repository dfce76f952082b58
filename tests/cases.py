"""Random layers for every model, and their comparison with the oracle."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from eager import ORACLES, run_sequence
from eager.surrogates import SPIKES
from helpers import assert_near
from torch import Tensor

from neurotorch import functional

SPIKING = (
    "lif",
    "spy_lif",
    "lif_lpf",
    "spy_lif_lpf",
    "alif",
    "spy_alif",
    "alif_lpf",
    "spy_alif_lpf",
    "bellec_lif",
    "izhikevich",
)
READOUTS = ("li", "spy_li", "linear")
RATES = ("wilson_cowan", "linear_rnn", "wilson_cowan_curbd")
MODELS = SPIKING + READOUTS + RATES
ACTIVATIONS = ("identity", "relu", "tanh", "sigmoid")
SURROGATES = tuple(SPIKES)
WITHOUT_GRADIENT = ("gamma", "dt")  # constants

# Gradients of float32 runs add up rounding over the sequence (values do not: see `Draw`).
VALUE_TOLERANCE = {torch.float64: 1e-10, torch.float32: 2e-5}
GRADIENT_TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}
# Times this for scalar constants, whose gradient adds up every sample, step and neuron and may cancel to little: the
# oracle itself in float32 is as far away.
SUMMED = {torch.float64: 1.0, torch.float32: 10.0}


def variants(model: str) -> list[dict]:
    """Every surrogate with and without recurrence, or every activation: keywords of `make_case`."""
    if model in SPIKING:
        return [{"surrogate": surrogate, "recurrent": rec} for surrogate in SURROGATES for rec in (False, True)]
    return [{"activation": activation, "recurrent": rec} for activation in ACTIVATIONS for rec in recurrences(model)]


def recurrences(model: str) -> tuple[bool, ...]:
    return (False,) if model in READOUTS else (False, True)


# Ranges of constants with which potentials are of the order of 1, with few spikes, and not chaotic.
IZHIKEVICH = {
    "C": (0.5, 1.0),
    "v_rest": (-1.0, -0.5),
    "v_th": (0.0, 0.25),
    "k": (0.25, 0.5),
    "a": (0.25, 0.5),
    "b": (-0.5, 0.5),
    "c": (-1.0, -0.5),
    "d": (0.5, 1.0),
    "v_peak": (0.25, 0.5),
    "dt": (0.25, 0.5),
}


class Draw:
    """Random values. In float32 they lie on a grid so coarse that the dynamics of ten steps round nowhere.

    Potentials are then the same whatever the order of additions, so spikes can be compared exactly with an oracle
    that runs in float64, and potentials that meet the threshold exactly do occur.
    """

    def __init__(self, dtype: torch.dtype, seed: int):
        self.dtype = dtype
        self.generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape: int, std: float = 1.0, grid: int = 4) -> Tensor:
        values = std * torch.randn(shape, generator=self.generator, dtype=torch.float64)
        return (values if self.dtype == torch.float64 else (values * grid).round() / grid).to(self.dtype)

    def choice(self, values: Sequence[float], *shape: int) -> Tensor:
        index = torch.randint(len(values), shape, generator=self.generator)
        return torch.tensor(values, dtype=self.dtype)[index]

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return (low + (high - low) * torch.rand(shape, generator=self.generator, dtype=torch.float64)).to(self.dtype)

    def constant(self, name: str, *shape: int) -> Tensor:
        exact = self.dtype == torch.float32
        if name == "threshold":
            return self.choice((0.5, 0.75, 1.0), *shape) if exact else self.uniform(0.5, 1.2, *shape)
        if name == "gamma":
            return self.uniform(1.0, 8.0, *shape)
        if name == "r":  # small, so that the activity stays bounded with any activation
            return self.choice((0.125, 0.0), *shape) if exact else self.uniform(0.0, 0.2, *shape)
        if name in ("bias", "mu"):
            return self.normal(*shape, std=0.5)
        if name in IZHIKEVICH:
            low, high = IZHIKEVICH[name]
            return self.choice((low, high), *shape) if exact else self.uniform(low, high, *shape)
        return self.choice((0.5, 0.5, 0.0), *shape) if exact else self.uniform(0.2, 1.0, *shape)


@dataclass
class Case:
    """One layer and its input."""

    model: str
    x: Tensor  # [B, T, F]
    weight: Tensor | None  # [F, N]
    recurrent_weight: Tensor | None  # [N, N]
    state: list[Tensor]  # [B, N] each
    constants: list[Tensor]  # [] or [N] each
    surrogate: str = "fast_sigmoid"
    activation: str = "identity"
    grads: list[Tensor] = field(default_factory=list)  # for the output, then for every state

    @property
    def names(self) -> list[str]:
        oracle = ORACLES[self.model]
        return ["x", "weight", "recurrent_weight", *oracle.states, *oracle.constants]

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The tensors that are there, by name."""
        given = [self.x, self.weight, self.recurrent_weight, *self.state, *self.constants]
        return {name: t for name, t in zip(self.names, given, strict=True) if t is not None}

    def having(self, tensors: dict[str, Tensor]) -> "Case":
        """The same case with other tensors."""
        oracle = ORACLES[self.model]
        return replace(
            self,
            x=tensors["x"],
            weight=tensors.get("weight"),
            recurrent_weight=tensors.get("recurrent_weight"),
            state=[tensors[name] for name in oracle.states],
            constants=[tensors[name] for name in oracle.constants],
        )

    def call(self) -> functional.LayerCall:
        constants = tuple(self.constants)
        return functional.LayerCall(
            self.model, self.weight, self.recurrent_weight, constants, self.surrogate, self.activation
        )

    def run(self, **options) -> tuple[Tensor, tuple[Tensor, ...]]:
        return functional.run_sequence(self.call(), self.x, self.state, **options)


def make_case(
    model: str,
    batch: int = 3,
    steps: int = 8,
    features: int = 5,
    neurons: int = 7,
    *,
    weight: bool = True,
    recurrent: bool = False,
    per_neuron: bool = True,
    surrogate: str = "fast_sigmoid",
    activation: str = "identity",
    dtype: torch.dtype = torch.float64,
    trace: bool = False,
    rate: float | None = None,
    seed: int = 0,
) -> Case:
    """A random layer; with `rate`, inputs are 0 and 1. Initial spikes are not all 0 or 1."""
    draw, oracle = Draw(dtype, seed), ORACLES[model]
    features = features if weight else neurons
    if rate is None:
        x = draw.normal(batch, steps, features)
    else:
        x = (torch.rand(batch, steps, features, generator=draw.generator) < rate).to(dtype)
    state = [draw.normal(batch, neurons, std=0.5) for _ in oracle.states]
    if "a" in oracle.states:
        state[oracle.states.index("a")].abs_()  # an adaptation is a sum of spikes
    if oracle.spikes is not None:
        state[oracle.spikes] = draw.choice((0.0, 0.0, 1.0, 0.25), batch, neurons)
    shape = (neurons,) if per_neuron else ()
    return Case(
        model,
        x,
        draw.normal(features, neurons, std=(1.0 if rate is None else 2.0) / features**0.5, grid=64) if weight else None,
        draw.normal(neurons, neurons, std=(0.6 if model in RATES else 1.5) / neurons**0.5, grid=64)
        if recurrent
        else None,
        state,
        [draw.constant(name, *shape) for name in oracle.constants],
        surrogate,
        activation,
        [draw.normal(batch, steps, neurons)]
        + [draw.normal(batch, *([steps] if trace else []), neurons) for _ in oracle.states],
    )


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "contiguous": lambda t: t,
    "time first": lambda t: t.transpose(0, 1).contiguous().transpose(0, 1),
    "features first": lambda t: t.movedim(-1, 0).contiguous().movedim(0, -1),
    "every second feature": lambda t: torch.stack([t, t], -1)[..., 0],
    "unaligned": lambda t: torch.cat([t.new_zeros(1), t.flatten()])[1:].view(t.shape),
    "expanded over the batch": lambda t: t[:1].expand(t.shape),
    "expanded over time": lambda t: t[:, :1].expand(t.shape),
    "expanded over features": lambda t: t[..., :1].expand(t.shape),
}


@dataclass
class Outcome:
    """What a run returned, and the gradient of every wanted tensor by name (None where no path leads)."""

    out: Tensor
    states: tuple[Tensor, ...]
    grads: dict[str, Tensor | None]

    @property
    def per_sample(self) -> dict[str, Tensor]:
        """Everything with a batch dimension."""
        states = {f"state {k}": s for k, s in enumerate(self.states)}
        grads = {f"grad {name}": g for name, g in self.grads.items() if g is not None and is_per_sample(name, g)}
        return {"out": self.out, **states, **grads}


def is_per_sample(name: str, t: Tensor) -> bool:
    """Inputs and states; constants have one dimension at most."""
    return t.dim() > 1 and name not in ("weight", "recurrent_weight")


Run = Callable[[Case], tuple[Tensor, tuple[Tensor, ...]]]


def fused(trace: bool = False, recompute_every: int = 0) -> Run:
    return lambda case: case.run(trace=trace, recompute_every=recompute_every)


def oracle(trace: bool = False) -> Run:
    def run(case: Case) -> tuple[Tensor, tuple[Tensor, ...]]:
        model = ORACLES[case.model]
        call = (case.weight, case.recurrent_weight, case.state, case.constants, case.surrogate, case.activation)
        out, traces = run_sequence(model, case.x, *call)
        return out, traces if trace else tuple(t[:, -1] for t in traces)

    return run


def differentiable(case: Case) -> list[str]:
    """Names of the tensors that have a gradient: all but the slope of the surrogate and the length of a step."""
    return [name for name in case.tensors if name not in WITHOUT_GRADIENT]


def outcome(
    case: Case,
    run: Run,
    *,
    wanted: Sequence[str] | None = None,
    read: Sequence[int] | None = None,
    layout: str = "contiguous",
    dtype: torch.dtype | None = None,
) -> Outcome:
    """Run and differentiate the case.

    The loss reads outputs ``read`` (0 the output, k + 1 state k; all by default), only the tensors in ``wanted``
    require gradients, and every matrix, sequence and gradient has the given memory layout.
    """
    wanted = differentiable(case) if wanted is None else wanted
    leaves = {name: t.detach().to(dtype or t.dtype, copy=True) for name, t in case.tensors.items()}
    for name in wanted:
        leaves[name].requires_grad_()
    arrange = LAYOUTS[layout]
    out, states = run(case.having({name: arrange(t) if t.dim() > 1 else t for name, t in leaves.items()}))
    outputs, grads = [], []
    for k, (output, grad) in enumerate(zip((out, *states), case.grads, strict=True)):
        if output.requires_grad and (read is None or k in read):
            outputs.append(output)
            grads.append(arrange(grad.to(output.dtype)))
    found = [None] * len(wanted)
    if outputs:
        found = torch.autograd.grad(outputs, [leaves[name] for name in wanted], grads, allow_unused=True)
    return Outcome(out.detach(), tuple(s.detach() for s in states), dict(zip(wanted, found, strict=True)))


def assert_matches_oracle(
    case: Case,
    *,
    trace: bool = False,
    recompute_every: int = 0,
    wanted: Sequence[str] | None = None,
    read: Sequence[int] | None = None,
    layout: str = "contiguous",
) -> None:
    """The fused run equals the oracle in float64: spikes exactly, all else within the tolerances."""
    options = {"wanted": wanted, "read": read, "layout": layout}
    actual = outcome(case, fused(trace, recompute_every), **options)
    expected = outcome(case, oracle(trace), dtype=torch.float64, **options)
    dtype, model = case.x.dtype, ORACLES[case.model]
    assert all(t.dtype == dtype for t in (actual.out, *actual.states))
    if model.spikes is not None:
        spikes = actual.states[model.spikes].double()
        assert torch.equal(spikes, expected.states[model.spikes]), "spikes differ"
    assert_near(actual.out, expected.out, VALUE_TOLERANCE[dtype], "out")
    for name, a, e in zip(model.states, actual.states, expected.states, strict=True):
        assert_near(a, e, VALUE_TOLERANCE[dtype], f"state {name}")
    for name, grad in expected.grads.items():
        zeros = torch.zeros_like(case.tensors[name])
        tolerance = GRADIENT_TOLERANCE[dtype] * (SUMMED[dtype] if zeros.dim() == 0 else 1)
        assert_near(actual.grads[name], zeros if grad is None else grad, tolerance, f"grad {name}")


def assert_equal_bits(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert actual.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(actual[name], tensor), f"{name}: bits differ"
