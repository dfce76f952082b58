"""Downloads: whole, cut off, wrong, and without a network; from a web server on this machine."""

import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from http_server import serving

from neurotorch.datasets import DatasetError
from neurotorch.datasets.files import data_folder, fetch, find_file

CONTENT = np.random.default_rng(0).bytes(200_000)
HASH = f"md5:{hashlib.md5(CONTENT).hexdigest()}"


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("NEUROTORCH_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    with serving(CONTENT) as served:
        yield served


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_downloaded_once(server, tmp_path):
    for _ in range(2):
        path = fetch("things", server.url, "things.bin", HASH, tmp_path / "new")
        assert path == tmp_path / "new" / "things.bin"
        assert path.read_bytes() == CONTENT
    assert server.asked == [None]
    assert names(tmp_path / "new") == ["things.bin"]


def test_goes_into_the_folder_of_the_environment_else_into_the_cache(server, tmp_path, monkeypatch):
    path = fetch("things", server.url, "things.bin", HASH)
    assert path == tmp_path / "cache" / "neurotorch" / "things.bin"
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("NEUROTORCH_DATA", str(tmp_path / "data"))
    assert fetch("things", server.url, "things.bin", HASH) == tmp_path / "data" / "things.bin"
    assert data_folder() == tmp_path / "data"
    assert find_file(None, "other", "things.bin") == tmp_path / "data" / "things.bin"
    assert find_file(tmp_path, "things.bin") is None


def test_cut_off_download_goes_on(server, tmp_path):
    server.cut = 150_000
    with pytest.raises(DatasetError, match=r"things: the download failed.*put things\.bin.*NEUROTORCH_DATA"):
        fetch("things", server.url, "things.bin", HASH, tmp_path)
    assert names(tmp_path) == [".things.bin.part"]
    came = (tmp_path / ".things.bin.part").stat().st_size
    assert 0 < came <= 150_000
    server.cut = None
    assert fetch("things", server.url, "things.bin", HASH, tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={came}-"]
    assert names(tmp_path) == ["things.bin"]


def test_server_without_ranges_starts_over(server, tmp_path):
    (tmp_path / ".things.bin.part").write_bytes(CONTENT[:1000])
    server.ranges = False
    assert fetch("things", server.url, "things.bin", HASH, tmp_path).read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-"]


@pytest.mark.parametrize("remainder", [b"other" * 10, CONTENT, CONTENT + b"more"], ids=["foreign", "whole", "longer"])
def test_any_remainder_ends_in_the_right_file(server, tmp_path, remainder):
    (tmp_path / ".things.bin.part").write_bytes(remainder)
    assert fetch("things", server.url, "things.bin", HASH, tmp_path).read_bytes() == CONTENT
    assert len(server.asked) == (1 if remainder == CONTENT else 2)
    assert names(tmp_path) == ["things.bin"]


def test_wrong_checksum_leaves_nothing(server, tmp_path):
    server.content = CONTENT[::-1]
    with pytest.raises(DatasetError, match="things: the download failed.*hash"):
        fetch("things", server.url, "things.bin", HASH, tmp_path)
    assert names(tmp_path) == []


def test_broken_file_under_the_name_is_replaced(server, tmp_path):
    (tmp_path / "things.bin").write_bytes(CONTENT[:5])
    assert fetch("things", server.url, "things.bin", HASH, tmp_path).read_bytes() == CONTENT


def test_second_address_where_the_first_fails(server, tmp_path):
    urls = ["http://127.0.0.1:9/file.bin", server.url]
    assert fetch("things", urls, "things.bin", HASH, tmp_path).read_bytes() == CONTENT


def test_without_network(tmp_path):
    with pytest.raises(
        DatasetError, match=r"download failed \(ConnectionError\).*http://127\.0\.0\.1:9/x into a folder"
    ):
        fetch("things", "http://127.0.0.1:9/x", "things.bin", HASH, tmp_path)
    assert names(tmp_path) == []


def test_without_pooch(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(DatasetError, match=r'pooch is not installed, and it downloads things; pip install "neurotorch'):
        fetch("things", "http://127.0.0.1:9/x", "things.bin", HASH, tmp_path)


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="things: no folder to download to"):
        fetch("things", "http://127.0.0.1:9/x", "things.bin", HASH, tmp_path / "file" / "below")


def test_two_at_a_time_download_once(server, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(lambda _: fetch("things", server.url, "things.bin", HASH, tmp_path), range(2)))
    assert paths == [tmp_path / "things.bin"] * 2
    assert server.asked == [None]
    assert names(tmp_path) == ["things.bin"]
