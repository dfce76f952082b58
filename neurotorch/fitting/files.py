"""The files of a fit, each written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neurotorch.utils.files import written_whole

FORMAT = "neurotorch fit 1"


def write_json(path: Path, content: dict[str, Any]) -> None:
    """A JSON file."""
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_arrays(path: Path, **arrays: Any) -> None:
    """A compressed ``.npz`` file."""
    with written_whole(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """A file that ``torch.load(weights_only=True)`` reads."""
    with written_whole(path) as temporary:
        torch.save(content, temporary)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of :func:`write_checkpoint`; no code of the file runs.

    Raises
    ------
    ValueError
        The file is not a checkpoint of a fit.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch raises on foreign or broken files
        raise ValueError(f"{path}: not a checkpoint of a fit ({type(error).__name__}: {error})") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path}: not a checkpoint of a fit")
    return content
