"""Weights of a checkpoint in the format of safetensors."""

from __future__ import annotations

import argparse
import json
import pickle
import sys
from pathlib import Path

import torch

from neurotorch._version import __version__
from neurotorch.utils.checkpoint_files import BEST, LAST, listed_file, read_checkpoint
from neurotorch.utils.extras import require
from neurotorch.utils.files import written_whole


def export_checkpoint(checkpoint: str | Path, out: str | Path | None = None, which: str = BEST) -> Path:
    """Write the weights of a checkpoint into a ``.safetensors`` file, which other libraries read.

    The tensors have the names of the model's state dict. The metadata, strings by name, are ``format`` ("pt"),
    ``neurotorch`` (version), ``layers`` (JSON list of the layers' names, in the order of the model), ``iteration`` and
    ``metrics`` (JSON dict).

    Parameters
    ----------
    checkpoint : str or Path
        A checkpoint of this library, of ``neurotorch fit`` or of NeuroTorch 0.0.2, or the JSON file that lists some.
        No code in it runs.
    out : str or Path, optional
        By default the checkpoint's path with the ending ``.safetensors``.
    which : {"best", "last"}
        Which one of a list.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ImportError
        safetensors is not installed.
    FileNotFoundError
        There is no such checkpoint.
    ValueError, pickle.UnpicklingError
        The file is no checkpoint with weights.
    """
    save_file = require("safetensors.torch", "safetensors", "writes .safetensors files", "export").save_file
    path = Path(checkpoint)
    if path.suffix == ".json":
        path = listed_file(path, which)
    content = read_checkpoint(path)
    weights = content.get("model_state_dict")
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise ValueError(f"{path}: expected a checkpoint with a model_state_dict of tensors, got {sorted(content)}")
    layers = dict.fromkeys(name.rpartition(".")[0] for name in weights)
    iteration = content.get("itr", content.get("iteration"))
    metadata = {
        "format": "pt",
        "neurotorch": __version__,
        "layers": json.dumps(list(layers)),
        "iteration": "" if iteration is None else str(iteration),
        "metrics": json.dumps(content.get("metrics") or {}),
    }
    target = path.with_name(f"{path.stem}.safetensors") if out is None else Path(out)
    target.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(target) as temporary:
        # Clones: the format knows no shared memory.
        tensors = {name: value.detach().clone().contiguous() for name, value in weights.items()}
        save_file(tensors, temporary, metadata=metadata)
    return target


def add_export_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``neurotorch export``."""
    parser = commands.add_parser(
        "export",
        help="write the weights of a checkpoint as .safetensors",
        description="Writes the weights of a checkpoint into a .safetensors file, with the names of the layers, the "
        "iteration and the metrics as metadata. No code in the checkpoint runs.",
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", type=Path, help="a checkpoint, or the JSON that lists some")
    parser.add_argument("-o", "--out", metavar="FILE", type=Path, help="by default CHECKPOINT with another ending")
    parser.add_argument("--which", choices=(BEST, LAST), default=BEST, help="which one of a list (default: best)")
    parser.set_defaults(run=_run_export)


def _run_export(parsed: argparse.Namespace) -> int:
    try:
        print(export_checkpoint(parsed.checkpoint, parsed.out, parsed.which))
    except (ImportError, OSError, ValueError, pickle.UnpicklingError) as error:
        print(f"neurotorch export: {error}", file=sys.stderr)
        return 1
    return 0
