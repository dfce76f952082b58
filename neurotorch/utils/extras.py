"""Packages that an extra installs, imported when they are needed."""

from __future__ import annotations

import importlib
from types import ModuleType


def missing_package(package: str, purpose: str, extra: str) -> str:
    """The sentence for a package that is not installed; `purpose` says what it does, as in "draws figures"."""
    return f'{package} is not installed, and it {purpose}; pip install "neurotorch[{extra}]"'


def require(module: str, package: str, purpose: str, extra: str) -> ModuleType:
    """Import a module of an optional package.

    Raises
    ------
    ImportError
        It is not installed; the message is the one sentence with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or module.split(".")[0] != error.name.split(".")[0]:
            raise  # the package is there, and something that it needs is not
        raise ImportError(missing_package(package, purpose, extra)) from error
