"""Which way each layer of a network runs, and why."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from neurotorch.modules.layers._base_layer import is_own
from neurotorch.modules.layers._fused import FusedLayer
from neurotorch.modules.layers.base import BaseLayer
from neurotorch.modules.wrappers import NamedModuleWrapper, SizedModuleWrapper

FUSED_SEQUENCE = "fused sequence"
FUSED_NETWORK = "fused network"
STEP_BY_STEP = "step by step"


@dataclass(frozen=True)
class LayerPlan:
    """The path of one layer.

    Attributes
    ----------
    name, layer : str
        Name and class of the layer.
    path : str
        ``"fused sequence"`` (one operator for the layer), ``"fused network"`` (one operator for all layers) or
        ``"step by step"`` (a Python loop over time).
    reason : str
        Why it is not fused, or what runs beside the operator; empty where there is nothing to say.
    """

    name: str
    layer: str
    path: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.layer}): {self.path}" + (f", {self.reason}" if self.reason else "")


@dataclass(frozen=True)
class Plan:
    """What a call of the model would run. Print it, or look up a layer by name: ``plan["hidden_0"].path``.

    Attributes
    ----------
    title : str
        Model and number of steps.
    layers : tuple of LayerPlan
        In the order of the network.
    """

    title: str
    layers: tuple[LayerPlan, ...]

    @property
    def is_fused(self) -> bool:
        """Whether no layer runs step by step."""
        return all(layer.path != STEP_BY_STEP for layer in self.layers)

    def __getitem__(self, name: str) -> LayerPlan:
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)

    def __iter__(self) -> Iterator[LayerPlan]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __str__(self) -> str:
        return "\n".join([self.title, *[f"  {layer}" for layer in self.layers]])


def unwrapped(layer: torch.nn.Module) -> torch.nn.Module:
    """The module inside a wrapper."""
    return layer.module if isinstance(layer, (NamedModuleWrapper, SizedModuleWrapper)) else layer


def takes_state(layer: torch.nn.Module) -> bool:
    """Whether a layer is called with its state and the time step, or with its input alone.

    Library layers and their subclasses take both; so does any module whose ``forward`` has a second positional
    argument and accepts further keywords.
    """
    module = unwrapped(layer)
    if isinstance(module, BaseLayer):
        return True
    parameters = list(inspect.signature(module.forward).parameters.values())
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(positional) >= 2 and any(p.kind is p.VAR_KEYWORD for p in parameters)


def is_patched(layer: torch.nn.Module) -> bool:
    """Whether ``forward`` was replaced on the instance."""
    return "forward" in layer.__dict__


def defines_forward(layer: BaseLayer) -> bool:
    """Whether the class of a layer computes its step in a way that this library does not know."""
    return not (is_own(type(layer), "forward") and is_own(type(layer), "__call__"))


def step_reason(layer: torch.nn.Module) -> str | None:
    """Why a layer needs one Python call per time step; None when it can take whole sequences."""
    if not isinstance(layer, BaseLayer):
        return f"{type(unwrapped(layer)).__name__} is not a layer of this library"
    if isinstance(layer, FusedLayer):
        return layer.stepwise_reason()
    if is_patched(layer):
        return "its forward was replaced"
    hooks = (layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks, layer._backward_pre_hooks)
    if any(len(h) > 0 for h in hooks):
        return "it has hooks"
    if defines_forward(layer) and is_own(type(layer), "forward_sequence"):
        return f"{type(layer).__name__} defines its own forward"
    return None


def network_reason(layer: torch.nn.Module, is_first: bool) -> str | None:
    """Why a layer cannot run inside the fused network operator; None when it can."""
    reason = step_reason(layer)
    if reason is not None:
        return reason
    assert isinstance(layer, BaseLayer)
    if defines_forward(layer):
        # Its own forward_sequence, which the open loop trusts, is not what the operator runs either.
        return f"{type(layer).__name__} defines its own forward"
    if not is_first and getattr(layer, "hh_init", "zeros") == "inputs":
        return "its initial state is its first input, which the layers before it compute"
    if not is_first and not is_own(type(layer), "create_empty_state"):
        return "its own create_empty_state may read its first input, which the layers before it compute"
    return layer.fused_reason()


def choose(layers: Sequence[torch.nn.Module], n_first: int, closed_loop: bool) -> tuple[str, list[str | None]]:
    """How a network runs, and per layer the reason why it needs steps.

    ``"fused sequence"`` stands for layer by layer, where layers with a reason step alone; ``"step by step"`` for all
    layers in time order. Replaced forwards ask for that in the open loop too: learning rules that patch layers change
    weights between steps. The first ``n_first`` layers read the inputs of the network.
    """
    if closed_loop:
        reasons = [network_reason(layer, is_first=k < n_first) for k, layer in enumerate(layers)]
        return (FUSED_NETWORK if all(r is None for r in reasons) else STEP_BY_STEP), reasons
    reasons = [step_reason(layer) for layer in layers]
    return (STEP_BY_STEP if any(is_patched(layer) for layer in layers) else FUSED_SEQUENCE), reasons


def make_plan(title: str, layers: Mapping[str, torch.nn.Module], n_first: int, closed_loop: bool) -> Plan:
    """What :func:`choose` says, and what layers do within their own sequences, for print."""
    mode, reasons = choose(list(layers.values()), n_first, closed_loop)
    others = ", ".join(name for name, reason in zip(layers, reasons) if reason is not None)
    rows = []
    for (name, layer), reason in zip(layers.items(), reasons):
        path = mode if reason is None else STEP_BY_STEP
        if reason is None and mode == STEP_BY_STEP:
            reason = f"because of {others}"
        elif reason is None and mode == FUSED_SEQUENCE:
            assert isinstance(layer, BaseLayer)
            if not is_own(type(layer), "forward_sequence"):
                reason = "in its own forward_sequence"
            elif (reason := layer.fused_reason()) is not None and not getattr(layer, "beside", False):
                path = STEP_BY_STEP
        rows.append(LayerPlan(name, type(unwrapped(layer)).__name__, path, reason or ""))
    return Plan(title, tuple(rows))
