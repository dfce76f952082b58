"""Where numbers stop being finite: in a parameter, a gradient, a layer, a prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from neurotorch.modules.layers._base_layer import BaseLayer


class NonFiniteError(RuntimeError):
    """A loss or a gradient is NaN or infinite; the weights are as they were before the batch."""


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    entries = value.values() if isinstance(value, Mapping) else value if isinstance(value, (tuple, list)) else ()
    return [tensor for entry in entries for tensor in _tensors(entry)]


def is_finite(value: Any) -> bool:
    """Whether all floating-point tensors in a tensor, dict, tuple or list are finite."""
    return all(bool(torch.isfinite(tensor).all()) for tensor in _tensors(value) if tensor.is_floating_point())


def wrong_parameters(model: torch.nn.Module, what: str) -> str:
    """Which parameters have a ``"value"`` or a ``"gradient"`` that is not finite."""
    found = [
        name
        for name, p in model.named_parameters()
        if (tensor := p if what == "value" else p.grad) is not None and not is_finite(tensor)
    ]
    plural = "parameters" if what == "value" else "gradients"
    return f"not finite are the {plural} {', '.join(found)}" if found else f"all {plural} are finite"


def wrong_prediction(pred: Any, first_step: int = 0) -> str:
    """From which time step on which prediction is not finite; nothing where all are."""
    pred = pred[0] if isinstance(pred, (tuple, list)) else pred
    for name, value in pred.items() if isinstance(pred, Mapping) else (("", pred),):
        wrong = ~torch.isfinite(value)
        if bool(wrong.any()):
            what = f"; the prediction{f' {name!r}' if name else ''} is not finite"
            if wrong.dim() < 3:
                return what
            step = first_step + int(wrong.transpose(0, 1).flatten(1).any(dim=1).nonzero()[0])
            return f"{what} from time step {step} on"
    return ""


def _observed(model: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """Layers as a whole, and modules that hold no other ones."""
    found: dict[str, torch.nn.Module] = {}
    inside: set[torch.nn.Module] = set()
    for name, module in model.named_modules():
        is_whole = isinstance(module, BaseLayer) or not any(True for _ in module.children())
        if name and is_whole and module not in inside:
            found[name] = module
            inside.update(module.modules())
    return found


def first_wrong_layer(trainer: Any) -> str:
    """Which layer is the first, in the order in which they run, to give something that is not finite.

    The batch runs once more, without gradient and layer by layer. Empty where there is no batch or all is finite now.
    """
    model, state = trainer.model, getattr(trainer, "current_training_state", None)
    if state is None or state.x_batch is None:
        return ""
    for name, part in (("inputs", state.x_batch), ("targets", state.y_batch)):
        if not is_finite(part):
            return f"; the {name} of the batch are not finite"
    wrong: list[str] = []

    def watch(name: str) -> Any:
        def hook(module: torch.nn.Module, inputs: Any, output: Any) -> None:
            if not wrong and not is_finite(output):
                wrong.append(name)

        return hook

    handles = [module.register_forward_hook(watch(name)) for name, module in _observed(model).items()]
    rule = getattr(model, "online_rule", None)
    try:
        if rule is not None:
            model.online_rule = None
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            trainer.get_pred_batch(state.x_batch, state.hh_batch)
    except Exception:
        # The error that this belongs to says more than one from looking for its place.
        return ""
    finally:
        if rule is not None:
            model.online_rule = rule
        for handle in handles:
            handle.remove()
    return f"; the first layer whose output is not finite is {wrong[0]}" if wrong else ""
