"""The layers of a network as e-prop sees them: what they learn, from which signal, and how errors come about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from neurotorch.functional import ACTIVATIONS, LayerCall
from neurotorch.functional._models import MODELS, NeuronModel
from neurotorch.modules._engine import Network
from neurotorch.modules.layers._activations import fused_name
from neurotorch.modules.layers._fused import FusedLayer

LINEAR_READOUTS = ("linear", "li", "spy_li")


@dataclass(eq=False)
class LearnedLayer:
    """One layer, its effective weights and constants as expressions of its parameters, and what it learns.

    ``offset`` is where its output stands among what the next layers read.
    """

    layer: FusedLayer
    call: LayerCall
    learned: list[Parameter]
    offset: int = 0

    @property
    def model(self) -> NeuronModel:
        return MODELS[self.call.model]

    @property
    def neurons(self) -> int:
        assert self.call.weight is not None
        return self.call.weight.shape[1]

    @property
    def constants(self) -> list[Tensor]:
        """Constants as tensors; those that are learned stay expressions of their parameters."""
        like = self.call.weight
        assert like is not None
        return [c if isinstance(c, Tensor) else like.new_full((), c) for c in self.call.constants]

    @property
    def detached(self) -> LayerCall:
        return self.call._replace(
            weight=None if self.call.weight is None else self.call.weight.detach(),
            recurrent_weight=None if self.call.recurrent_weight is None else self.call.recurrent_weight.detach(),
            constants=tuple(c.detach() for c in self.constants),
        )

    def poles(self) -> list[float]:
        """Decay factors of the low-pass filters that a readout applies to its input, in their order."""
        values = dict(zip(self.model.constants, self.call.constants))
        names = {"li": ("kappa",), "spy_li": ("alpha", "beta")}.get(self.model.name, ())
        return [float(values[name]) for name in names]

    def parameter_gradients(
        self, learned: Sequence[Parameter], weight: Tensor | None, recurrent: Tensor | None, constants: Sequence[Any]
    ) -> list[Tensor | None]:
        """Gradients of parameters from those of effective weights and constants, through signs, squares and masks."""
        pairs = [(self.call.weight, weight), (self.call.recurrent_weight, recurrent)]
        pairs += list(zip(self.constants, constants))
        used = [(a, g) for a, g in pairs if a is not None and g is not None and a.requires_grad]
        if not used or not learned:
            return [None] * len(learned)
        with torch.enable_grad():
            found = torch.autograd.grad(
                [a for a, _ in used],
                list(learned),
                [g.reshape(a.shape) for a, g in used],
                retain_graph=True,
                allow_unused=True,
            )
        return list(found)


@dataclass(eq=False)
class LearnedNetwork:
    """The network in the order of computation: layers that learn from signals, then the output layers."""

    hidden: list[LearnedLayer]
    outputs: list[LearnedLayer]
    fed: int
    read: list[LearnedLayer] = field(default_factory=list)  # the hidden layers that the output layers read

    @property
    def layers(self) -> list[LearnedLayer]:
        return [*self.hidden, *self.outputs]


def learned_network(network: Network, learned: set[int]) -> LearnedNetwork:
    """Describe a network of fused layers; ``learned`` holds the ids of the parameters to update."""
    made: list[LearnedLayer] = []
    for layer in network.layers:
        assert isinstance(layer, FusedLayer)
        with torch.enable_grad():
            call = layer._operator_call()
        parameters = [p for p in layer.parameters() if id(p) in learned and p.requires_grad]
        made.append(LearnedLayer(layer, call, parameters))
    offset = 0
    for one in made[: len(network.inputs)]:
        one.offset = offset
        offset += one.neurons
    n_hidden = len(network.inputs) + len(network.hidden)
    hidden, outputs = made[:n_hidden], made[n_hidden:]
    read = hidden[-1:] if network.hidden else hidden
    return LearnedNetwork(hidden, outputs, len(network.inputs) or len(outputs), read)


def unfused_reason(network: Network, any_activation: bool = False) -> str | None:
    """Why a network cannot run in the fused operators; None when it can.

    With `any_activation` that of an output layer may be one that the operators do not have.
    """
    n_hidden = len(network.inputs) + len(network.hidden)
    for k, layer in enumerate(network.layers):
        reason = _reason(layer, any_activation and k >= n_hidden)
        if reason is not None:
            return f"layer {getattr(layer, 'name', k)!r}: {reason}"
    return None


def _reason(layer: torch.nn.Module, any_activation: bool) -> str | None:
    if not isinstance(layer, FusedLayer):
        return f"{type(layer).__name__} is not a neuron layer of this library"
    if not layer.is_built:
        return "it is not built"
    return layer.stepwise_reason() if any_activation and layer.beside else layer.fused_reason()


def output_of(layer: LearnedLayer, raw: Tensor) -> Tensor:
    """Outputs of a layer from those of its operator, which leaves out activations that it does not have."""
    activation = getattr(layer.layer, "activation", None)
    if activation is None or layer.model.spiking or fused_name(activation) is not None:
        return raw
    result: Tensor = activation(raw)
    return result


def activation_number(layer: LearnedLayer) -> int:
    """The activation of a layer as the operators number it."""
    return ACTIVATIONS[layer.call.activation]


def entering(value: Tensor | None, params: Sequence[Parameter]) -> list[Parameter]:
    """Parameters that a differentiable value is a function of."""
    if value is None or not value.requires_grad or not params:
        return []
    with torch.enable_grad():
        grads = torch.autograd.grad(value.sum(), list(params), retain_graph=True, allow_unused=True)
    return [p for p, grad in zip(params, grads) if grad is not None]


def add_gradients(params: Sequence[Parameter], found: Sequence[Tensor | None]) -> None:
    """Add to the gradients of parameters."""
    for p, grad in zip(params, found):
        if grad is not None:
            p.grad = grad if p.grad is None else p.grad + grad
