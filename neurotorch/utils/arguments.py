"""Arguments that a function takes as ``**kwargs``."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable


def warn_unknown(owner: str, given: Iterable[str], known: Iterable[str], stacklevel: int = 3) -> None:
    """Warn of every given name that is not known, and say which known one is nearest.

    Parameters
    ----------
    owner : str
        Class or function that was called.
    given, known : iterable of str
    stacklevel : int
        As for :func:`warnings.warn`; the default points to the caller of the function that calls this one.
    """
    names = sorted(known)
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            warnings.warn(f"{owner}: unknown argument {name!r} has no effect{hint}", stacklevel=stacklevel)
