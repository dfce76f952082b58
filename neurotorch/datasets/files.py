"""Where published data are: in a folder of the user's, in the cache, or on the net."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neurotorch.utils.extras import missing_package

VARIABLE = "NEUROTORCH_DATA"
_CHUNK, _TIMEOUT = 1 << 16, 30.0  # what a cut may cost, bytes; seconds without any


class DatasetError(ValueError):
    """Data cannot be had or are not what they should be; the message says why, and what to do."""


def missing_extra(package: str, purpose: str, kind: type[DatasetError] = DatasetError) -> DatasetError:
    """The sentence for a package that is not installed."""
    return kind(missing_package(package, purpose, "fit"))


def data_folder(root: str | Path | None = None) -> Path | None:
    """The given folder, else the one that the environment variable ``NEUROTORCH_DATA`` names, else None."""
    named = root or os.environ.get(VARIABLE)
    return Path(named) if named else None


def find_file(root: str | Path | None, *names: str) -> Path | None:
    """The first of these files that is there, in :func:`data_folder`; None where none is."""
    folder = data_folder(root)
    candidates = [folder / name for name in names] if folder else []
    return next((path for path in candidates if path.is_file()), None)


def fetch(
    what: str,
    urls: str | Sequence[str],
    file: str,
    known_hash: str,
    root: str | Path | None = None,
    kind: type[DatasetError] = DatasetError,
) -> Path:
    """A published file: downloaded once, checked, and from then on read from where it was put.

    It is put into :func:`data_folder` where that can be written to, otherwise into the user's cache. A download that
    was cut off goes on where it stopped. The file has its name only when its checksum agrees; another process that
    wants the same folder waits.

    Parameters
    ----------
    what : str
        Name of the data, for messages.
    urls : str or sequence of str
        Where it is; tried in order.
    file : str
        Name to give it.
    known_hash : str
        ``"md5:..."`` or ``"sha256:..."``.
    root : str or Path, optional
        Folder instead of ``NEUROTORCH_DATA``.
    kind : type
        Of the error.

    Raises
    ------
    DatasetError
        pooch is not installed, no address gave the file, or its checksum is another.
    """
    pooch = _pooch(what, kind)
    addresses = [urls] if isinstance(urls, str) else list(urls)
    cache = download_folder(what, root, kind)
    part = cache / f".{file}.part"
    failures: list[Exception] = []
    with _one_at_a_time(cache):
        for url in addresses:
            # A remainder that does not belong to this file shows in the checksum; the second attempt starts afresh.
            for _ in range(2):
                resumed = part.exists()
                try:
                    return Path(pooch.retrieve(url, known_hash, fname=file, path=cache, downloader=_resuming(part)))
                except Exception as error:  # pooch lets through whatever its downloader raises
                    failures.append(error)
                if not resumed or part.exists():
                    break
    raise kind(
        f"{what}: the download failed ({_reason(failures[-1])}); without network, put {file} from {addresses[0]} "
        f"into a folder and set {VARIABLE} to it"
    ) from failures[-1]


def download_folder(what: str, root: str | Path | None = None, kind: type[DatasetError] = DatasetError) -> Path:
    """Where :func:`fetch` puts files; made if it is not there."""
    folder = Path(root) if root else data_folder()
    try:
        if root:
            Path(root).mkdir(parents=True, exist_ok=True)
        cache = folder if folder and os.access(folder, os.W_OK) else Path(_pooch(what, kind).os_cache("neurotorch"))
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise kind(f"{what}: no folder to download to ({error}); set {VARIABLE} to one") from error
    return cache


def _pooch(what: str, kind: type[DatasetError]) -> Any:
    try:
        import pooch
    except ImportError as error:
        raise missing_extra("pooch", f"downloads {what}", kind) from error
    return pooch


def _reason(error: Exception) -> str:
    """One line; only messages of ours and of pooch say something."""
    text = " ".join(str(error).split())
    return text if isinstance(error, (ValueError, EOFError)) and len(text) < 300 else type(error).__name__


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait until no other process is in here with the same folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _resuming(part: Path) -> Callable[[str, str, Any], None]:
    """A downloader for pooch that keeps what has come in `part`, and asks the server for the rest only."""

    def download(url: str, output_file: str, pooch: Any) -> None:
        import requests

        have = part.stat().st_size if part.exists() else 0
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                # The remainder is whole, or longer than the file; the checksum tells.
                os.replace(part, output_file)
                return
            response.raise_for_status()
            goes_on = response.status_code == requests.codes.partial_content and response.headers.get(
                "Content-Range", ""
            ).startswith(f"bytes {have}-")
            length = response.headers.get("Content-Length")
            with open(part, "ab" if goes_on else "wb") as file:
                before = file.tell()
                for chunk in response.iter_content(_CHUNK):
                    file.write(chunk)
                came = file.tell() - before
        if length is not None and came < int(length):
            raise EOFError(f"{url} stopped after {came} of {length} bytes")
        os.replace(part, output_file)

    return download
