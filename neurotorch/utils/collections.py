"""Helpers around sequences and dicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any

import torch


def sequence_get(__sequence: Sequence[Any], idx: int, default: Any = None) -> Any:
    """``sequence[idx]``, or `default` where there is no such entry."""
    try:
        return __sequence[idx]
    except IndexError:
        return default


def unpack_out_hh(out: Any) -> tuple[Any, Any]:
    """Split what a layer or model returned into its output and its hidden state.

    A tensor or a tuple of one has no state (None); a pair is returned as it is; of more entries all but the first are
    the state, as a list.
    """
    if not isinstance(out, (tuple, list)):
        return out, None
    if len(out) <= 2:
        return out[0], sequence_get(out, 1)
    return out[0], list(out[1:])


def unpack_singleton_dict(x: Mapping[Any, Any]) -> Any:
    """The value of a dict with one entry; ValueError for any other number."""
    if len(x) != 1:
        raise ValueError(f"x: expected a dict with one entry, got the keys {list(x)}")
    return next(iter(x.values()))


def maybe_unpack_singleton_dict(x: Any) -> Any:
    """The value of a dict with one entry; anything else as it is."""
    return unpack_singleton_dict(x) if isinstance(x, Mapping) and len(x) == 1 else x


def list_insert_replace_at(__list: list[Any], idx: int, value: Any) -> None:
    """Set ``list[idx]`` in place, filling up with None when the list is too short."""
    __list.extend([None] * (idx + 1 - len(__list)))
    __list[idx] = value


def list_of_callable_to_sequential(callable_list: Sequence[Callable[..., Any]]) -> torch.nn.Sequential:
    """The callables in a row as one module; those that are no modules are wrapped."""
    from neurotorch.transforms.wrappers import CallableToModuleWrapper

    return torch.nn.Sequential(
        *[f if isinstance(f, torch.nn.Module) else CallableToModuleWrapper(f) for f in callable_list]
    )


def ravel_compose_transforms(transform: Any) -> list[Callable[..., Any]]:
    """The callables in nested sequences, iterable modules and objects with a list of ``transforms``, in order.

    Raises
    ------
    ValueError
        Something in it is none of these.
    """
    parts = getattr(transform, "transforms", None)
    if parts is None and (
        isinstance(transform, (list, tuple))
        or (isinstance(transform, torch.nn.Module) and isinstance(transform, Iterable))
    ):
        parts = transform
    if parts is not None:
        return [found for part in parts for found in ravel_compose_transforms(part)]
    if not callable(transform):
        raise ValueError(f"transform: expected a callable or a sequence of them, got {transform!r}")
    return [transform]


def mapping_update_recursively(d: MutableMapping[Any, Any], u: Mapping[Any, Any]) -> MutableMapping[Any, Any]:
    """Update `d` in place with `u`, merging nested mappings, and return it."""
    for key, value in u.items():
        if isinstance(value, Mapping) and isinstance(d.get(key), MutableMapping):
            mapping_update_recursively(d[key], value)
        else:
            d[key] = value
    return d
