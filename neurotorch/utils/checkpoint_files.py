"""Checkpoint files: read without running code of theirs, those of NeuroTorch 0.0.2 too, and found by their list."""

from __future__ import annotations

import collections
import json
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

BEST, LAST = "best", "last"

# What NeuroTorch's callbacks keep that counts here. It pickles all their attributes, arguments included.
_KEPT = {
    "TrainingHistory": ("_container", "_length", "default_value"),
    "BPTT": ("optimizer_state_dict",),
    "TBPTT": ("optimizer_state_dict",),
    "Eprop": ("optimizer_state_dict", "feedback_weights"),
    "RLS": ("optimizer_state_dict", "P_list"),
    "LRSchedulerOnMetric": ("step",),
    "EarlyStoppingOnTimeLimit": ("current_seconds_count",),
}
_NUMBERED = re.compile(r"(\w+)<(\d+)>")
# Objects of these packages are in the attributes of NeuroTorch's callbacks; they come out as inert containers.
_INERT_PACKAGES = ("torch.", "neurotorch.", "builtins.dict", "__main__.")


class _Inert:
    """Stands for an object whose class is not called, and forgets what the file says of it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def _empty(*args: Any) -> dict[Any, Any]:
    """Stands for ``defaultdict``: the reader of torch fills plain dicts only."""
    return {}


def _numpy_globals() -> list[Any]:
    # Numbers and arrays of numpy, under the names of numpy 1 and 2.
    multiarray = np._core.multiarray if hasattr(np, "_core") else np.core.multiarray  # type: ignore[attr-defined]
    named = [
        (getattr(multiarray, function), f"{package}.multiarray.{function}")
        for function in ("scalar", "_reconstruct")
        for package in ("numpy.core", "numpy._core")
    ]
    dtypes = [type(np.dtype(code)) for code in "?bhilqBHILQefdFD"]
    return [*named, np.ndarray, np.dtype, *dtypes, (_empty, "collections.defaultdict")]


def read_checkpoint(path: str | Path, map_location: Any = "cpu") -> dict[str, Any]:
    """The content of a checkpoint. No code in the file runs, whatever it holds.

    Numbers and arrays of numpy become Python's numbers and tensors. In checkpoints of NeuroTorch 0.0.2 the states of
    callbacks are renamed (``BPTT<0>`` to ``BPTT``, a second one to ``BPTT_1``) and reduced to what is read here.

    Parameters
    ----------
    path : str or Path
    map_location : Any
        See :func:`torch.load`.

    Returns
    -------
    dict

    Raises
    ------
    pickle.UnpicklingError
        The file refers to functions, or to classes other than those of torch, numpy and NeuroTorch.
    ValueError
        The file holds no dict.
    """
    path = Path(path)
    try:
        unknown = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except (ValueError, RuntimeError):
        unknown = []  # written by a torch before 1.6, or no such file at all: the next call says what is wrong
    allowed = _numpy_globals()
    names = {entry[1] if isinstance(entry, tuple) else f"{entry.__module__}.{entry.__qualname__}" for entry in allowed}
    for name in unknown:
        if name not in names and name.startswith(_INERT_PACKAGES):
            allowed.append((type(name.rpartition(".")[2], (_Inert,), {}), name))
    try:
        with torch.serialization.safe_globals(allowed):
            content = torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        refused = [name for name in unknown if name not in names and not name.startswith(_INERT_PACKAGES)]
        why = f"it refers to {', '.join(refused)}" if refused else "it is broken, or no checkpoint"
        raise pickle.UnpicklingError(f"{path}: not loaded, since {why}; no code of it ran") from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{path}: expected a checkpoint, a dict, got a {type(content).__name__}")
    return _renamed({key: _plain(value) for key, value in content.items()})


def _plain(value: Any) -> Any:
    """Numpy's numbers and arrays as Python's numbers and tensors; inert objects dropped from dicts and lists."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy()) if value.dtype.kind in "biufc" else None
    if isinstance(value, _Inert):
        return None
    if type(value) is dict:
        return {key: _plain(entry) for key, entry in value.items() if not isinstance(entry, _Inert)}
    if type(value) in (list, tuple):
        return type(value)(_plain(entry) for entry in value)
    return value


def _renamed(content: dict[str, Any]) -> dict[str, Any]:
    old = [match for key in content if (match := _NUMBERED.fullmatch(str(key)))]
    if not old:
        return content
    content["training_history"] = _reduced("TrainingHistory", content.get("training_history"))
    seen: collections.Counter[str] = collections.Counter()
    for match in sorted(old, key=lambda match: int(match[2])):
        name, number = match[1], seen[match[1]]
        seen[name] += 1
        state = _reduced(name, content.pop(match[0]))
        if state:
            content[name if number == 0 else f"{name}_{number}"] = state
    return content


def _reduced(name: str, state: Any) -> dict[str, Any] | None:
    if not isinstance(state, Mapping):
        return None
    return {key: state[key] for key in _KEPT.get(name, ()) if key in state}


def listed_file(meta_path: str | Path, which: str, *folders: str | Path) -> Path:
    """The checkpoint that a list of them names as the best or the last one.

    Parameters
    ----------
    meta_path : str or Path
        The JSON file.
    which : {"best", "last"}
    *folders : str or Path
        Where to look when the file is not beside the list.

    Raises
    ------
    FileNotFoundError
        There is no list, no such entry, or no such file.
    """
    meta_path = Path(meta_path)
    name = listed_name(json.loads(meta_path.read_text(encoding="utf-8")), which, str(meta_path))
    candidates = dict.fromkeys(Path(folder) / name for folder in (meta_path.parent, *folders))
    for path in candidates:
        if path.exists():
            return path
    raise FileNotFoundError(f"{meta_path}: lists {name}, which is not at {' nor at '.join(map(str, candidates))}")


def listed_name(meta: Mapping[str, Any], which: str, where: str = "the list") -> str:
    """The name of the best or last file in the content of a list; FileNotFoundError where there is none."""
    iterations = meta.get("iterations", {})
    name = meta.get("best") if which == BEST else iterations[max(iterations, key=int)] if iterations else None
    if name is None:
        missing = "no checkpoint is marked as the best one" if which == BEST else "no iteration has a checkpoint"
        raise FileNotFoundError(f"{where}: {missing}")
    return str(name)
