"""Finds the environments of the other libraries, one process per library."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server import PeerError, Server

ROOT = Path(__file__).parents[1]
# Folder that ``make bench-environments`` fills, and what it holds.
FOLDERS = {"peers": ("norse", "snntorch", "spikingjelly", "sinabs"), "reference": ("neurotorch",)}
LIBRARIES = tuple(name for names in FOLDERS.values() for name in names)
NAMES = {
    "ours": "ours",
    "recomputed": "ours, keeping every 100th step",
    "loop": "plain loop",
    "compiled": "compiled loop",
    "spytorch": "SpyTorch's loop",
    "neurotorch": "NeuroTorch 0.0.2",
    "norse": "Norse",
    "snntorch": "snnTorch",
    "spikingjelly": "SpikingJelly",
    "sinabs": "sinabs",
}


def interpreters(peers: str | None = None, reference: str | None = None) -> dict[str, str]:
    """Interpreter of every library that has an environment; one line about each environment that is missing."""
    found = {}
    for folder, given in (("peers", peers), ("reference", reference)):
        python = Path(given) if given else ROOT / f".venv-{folder}" / "bin" / "python"
        if not python.exists():
            libraries = ", ".join(NAMES[name] for name in FOLDERS[folder])
            print(f"without {libraries}: no {python} (make bench-environments creates it)", flush=True)
            continue
        found.update(dict.fromkeys(FOLDERS[folder], str(python)))
    return found


@contextmanager
def servers(pythons: dict[str, str]) -> Iterator[tuple[dict[str, Server], dict[str, str]]]:
    """A process for every library that answers, and the versions of the libraries."""
    running: dict[str, Server] = {}
    versions: dict[str, str] = {}
    try:
        for name, python in pythons.items():
            server = Server(python)
            try:
                versions[name] = server.ask("versions")["versions"][name]
            except (PeerError, KeyError) as error:
                server.close()
                print(f"without {NAMES[name]}: {python} does not have it ({error})", flush=True)
            else:
                running[name] = server
        yield running, versions
    finally:
        for server in running.values():
            server.close()
