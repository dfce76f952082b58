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


def warn_uncalled(instance: object, base: type, names: Iterable[str], instead: str, stacklevel: int = 3) -> None:
    """Warn when the class of an object overrides methods of NeuroTorch that nothing calls here.

    Parameters
    ----------
    instance : object
    base : type
        This library's class; those between it and the class of the object are looked at.
    names : iterable of str
        The methods.
    instead : str
        What to do instead, or why they are not called.
    stacklevel : int
        As for :func:`warnings.warn`; the default points to the caller of the function that calls this one.
    """
    kinds = type(instance).__mro__
    derived = kinds[: kinds.index(base)]
    own = [name for name in names if any(name in vars(kind) for kind in derived)]
    if own:
        are = "is" if len(own) == 1 else "are"
        warnings.warn(
            f"{type(instance).__name__}: its own {', '.join(own)} {are} not called; {instead}", stacklevel=stacklevel
        )
