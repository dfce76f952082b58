"""Files of measured rows: what was run, where, and one row per line."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import torch
from environments import ROOT
from interleave import hardware

from neurotorch.utils.files import written_whole


def heading(command: str, versions: dict[str, str] | None = None) -> dict[str, Any]:
    """What ran, on which machine and which commit, and when."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"], cwd=ROOT, capture_output=True, text=True
    )
    return {
        "command": command,
        "hardware": hardware(),
        "commit": commit.stdout.strip() or "unknown",
        "date": time.strftime("%Y-%m-%d"),
        "versions": {"torch": torch.__version__, **(versions or {})},
    }


def dumped(data: dict[str, Any]) -> str:
    """JSON with one row per line."""
    lines = []
    for key, value in data.items():
        if isinstance(value, list):
            text = "[\n" + ",\n".join(f"  {json.dumps(row)}" for row in value) + "\n ]"
        else:
            text = json.dumps(value)
        lines.append(f" {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def write(data: dict[str, Any], out: Path) -> None:
    with written_whole(out) as path:
        path.write_text(dumped(data))
