"""Sets of parameters of a study: names, hashes, files and combinations."""

from __future__ import annotations

import hashlib
import itertools
import os
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from neurotorch.utils.files import written_whole


def get_meta_name(params: Mapping[str, Any]) -> str:
    """``key-value`` pairs in the order of the keys, joined by underscores."""
    return "_".join(f"{key}-{params[key]}" for key in sorted(params))


def hash_params(params: Mapping[str, Any]) -> int:
    """MD5 hash of :func:`get_meta_name` as a number; :func:`hash_meta_str` takes nested parameters, too."""
    return int(hash_meta_str(get_meta_name(params), out_type="int"))


def get_meta_str(__obj: Any) -> str:
    """Text that names an object, the same in every process and for every order of the keys of dicts.

    Parameters
    ----------
    __obj : object
        Mappings become ``key-value`` pairs in the order of their keys, other iterables their entries, joined by
        underscores; strings stay; anything else gives its ``repr``.

    Examples
    --------
    >>> get_meta_str([{"b": 2, "a": 1}, 3])
    'a-1_b-2_3'
    """
    if isinstance(__obj, str):
        return __obj
    if isinstance(__obj, Mapping):
        return "_".join(f"{key}-{get_meta_str(__obj[key])}" for key in sorted(__obj))
    if getattr(__obj, "ndim", None) == 0:
        # Numbers of numpy and torch: their repr depends on the version, and arrays without axes only seem iterable.
        return str(__obj.item()) if hasattr(__obj, "requires_grad") else str(__obj)
    if isinstance(__obj, Iterable):
        return "_".join(get_meta_str(entry) for entry in __obj)
    return repr(__obj)


def hash_meta_str(__obj: Any, hash_mth: str = "md5", out_type: str = "hex") -> str | int:
    """Hash of :func:`get_meta_str`.

    Parameters
    ----------
    __obj : object
    hash_mth : str
        Name of a hash of :mod:`hashlib` with a fixed length.
    out_type : {"hex", "int"}
        Hexadecimal digits or a number.

    Returns
    -------
    str or int

    Raises
    ------
    ValueError
        An argument is none of these.
    """
    if hash_mth not in hashlib.algorithms_available or hash_mth.startswith("shake"):
        known = ", ".join(sorted(name for name in hashlib.algorithms_available if not name.startswith("shake")))
        raise ValueError(f"hash_mth: expected one of {known}, got {hash_mth!r}")
    if out_type not in ("hex", "int"):
        raise ValueError(f"out_type: expected 'hex' or 'int', got {out_type!r}")
    digits = hashlib.new(hash_mth, get_meta_str(__obj).encode(), usedforsecurity=False).hexdigest()
    return digits if out_type == "hex" else int(digits, 16)


def save_params(params: Mapping[str, Any], save_path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """Write parameters to a file by pickle, whole or not at all, and return its path."""
    with written_whole(Path(save_path)) as path, open(path, "wb") as file:
        pickle.dump(params, file)
    return save_path


def get_all_params_combinations(params_space: Mapping[str, Iterable[Any]]) -> list[dict[str, Any]]:
    """Every choice of one value for each key, the last key changing fastest.

    Examples
    --------
    >>> get_all_params_combinations({"lr": [0.1, 0.2], "seed": [0]})
    [{'lr': 0.1, 'seed': 0}, {'lr': 0.2, 'seed': 0}]
    """
    return [dict(zip(params_space, values)) for values in itertools.product(*params_space.values())]
