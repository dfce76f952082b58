"""The version; pyproject.toml is the only place that states it."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path


def _read() -> str:
    """The version of the source tree that this file is part of, else that of the installed package."""
    pyproject = Path(__file__).parents[1] / "pyproject.toml"
    text = pyproject.read_text(encoding="utf-8") if pyproject.exists() else ""
    stated = re.search(r'^name = "neurotorch"\nversion = "([^"]+)"$', text, re.MULTILINE)
    return stated[1] if stated else importlib.metadata.version("neurotorch")


__version__ = _read()
