"""Packages that only some functions need."""

from __future__ import annotations


def missing_sentence(package: str, purpose: str, extra: str) -> str:
    """The sentence for a package that is not installed, with the line that installs it."""
    return f'{package} is not installed, and it {purpose}; pip install "neurotorch[{extra}]"'


def missing_package(package: str, purpose: str, extra: str) -> ImportError:
    """The error with :func:`missing_sentence`."""
    return ImportError(missing_sentence(package, purpose, extra))
