"""The JSON file that lists the checkpoints of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurotorch.utils.files import written_whole


class CheckpointList:
    """``{"iterations": {"N": file name}, "best": file name, "best_metric": value}``, written whole at each change.

    Entries of a branch that a run has left by going on from an earlier checkpoint stand under ``"abandoned"``.

    Parameters
    ----------
    path : Path
        The JSON file.
    folder : Path
        Where the checkpoints are.
    """

    ITERATIONS, BEST, BEST_METRIC, ABANDONED = "iterations", "best", "best_metric", "abandoned"

    def __init__(self, path: str | Path, folder: str | Path) -> None:
        self.path = Path(path)
        self.folder = Path(folder)

    def read(self) -> dict[str, Any]:
        """The content, empty where there is no file."""
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return content if isinstance(content, dict) else {}

    def write(self, content: Mapping[str, Any]) -> None:
        """Write the content in place of the present one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(self.path) as temporary:
            temporary.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")

    def add(self, itr: int, name: str, best_metric: float | None = None) -> None:
        """List the file of an iteration, which is the best one if it comes with a metric."""
        content = self.read()
        content.setdefault(self.ITERATIONS, {})[str(itr)] = name
        if best_metric is not None:
            content[self.BEST] = name
            content[self.BEST_METRIC] = best_metric
        abandoned = content.get(self.ABANDONED, {})
        abandoned.pop(str(itr), None)  # its file is overwritten
        if not abandoned:
            content.pop(self.ABANDONED, None)
        self.write(content)

    def leave_after(self, itr: int) -> None:
        """Count the entries of later iterations no longer; the run goes on from this one."""
        content = self.read()
        iterations = content.get(self.ITERATIONS, {})
        later = {number: name for number, name in iterations.items() if int(number) > itr}
        if later:
            content[self.ITERATIONS] = {number: name for number, name in iterations.items() if number not in later}
            content[self.ABANDONED] = {**content.get(self.ABANDONED, {}), **later}
            if content.get(self.BEST) in later.values():
                del content[self.BEST]
                content.pop(self.BEST_METRIC, None)
            self.write(content)

    @property
    def last(self) -> int:
        """The latest iteration that is listed, -1 where there is none."""
        return max(map(int, self.read().get(self.ITERATIONS, {})), default=-1)

    def keep_last_and_best(self) -> None:
        """Take all other iterations out of the list, and then remove their files."""
        content, last = self.read(), str(self.last)
        listed = content.get(self.ITERATIONS, {})
        kept = {itr: name for itr, name in listed.items() if itr == last or name == content.get(self.BEST)}
        if len(kept) == len(listed):
            return
        self.write({**content, self.ITERATIONS: kept})
        for itr, name in listed.items():
            if itr not in kept:
                (self.folder / name).unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the list, and then the files that it lists."""
        content = self.read()
        self.path.unlink(missing_ok=True)
        for part in (self.ITERATIONS, self.ABANDONED):
            for name in content.get(part, {}).values():
                (self.folder / name).unlink(missing_ok=True)
