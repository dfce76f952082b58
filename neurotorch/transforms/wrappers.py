"""Modules around plain callables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


class CallableToModuleWrapper(torch.nn.Module):
    """A callable as a module, so that it can stand in a ``ModuleDict`` or ``torch.nn.Sequential``.

    Parameters
    ----------
    callable_object : callable
        What the module calls with all its arguments.

    Raises
    ------
    TypeError
        The object cannot be called.
    """

    def __init__(self, callable_object: Callable[..., Any]) -> None:
        super().__init__()
        if not callable(callable_object):
            raise TypeError(f"callable_object: expected a callable, got {type(callable_object).__name__}")
        self.callable_object = callable_object

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.callable_object})"

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the object."""
        return self.callable_object(*args, **kwargs)
