"""What a trainer shows while it trains."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any


class Progress:
    """A progress bar with the time left and metrics; nothing where it is not wanted or cannot be seen.

    Parameters
    ----------
    shown : bool
        Whether it is wanted; standard error must be a terminal, and tqdm installed, too.
    total : int or None
        Number of iterations, None for no end.
    done : int
        Number of those that are done.
    metrics : sequence of str, optional
        Which metrics, in this order; all by default.
    desc : str
    position, leave
        See tqdm.
    """

    def __init__(
        self,
        shown: bool,
        total: int | None,
        done: int,
        metrics: Sequence[str] | None = None,
        desc: str = "Training",
        position: int | None = None,
        leave: bool | None = None,
    ) -> None:
        self.metrics = metrics
        self._bar: Any = None
        if shown and sys.stderr.isatty():
            try:
                from tqdm import tqdm
            except ImportError:
                return
            self._bar = tqdm(
                total=total,
                initial=done,
                desc=desc,
                position=position,
                leave=leave,
                unit="itr",
                dynamic_ncols=True,
            )

    def update(self, of_callbacks: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
        """An iteration is over."""
        if self._bar is None:
            return
        if self.metrics is not None:
            metrics = {name: metrics[name] for name in self.metrics if name in metrics}
        # What callbacks show comes first: a narrow terminal cuts the end off.
        self._bar.set_postfix({**of_callbacks, **{key: _text(value) for key, value in metrics.items()}}, refresh=False)
        self._bar.update()

    def close(self) -> None:
        """Training is over."""
        if self._bar is not None:
            self._bar.close()


def _text(value: Any) -> Any:
    return f"{value:.5e}" if isinstance(value, (int, float)) else value
