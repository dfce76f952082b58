"""Helpers around sequences and dicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any

import torch

from neurotorch.utils.parameters import get_all_params_combinations as get_all_params_combinations
from neurotorch.utils.parameters import get_meta_name as get_meta_name
from neurotorch.utils.parameters import get_meta_str as get_meta_str
from neurotorch.utils.parameters import hash_meta_str as hash_meta_str
from neurotorch.utils.parameters import hash_params as hash_params
from neurotorch.utils.parameters import save_params as save_params


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
        return sequence_get(out, 0), sequence_get(out, 1)
    return out[0], list(out[1:])


def unpack_x_hh_y(__input: Any) -> tuple[Any, Any, Any]:
    """Split a batch into inputs, hidden states and targets.

    A pair has no hidden states (None), a tuple of one and anything else no targets either. Of more than three entries
    all but the first and the last are the hidden states, as a list.
    """
    if not isinstance(__input, (tuple, list)):
        return __input, None, None
    if len(__input) < 2:
        return sequence_get(__input, 0), None, None
    x, *hh, y = __input
    return x, (hh if len(hh) > 1 else sequence_get(hh, 0)), y


def unpack_tuple(
    x: Sequence[Any],
    expected_length: int,
    fill_value: Any = None,
    fill_method: str = "middle",
    aggregate_method: str = "middle",
    aggregate_type: Callable[[Sequence[Any]], Any] = tuple,
) -> tuple[Any, ...]:
    """The entries of a sequence as a tuple of a wanted length.

    Parameters
    ----------
    x : sequence
    expected_length : int
        Number of entries of the result.
    fill_value : object
        Stands in for the missing entries of a shorter sequence.
    fill_method : {"left", "right", "middle"}
        Where they go: before all entries, behind them, or after the first half.
    aggregate_method : {"left", "right", "middle"}
        Which entries of a longer sequence become one: the first, the last, or those after as many as half of them.
    aggregate_type : callable
        Makes one entry of them, for instance ``tuple`` or ``list``.

    Raises
    ------
    ValueError
        A method is none of these.
    """
    for name, method in (("fill_method", fill_method), ("aggregate_method", aggregate_method)):
        if method not in ("left", "right", "middle"):
            raise ValueError(f"{name}: expected 'left', 'right' or 'middle', got {method!r}")
    entries, missing = list(x), expected_length - len(x)
    if missing >= 0:
        at = {"left": 0, "right": len(entries), "middle": len(entries) // 2}[fill_method]
        return (*entries[:at], *[fill_value] * missing, *entries[at:])
    if expected_length < 1:
        raise ValueError(f"expected_length: expected 1 or more for a sequence with entries, got {expected_length}")
    together = 1 - missing
    last = expected_length - 1
    at = {"left": 0, "right": last, "middle": min(together // 2, last)}[aggregate_method]
    return (*entries[:at], aggregate_type(entries[at : at + together]), *entries[at + together :])


def unpack_singleton_dict(x: Mapping[Any, Any]) -> Any:
    """The value of a dict with one entry, None for an empty one; ValueError for more."""
    if len(x) > 1:
        raise ValueError(f"x: expected a dict with one entry, got the keys {list(x)}")
    return next(iter(x.values()), None)


def maybe_unpack_singleton_dict(x: Any) -> Any:
    """The value of a dict with one entry, None for an empty one; anything else as it is."""
    return unpack_singleton_dict(x) if isinstance(x, Mapping) and len(x) <= 1 else x


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
    """Update `d` in place with `u`, merging nested mappings, and return it; `u` shares none of them."""
    for key, value in u.items():
        if isinstance(value, Mapping):
            old = d.get(key)
            d[key] = mapping_update_recursively(old if isinstance(old, MutableMapping) else {}, value)
        else:
            d[key] = value
    return d
