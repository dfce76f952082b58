"""Which keyword arguments a layer class knows."""

from __future__ import annotations

import difflib
import inspect
import sys
import warnings
from collections.abc import Mapping
from types import FunctionType
from typing import Any


def _arguments(cls: type) -> frozenset[str]:
    """Named arguments of every constructor in the inheritance of a class."""
    constructors = [vars(base)["__init__"] for base in cls.__mro__ if "__init__" in vars(base) and base is not object]
    return frozenset(
        name
        for constructor in constructors
        for name, parameter in inspect.signature(constructor).parameters.items()
        if name != "self" and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    )


def _mentioned(cls: type) -> frozenset[str]:
    """Strings in the methods of classes outside this library, which may read such keywords from ``self.kwargs``."""
    return frozenset(
        constant
        for base in cls.__mro__
        if not base.__module__.startswith(("neurotorch.", "torch."))
        for function in vars(base).values()
        if isinstance(function, FunctionType)
        for constant in function.__code__.co_consts
        if isinstance(constant, str)
    )


def _caller_depth() -> int:
    """Stack level, for a warning issued by the caller of this function, of the line that constructs the layer."""
    depth, frame = 2, sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_name == "__init__":
        depth, frame = depth + 1, frame.f_back
    return depth


def resolve(layer: object, given: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords that were given (not None), after a warning about each one that no class knows."""
    cls = type(layer)
    known = _arguments(cls)
    for name in given:
        if name not in known and name not in _mentioned(cls):
            nearest = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.0)[0]
            warnings.warn(
                f"{cls.__name__}: unknown argument {name!r} has no effect; did you mean {nearest!r}?",
                stacklevel=_caller_depth(),
            )
    return {name: value for name, value in given.items() if value is not None}
