"""The model behind what a user gives to a trainer, and how a trainer calls it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import torch

from neurotorch.utils.processes import Processes, ProcessGroup


def unwrapped(model: torch.nn.Module) -> tuple[torch.nn.Module, Any, Processes]:
    """The model itself, the compiled one if it was compiled, and the processes that train it.

    Parameters
    ----------
    model : Module
        Any nesting of ``torch.compile`` and ``DistributedDataParallel`` around a model.
    """
    compiled, processes = None, Processes()
    while True:
        if isinstance(inner := getattr(model, "_orig_mod", None), torch.nn.Module):
            compiled, model = model, inner
        elif isinstance(model, torch.nn.parallel.DistributedDataParallel):
            processes = ProcessGroup(model.process_group, next(model.parameters()).device)
            model = model.module
        else:
            return model, compiled, processes


def predictor(model: torch.nn.Module, compiled: Any, method: str) -> Callable[..., Any]:
    """The method of a model that makes predictions, compiled where the model is."""
    if compiled is None or not hasattr(compiled, "dynamo_ctx"):
        return getattr(model, method)  # type: ignore[no-any-return]
    if method in ("__call__", "forward"):
        return compiled  # type: ignore[no-any-return]
    return compiled.dynamo_ctx(getattr(model, method))  # type: ignore[no-any-return]


class Precision:
    """Mixed precision of a run.

    Parameters
    ----------
    amp : bool, str or torch.dtype
        True for bfloat16 on the CPU and float16 on CUDA, or one of the two.
    device : torch.device

    Attributes
    ----------
    dtype : torch.dtype or None
        That of autocast; None where there is none.
    scaler : torch.amp.GradScaler or None
        With float16, whose gradients would vanish.

    Raises
    ------
    ValueError
        `amp` is something else.
    """

    def __init__(self, amp: Any, device: torch.device) -> None:
        self.device_type = device.type
        on_device = torch.float16 if device.type == "cuda" else torch.bfloat16
        names = {"float16": torch.float16, "bfloat16": torch.bfloat16, True: on_device, False: None}
        dtypes = {**names, torch.float16: torch.float16, torch.bfloat16: torch.bfloat16}
        if amp not in dtypes:
            raise ValueError(f"amp: expected True, False, 'bfloat16' or 'float16', got {amp!r}")
        self.dtype: torch.dtype | None = dtypes[amp]
        self.scaler = torch.amp.GradScaler(self.device_type) if self.dtype is torch.float16 else None

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """A context in which torch chooses the precision of each operation."""
        if self.dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device_type, dtype=self.dtype)
