"""Talks to ``peers/serve.py`` in another environment, so that its candidates take their turn in our rounds."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import time
from pathlib import Path
from typing import Any

from interleave import Spent

SERVE = Path(__file__).parent / "peers" / "serve.py"


class PeerError(RuntimeError):
    """The process says that it failed, or is gone."""


class Unavailable(PeerError):
    """The library is not written for this workload."""


class Server:
    """A process of the interpreter `python`; one candidate at a time. Close it, or use it in a ``with``."""

    def __init__(self, python: str | Path, timeout: float = 600.0) -> None:
        self.timeout = timeout
        self.process = subprocess.Popen(
            [str(python), str(SERVE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
            # A checkout in the working folder would hide the package of the same name.
            cwd=SERVE.parent,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        )

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Answer to one command. Raises `PeerError` if there is none in time, or one that says so."""
        process = self.process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            process.stdin.flush()
        except BrokenPipeError as error:
            raise PeerError(f"{do}: the process ended with status {process.wait()}") from error
        end = time.monotonic() + self.timeout
        while not select.select([process.stdout], [], [], max(0.0, end - time.monotonic()))[0]:
            if time.monotonic() >= end:
                self.close()
                raise PeerError(f"{do}: no answer within {self.timeout:g} s")
        line = process.stdout.readline()
        if not line:
            raise PeerError(f"{do}: the process ended with status {process.wait()}")
        answer = json.loads(line)
        if "unavailable" in answer:
            raise Unavailable(answer["unavailable"])
        if "error" in answer:
            raise PeerError(f"{do}: {answer['error']}")
        return answer

    def run(self, part: str) -> Spent:
        """One run of the candidate that was built, in the process's own seconds."""
        answer = self.ask("run", part=part)
        return Spent(answer["seconds"], answer["processor"])

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
