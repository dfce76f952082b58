"""Activations by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Activation = Callable[[Tensor], Tensor]

_MODULES: dict[str, Callable[[], torch.nn.Module]] = {
    "identity": torch.nn.Identity,
    "relu": torch.nn.ReLU,
    "tanh": torch.nn.Tanh,
    "sigmoid": torch.nn.Sigmoid,
    "softmax": lambda: torch.nn.Softmax(dim=-1),
    "elu": torch.nn.ELU,
    "selu": torch.nn.SELU,
    "prelu": torch.nn.PReLU,
    "leakyrelu": torch.nn.LeakyReLU,
    "leaky_relu": torch.nn.LeakyReLU,
    "logsigmoid": torch.nn.LogSigmoid,
    "log_sigmoid": torch.nn.LogSigmoid,
    "logsoftmax": lambda: torch.nn.LogSoftmax(dim=-1),
    "log_softmax": lambda: torch.nn.LogSoftmax(dim=-1),
}

# What the fused operators apply themselves, by exact type or function.
_FUSED: dict[Any, str] = {
    torch.nn.Identity: "identity",
    torch.nn.ReLU: "relu",
    torch.nn.Tanh: "tanh",
    torch.nn.Sigmoid: "sigmoid",
    torch.relu: "relu",
    torch.tanh: "tanh",
    torch.sigmoid: "sigmoid",
    torch.nn.functional.relu: "relu",
}


def make_activation(activation: Activation | str) -> Activation:
    """The named activation as a module, in any case; a callable as it is.

    Raises
    ------
    ValueError
        There is none of this name.
    """
    if not isinstance(activation, str):
        return activation
    name = activation.lower()
    if name not in _MODULES:
        raise ValueError(f"activation: expected one of {', '.join(_MODULES)}, or a callable, got {activation!r}")
    return _MODULES[name]()


def fused_name(activation: Activation) -> str | None:
    """The activation as the fused operators call it; None when they do not have it."""
    if isinstance(activation, torch.nn.Module):
        hooked = bool(activation._forward_hooks or activation._forward_pre_hooks)
        return None if hooked else _FUSED.get(type(activation))
    return _FUSED.get(activation)


def describe(activation: Activation) -> str:
    """How an activation appears in the text of a layer."""
    return repr(activation) if isinstance(activation, torch.nn.Module) else getattr(activation, "__name__", "callable")
