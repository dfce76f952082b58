"""The neuron models that the native library knows, as the Python side sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from neurotorch import _library

ACTIVATIONS = {"identity": 0, "relu": 1, "tanh": 2, "sigmoid": 3}
"""Output activations that the operators apply themselves."""

_library.load()
SURROGATES: dict[str, int] = {
    name: number for number, name in enumerate(_library.build_info()["surrogates"].split(", "))
}
"""Surrogate derivatives by name; :func:`neurotorch.functional.lif` has their formulas and papers."""

# Names of the states and constants of each model, in the order of its header in csrc/models.
_NAMES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "lif": (("v", "z"), ("alpha", "threshold", "gamma")),
    "spy_lif": (("v", "i", "z"), ("alpha", "beta", "threshold", "gamma")),
    "lif_lpf": (("v", "phi", "z"), ("alpha", "threshold", "gamma", "lpf_alpha")),
    "spy_lif_lpf": (("v", "i", "phi", "z"), ("alpha", "beta", "threshold", "gamma", "lpf_alpha")),
    "li": (("v",), ("kappa", "bias")),
    "spy_li": (("v", "i"), ("alpha", "beta", "bias")),
    "linear": ((), ("bias",)),
    "alif": (("v", "a", "z"), ("alpha", "threshold", "gamma", "beta", "rho")),
    "spy_alif": (("v", "i", "a", "z"), ("alpha", "beta", "threshold", "gamma", "kappa", "rho")),
    "alif_lpf": (("v", "a", "phi", "z"), ("alpha", "threshold", "gamma", "beta", "rho", "lpf_alpha")),
    "spy_alif_lpf": (
        ("v", "i", "a", "phi", "z"),
        ("alpha", "beta", "threshold", "gamma", "kappa", "rho", "lpf_alpha"),
    ),
    "bellec_lif": (("v", "z"), ("alpha", "threshold", "gamma")),
    "izhikevich": (
        ("v", "u", "z"),
        ("C", "v_rest", "v_th", "k", "a", "b", "c", "d", "v_peak", "gamma", "dt"),
    ),
    "wilson_cowan": (("h",), ("q", "r", "mu")),
    "linear_rnn": (("v",), ("bias",)),
    "wilson_cowan_curbd": (("h",), ("q",)),
}


@dataclass(frozen=True)
class NeuronModel:
    """One neuron model of the native library.

    Attributes
    ----------
    name : str
        Prefix of its operators.
    number : int
        Its place in the kernel table.
    states, constants : tuple of str
        Names in the order in which operators take them. Operators may have further states behind these, which hold
        nothing from step to step.
    output : int or None
        Index of the state that is the output; None for models without spikes.
    spiking : bool
        Whether it emits spikes; the others take an activation instead.
    activates_inside : bool
        Whether the activation is part of the dynamics; otherwise it is applied to the output.
    presynaptic_state : int
        Index of the state that the recurrent weights see; -1 for models without recurrent connections.
    computes_presynaptic : bool
        Whether they see the activation of that state instead.
    """

    name: str
    number: int
    states: tuple[str, ...]
    constants: tuple[str, ...]
    output: int | None
    spiking: bool
    output_state: int
    recurrent: bool
    saved: int
    saved_for_constants: int
    learnable: int
    operator_states: int
    activates_inside: bool
    presynaptic_state: int
    computes_presynaptic: bool

    def learns(self, constant: int) -> bool:
        """Whether the operators give a gradient to this constant."""
        return bool(self.learnable >> constant & 1)

    def separate(self, activation: int) -> int:
        """Bit mask of the states whose traces are not the output itself."""
        return ~(1 << self.output_state) if activation == 0 or self.activates_inside else -1


def _read_model(number: int, name: str) -> NeuronModel:
    states, constants = _NAMES[name]
    info = torch.ops.neurotorch.model_info(number)
    (
        operator_states,
        n_constants,
        output,
        presynaptic,
        saved,
        saved_for_constants,
        learnable,
        spiking,
        activates_inside,
        computes_presynaptic,
    ) = info
    assert n_constants == len(constants) and operator_states >= max(1, len(states)), name
    return NeuronModel(
        name,
        number,
        states,
        constants,
        output if spiking else None,
        bool(spiking),
        output,
        presynaptic >= 0,
        saved,
        saved_for_constants,
        learnable,
        operator_states,
        bool(activates_inside),
        presynaptic,
        bool(computes_presynaptic),
    )


MODELS: dict[str, NeuronModel] = {
    name: _read_model(number, name) for number, name in enumerate(_library.build_info()["models"].split(", "))
}


class LayerCall(NamedTuple):
    """What the fused operators need to know of one layer.

    Attributes
    ----------
    model : str
        A key of :data:`MODELS`.
    weight : Tensor [F, N] or None
        Effective forward weights; None when the input is the current itself.
    recurrent_weight : Tensor [N, N] or None
        Effective recurrent weights, mask applied.
    constants : tuple of Tensor or float
        One per name in ``MODELS[model].constants``, each scalar or ``[N]``.
    surrogate : str
        A key of :data:`SURROGATES`; spiking models only.
    activation : str
        ``"identity"``, ``"relu"``, ``"tanh"`` or ``"sigmoid"``; models without spikes only.
    input_activation : str or None
        With one of these names the weights see ``[f(x), x]``, f the activation of this name, and are ``[2 F, N]``.
    """

    model: str
    weight: Tensor | None
    recurrent_weight: Tensor | None
    constants: tuple[Tensor | float, ...]
    surrogate: str = "fast_sigmoid"
    activation: str = "identity"
    input_activation: str | None = None


def lookup(names: dict[str, int], argument: str, value: str) -> int:
    """Number of a surrogate or activation; ValueError naming the argument when there is none."""
    if value not in names:
        raise ValueError(f"{argument}: expected one of {', '.join(names)}, got {value!r}")
    return names[value]


def model_of(call: LayerCall) -> NeuronModel:
    """The model of a call, its name, constants and activation checked."""
    if call.model not in MODELS:
        raise ValueError(f"model: expected one of {', '.join(MODELS)}, got {call.model!r}")
    model = MODELS[call.model]
    if len(call.constants) != len(model.constants):
        raise ValueError(f"constants: expected {model.constants}, got {len(call.constants)} values")
    if call.recurrent_weight is not None and not model.recurrent:
        raise ValueError(f"recurrent_weight: {model.name} has no recurrent connections")
    if call.activation != "identity" and model.spiking:
        raise ValueError(f"activation: {model.name} emits spikes and takes no activation, got {call.activation!r}")
    for name, value, k in zip(model.constants, call.constants, range(len(call.constants)), strict=True):
        if isinstance(value, Tensor) and value.requires_grad and not model.learns(k):
            raise ValueError(f"{name}: {model.name} defines no gradient for it; pass a tensor that requires none")
    return model


def as_constants(values: tuple[Tensor | float, ...], like: Tensor) -> list[Tensor]:
    """Constants as tensors with the dtype and device of ``like``."""
    return [
        v.to(dtype=like.dtype, device=like.device) if isinstance(v, Tensor) else like.new_full((), v) for v in values
    ]
