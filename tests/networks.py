"""Random networks in closed loop, and their comparison with the oracle."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from cases import LAYOUTS, SPIKING, SUMMED, WITHOUT_GRADIENT, Draw, make_case
from eager import ORACLES
from eager.network import Layer
from eager.network import run_network as run_eagerly
from helpers import NETWORK_TOLERANCE, assert_near
from torch import Tensor

from neurotorch.functional import LayerCall, run_network

# Spikes of a float32 run are those of the oracle when no potential comes closer to the threshold than this, and so are
# surrogate derivatives that jump.
SAFE_MARGIN = 1e-4


@dataclass
class LayerSpec:
    model: str
    neurons: int
    recurrent: bool = False
    surrogate: str = "fast_sigmoid"
    activation: str = "identity"
    input_activation: str | None = None


@dataclass
class NetworkCase:
    """A network, its inputs, and what is asked of it."""

    inputs: list[LayerSpec]
    hidden: list[LayerSpec]
    outputs: list[LayerSpec]
    tensors: dict[str, Tensor]  # inputs "x.k" [B, T, F], and per layer l "weight.l", "recurrent.l", "v.l", "alpha.l"...
    grads: dict[str, Tensor]  # for outputs "out.k" [B, S, N] and states "v.l"
    feedback: list[int]
    foresight: int
    trace: bool
    teacher: list[Tensor] | None = None
    teacher_weight: float = 0.0

    @property
    def layers(self) -> list[LayerSpec]:
        return [*self.inputs, *self.hidden, *self.outputs]

    @property
    def options(self) -> dict:
        return {
            "n_inputs": len(self.inputs),
            "n_outputs": len(self.outputs),
            "foresight": self.foresight,
            "feedback": self.feedback,
            "teacher": self.teacher,
            "teacher_weight": self.teacher_weight,
        }

    def arguments(self, layer_type: Callable, model_of: Callable) -> tuple[list, list[Tensor], list[tuple]]:
        """Layers, inputs and initial states, as operator and oracle both take them."""
        layers, states = [], []
        for number, spec in enumerate(self.layers):
            oracle = ORACLES[spec.model]
            own = {key.rsplit(".", 1)[0]: t for key, t in self.tensors.items() if key.endswith(f".{number}")}
            constants = tuple(own[name] for name in oracle.constants)
            layers.append(
                layer_type(
                    model_of(spec),
                    own["weight"],
                    own.get("recurrent"),
                    constants,
                    spec.surrogate,
                    spec.activation,
                    spec.input_activation,
                )
            )
            states.append(tuple(own[name] for name in oracle.states))
        return layers, [t for key, t in self.tensors.items() if key.startswith("x.")], states

    def run(self) -> dict[str, Tensor]:
        """Outputs ``out.k`` and states ``v.l`` of the fused operator."""
        calls, inputs, states = self.arguments(LayerCall, lambda spec: spec.model)
        outs, found = run_network(calls, inputs, states, trace=self.trace, **self.options)
        return self.named(outs, found)

    def run_eagerly(self) -> dict[str, Tensor]:
        layers, inputs, states = self.arguments(Layer, lambda spec: ORACLES[spec.model])
        outs, traces = run_eagerly(layers, inputs, states, **self.options)
        return self.named(outs, traces if self.trace else [tuple(t[:, -1] for t in layer) for layer in traces])

    def named(self, outs: Sequence[Tensor], states: Sequence[Sequence[Tensor]]) -> dict[str, Tensor]:
        result = {f"out.{k}": out for k, out in enumerate(outs)}
        for number, (spec, own) in enumerate(zip(self.layers, states, strict=True)):
            result |= {f"{name}.{number}": s for name, s in zip(ORACLES[spec.model].states, own, strict=True)}
        return result

    def double(self) -> "NetworkCase":
        teacher = None if self.teacher is None else [t.double() for t in self.teacher]
        return replace(self, tensors={key: t.double() for key, t in self.tensors.items()}, teacher=teacher)

    def margin(self) -> float:
        """Smallest distance of a potential from its threshold, or from an edge of the boxcar around it."""
        result = replace(self.double(), trace=True).run_eagerly()
        distances = []
        for number, spec in enumerate(self.layers):
            if spec.model not in SPIKING:
                continue
            distance = (result[f"v.{number}"] - self.firing_threshold(spec.model, number, result)).abs()
            distances.append(distance.min().item())
            if spec.surrogate == "boxcar":
                distances.append((distance - 0.5 / self.tensors[f"gamma.{number}"]).abs().min().item())
        return min(distances, default=1.0)

    def firing_threshold(self, model: str, number: int, result: dict[str, Tensor]) -> Tensor:
        """Of layer `number`, whose state traces are in `result`."""
        if model == "izhikevich":
            return self.tensors[f"v_peak.{number}"]
        threshold = self.tensors[f"threshold.{number}"]
        if "a" not in ORACLES[model].states:
            return threshold
        strength = "kappa" if "kappa" in ORACLES[model].constants else "beta"
        return threshold + self.tensors[f"{strength}.{number}"] * result[f"a.{number}"]


def make_network(
    inputs: Sequence[LayerSpec],
    hidden: Sequence[LayerSpec],
    outputs: Sequence[LayerSpec],
    *,
    sizes: Sequence[int],
    feedback: Sequence[int] | None = None,
    foresight: int = 5,
    batch: int = 3,
    steps: int = 4,
    dtype: torch.dtype = torch.float64,
    trace: bool = False,
    teacher_weight: float = 0.0,
    seed: int = 0,
) -> NetworkCase:
    """A random network whose input ``k`` has ``sizes[k]`` features."""
    draw = Draw(torch.float64, seed)
    total = steps + max(0, foresight - 1)
    tensors = {f"x.{k}": draw.normal(batch, steps, size) for k, size in enumerate(sizes)}
    grads = {}
    width = sum(spec.neurons for spec in inputs) if inputs else sizes[0]
    for number, spec in enumerate([*inputs, *hidden, *outputs]):
        features = sizes[number] if number < len(inputs) else width
        layer = make_case(
            spec.model,
            batch,
            total,
            features if spec.input_activation is None else 2 * features,
            spec.neurons,
            recurrent=spec.recurrent,
            per_neuron=number % 2 == 0,
            trace=trace,
            seed=seed + 10 + number,
        )
        names = {"x": None, "recurrent_weight": "recurrent"}
        tensors |= {f"{names.get(key, key)}.{number}": t for key, t in layer.tensors.items() if key != "x"}
        grads |= {f"{name}.{number}": g for name, g in zip(ORACLES[spec.model].states, layer.grads[1:], strict=True)}
        if number >= len(inputs) + len(hidden):
            grads[f"out.{number - len(inputs) - len(hidden)}"] = layer.grads[0]
        elif number >= len(inputs):
            width = spec.neurons
    return NetworkCase(
        list(inputs),
        list(hidden),
        list(outputs),
        {key: t.to(dtype) for key, t in tensors.items()},
        {key: t.to(dtype) for key, t in grads.items()},
        list(range(len(sizes))) if feedback is None else list(feedback),
        foresight,
        trace,
        [draw.normal(batch, total, size).to(dtype) for size in sizes] if teacher_weight else None,
        teacher_weight,
    )


def differentiate(
    case: NetworkCase,
    run: Callable[[NetworkCase], dict[str, Tensor]],
    *,
    wanted: Sequence[str] | None = None,
    read: Sequence[str] | None = None,
    layout: str = "contiguous",
) -> tuple[dict[str, Tensor], dict[str, Tensor | None]]:
    """Outputs by name, and the gradient of every wanted tensor from the outputs in `read` (all by default)."""
    if wanted is None:
        wanted = [key for key in case.tensors if key.split(".")[0] not in WITHOUT_GRADIENT]
    leaves = {key: t.detach().clone() for key, t in case.tensors.items()}
    for key in wanted:
        leaves[key].requires_grad_()
    arrange = LAYOUTS[layout]
    result = run(replace(case, tensors={key: arrange(t) if t.dim() > 1 else t for key, t in leaves.items()}))
    used = [key for key, t in result.items() if t.requires_grad and (read is None or key in read)]
    found = [None] * len(wanted)
    if used:
        grads = [arrange(case.grads[key].to(result[key].dtype)) for key in used]
        found = torch.autograd.grad(
            [result[key] for key in used], [leaves[key] for key in wanted], grads, allow_unused=True
        )
    return {key: t.detach() for key, t in result.items()}, dict(zip(wanted, found, strict=True))


def assert_network_matches_oracle(case: NetworkCase, **options) -> None:
    dtype = case.tensors["x.0"].dtype
    values, grads = differentiate(case, NetworkCase.run, **options)
    expected, expected_grads = differentiate(case.double(), NetworkCase.run_eagerly, **options)
    assert values.keys() == expected.keys()
    for key, value in expected.items():
        assert values[key].dtype == dtype
        assert_near(values[key], value, NETWORK_TOLERANCE[dtype], key)
    for key, grad in expected_grads.items():
        zeros = torch.zeros_like(case.tensors[key])
        tolerance = NETWORK_TOLERANCE[dtype] * (SUMMED[dtype] if zeros.dim() == 0 else 1)
        assert_near(grads[key], zeros if grad is None else grad, tolerance, f"grad {key}")
