"""Signals that ask for an end instead of forcing it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any


class Interruption:
    """Turns the first ctrl-C or termination signal into a request.

    A second one acts as if this were not there. Use as a context manager, in the main thread; elsewhere it does
    nothing.

    Parameters
    ----------
    numbers : sequence of int
        The signals.
    message : str, optional
        Written to standard error when the request comes.

    Attributes
    ----------
    requested : bool
    """

    def __init__(self, numbers: Sequence[int] = (signal.SIGINT, signal.SIGTERM), message: str | None = None) -> None:
        self.requested = False
        self.numbers = tuple(numbers)
        self.message = message
        self._before: dict[int, Any] = {}
        self._process = os.getpid()

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for number in self.numbers:
                self._before[number] = signal.signal(number, self._request)
        return self

    def _request(self, number: int, frame: Any) -> None:
        self.requested = True
        signal.signal(number, self._before[number])
        # Workers of data loaders inherit the handler: they go on, and say nothing.
        if self.message is not None and os.getpid() == self._process:
            print(self.message, file=sys.stderr, flush=True)

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
