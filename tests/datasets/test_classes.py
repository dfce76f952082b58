"""Images and spoken words from small files of the published formats, and the published ones where they are at hand."""

import hashlib
import itertools
import zipfile

import numpy as np
import pytest
import torch
from http_server import serving
from published_files import heidelberg_file, image_file, spoken_file

from neurotorch.datasets import (
    MNIST,
    SHD,
    SSC,
    DatasetError,
    EventBins,
    FashionMNIST,
    SpokenDigits,
    get_dataloaders,
    load_rat_linear_track,
)
from neurotorch.datasets import spikes as spikes_module

SIZES = {"train": 40, "test": 12}


@pytest.fixture(autouse=True)
def no_folder(monkeypatch, request):
    if "data_folder" not in request.fixturenames:
        monkeypatch.delenv("NEUROTORCH_DATA", raising=False)


@pytest.fixture
def images(monkeypatch):
    """A few random images, which count as the published ones: arrays, and files as they are downloaded."""
    return image_file(monkeypatch, **SIZES)


@pytest.mark.parametrize(("kind", "file"), [(MNIST, "mnist.npz"), (FashionMNIST, "fashion_mnist.npz")])
def test_images_from_an_archive(images, tmp_path, monkeypatch, kind, file):
    arrays, _ = images
    np.savez(tmp_path / file, **arrays)
    monkeypatch.setenv("NEUROTORCH_DATA", str(tmp_path))
    for split, n in SIZES.items():
        dataset = kind(train=split == "train")
        assert len(dataset) == n
        x, y = dataset[3]
        np.testing.assert_allclose(x, arrays[f"x_{split}"][3] / np.float32(255), rtol=1e-6)
        assert (x.shape, x.dtype, y) == ((28, 28), torch.float32, arrays[f"y_{split}"][3])
        batch, classes = dataset.batch([5, 3])
        np.testing.assert_array_equal(batch[1], x)
        assert classes.tolist() == arrays[f"y_{split}"][[5, 3]].tolist()
    rows = kind(transform=torch.flatten)
    assert rows[0][0].shape == (784,)
    assert rows.batch([0, 1])[0].shape == (2, 784)
    assert next(iter(torch.utils.data.DataLoader(rows, batch_size=4)))[0].shape == (4, 784)


def test_images_of_other_content_are_refused(images, tmp_path):
    arrays, _ = images
    np.savez(tmp_path / "mnist.npz", **{**arrays, "x_test": arrays["x_test"][::-1]})
    assert len(MNIST(tmp_path)) == SIZES["train"]
    with pytest.raises(DatasetError, match=r"mnist\.npz does not hold the published test images"):
        MNIST(tmp_path, train=False)
    (tmp_path / "mnist.npz").write_bytes(b"PK nonsense")
    with pytest.raises(DatasetError, match=r"mnist\.npz cannot be read"):
        MNIST(tmp_path)
    with pytest.raises(DatasetError, match=r"no fashion_mnist\.npz there, and download is False"):
        FashionMNIST(tmp_path, download=False)


def test_images_are_downloaded(images, tmp_path, monkeypatch):
    arrays, packed = images
    with serving(packed["test", "x"]) as x, serving(packed["test", "y"]) as y:
        sites = {"t10k-images": x, "t10k-labels": y}

        class Site(str):
            def __add__(self, file):
                return next(site.url for start, site in sites.items() if file.startswith(start))

        monkeypatch.setattr(MNIST, "urls", (Site(),))
        for _ in range(2):
            np.testing.assert_array_equal(MNIST(tmp_path, train=False).images, arrays["x_test"])
        assert x.asked == y.asked == [None]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "mnist-t10k-images-idx3-ubyte.gz",
        "mnist-t10k-labels-idx1-ubyte.gz",
    ]


def test_heidelberg_format(tmp_path, monkeypatch):
    samples, labels = heidelberg_file(tmp_path / "shd_train.h5")
    monkeypatch.setenv("NEUROTORCH_DATA", str(tmp_path))
    dataset = SHD()
    assert (len(dataset), dataset.n_units, len(dataset.classes)) == (6, 700, 20)
    assert dataset.classes[10] == "null"
    np.testing.assert_array_equal(dataset.targets, labels)
    np.testing.assert_array_equal(dataset.speakers, np.arange(6))
    for i, (times, units) in enumerate(samples):
        np.testing.assert_array_equal(dataset.events(i).times, times)
        expected = np.zeros((100, 700))
        expected[np.floor(times.astype(float) / 0.014 + 1e-6).astype(int), units] = 1
        np.testing.assert_array_equal(dataset[i][0], expected)
    counts = SHD(bins=EventBins(10, 0.14, binary=False, pool=100))
    assert counts.batch(range(6))[0].to_dense().sum() == sum(len(times) for times, _ in samples)


def test_commands_format(tmp_path):
    heidelberg_file(tmp_path / "ssc_valid.h5", n_classes=35)
    dataset = SSC(tmp_path, split="valid")
    assert (len(dataset), len(dataset.classes), len(set(dataset.classes))) == (6, 35, 35)
    with pytest.raises(ValueError, match="split: expected train, valid or test, got 'dev'"):
        SSC(tmp_path, split="dev")


def test_broken_heidelberg_files_are_named(tmp_path):
    with pytest.raises(DatasetError, match=r"no shd_test\.h5 there"):
        SHD(tmp_path, train=False, download=False)
    (tmp_path / "shd_test.h5").write_bytes(b"not HDF5")
    with pytest.raises(DatasetError, match=r"shd_test\.h5: cannot be read"):
        SHD(tmp_path, train=False)
    heidelberg_file(tmp_path / "shd_train.h5", n_classes=30, n=25)
    with pytest.raises(DatasetError, match=r"shd_train\.h5: targets: expected 0 to 19, got 20"):
        SHD(tmp_path)


def test_heidelberg_archives_are_downloaded_and_unpacked(tmp_path, monkeypatch):
    samples, _ = heidelberg_file(tmp_path / "made.h5")
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as archive:
        archive.write(tmp_path / "made.h5", "shd_train.h5")
    content = (tmp_path / "made.zip").read_bytes()
    monkeypatch.setitem(spikes_module._MD5, "shd_train", hashlib.md5(content).hexdigest())
    with serving(content) as site:
        monkeypatch.setattr(spikes_module, "_URL", f"{site.url}/")
        for _ in range(2):
            assert len(SHD(tmp_path / "data")) == len(samples)
        assert site.asked == [None]
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["shd_train.h5"]


def test_spoken_digits(tmp_path):
    arrays = spoken_file(tmp_path / "fsdd_spikes.npz")
    dataset = SpokenDigits(tmp_path, train=False)
    first = slice(0, int(arrays["test_offsets"][1]))
    expected = np.zeros((100, 700))
    expected[arrays["test_times"][first] // 14, arrays["test_units"][first]] = 1
    np.testing.assert_array_equal(dataset[0][0], expected)
    with pytest.raises(DatasetError, match=r"no fsdd_spikes\.npz in NEUROTORCH_DATA, which is not set"):
        SpokenDigits()
    np.savez(tmp_path / "fsdd_spikes.npz", n_units=700)
    with pytest.raises(DatasetError, match=r"fsdd_spikes\.npz cannot be read"):
        SpokenDigits(tmp_path)


class Numbers:
    """Samples that are their own numbers."""

    def __init__(self, n):
        self.n = n

    def batch(self, indices):
        return torch.tensor(indices), torch.tensor(indices) % 3

    def __len__(self):
        return self.n


def seen(loader):
    return [x.tolist() for x, _ in loader]


def flat(loader):
    return list(itertools.chain.from_iterable(seen(loader)))


def test_split_and_order_follow_the_seed():
    loaders = get_dataloaders(Numbers(50), Numbers(7), batch_size=8, val_ratio=0.2, seed=3)
    train, val, test = (flat(loader) for loader in loaders)
    assert sorted(train + val) == list(range(50))
    assert (len(val), val, test) == (10, sorted(val), list(range(7)))
    assert train != sorted(train)
    assert [len(x) for x in seen(loaders.train)] == [8] * 5
    again = get_dataloaders(Numbers(50), batch_size=8, val_ratio=0.2, seed=3)
    assert flat(again.train) == train
    assert flat(again.train) != train  # another order in the second pass
    assert again.test is None
    other = get_dataloaders(Numbers(50), batch_size=8, val_ratio=0.2, seed=4)
    assert flat(other.val) != val
    assert get_dataloaders(Numbers(50)).val is None
    assert len(seen(get_dataloaders(Numbers(50), batch_size=8, drop_last=True).train)) == 6


def test_order_does_not_touch_the_global_generator():
    torch.manual_seed(5)
    for loader in get_dataloaders(Numbers(20), Numbers(5), batch_size=4, val_ratio=0.2):
        seen(loader)
    after = torch.rand(1)
    torch.manual_seed(5)
    assert after == torch.rand(1)


def test_position_of_the_order_can_be_kept():
    """What CheckpointManager does with the loader's generator."""
    loader = get_dataloaders(Numbers(50), batch_size=8).train
    seen(loader)
    position = loader.generator.get_state()
    second = seen(loader)
    loader.generator.set_state(position)
    assert seen(loader) == second


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"val_ratio": 1.0}, "val_ratio"),
        ({"val_ratio": 0.01}, "val_ratio: 0.01 of 10 samples"),
        ({"batch_size": 11, "drop_last": True}, "batch_size: 11 with drop_last"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        get_dataloaders(Numbers(10), **arguments)


def test_published_images(data_folder):
    mnist, fashion = MNIST(), FashionMNIST(train=False)
    assert mnist.targets.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert fashion.targets.bincount().tolist() == [1000] * 10
    x, _ = mnist.batch(range(0, 60_000, 60))
    assert abs(x.mean().item() - 0.1307) < 0.01


def test_published_spoken_digits(data_folder):
    train, test = SpokenDigits(), SpokenDigits(train=False)
    assert train.targets.bincount().tolist() == [120] * 10
    assert test.targets.bincount().tolist() == [30] * 10
    counts = SpokenDigits(train=False, bins=EventBins(1, 3.0, binary=False, pool=700))
    assert counts.batch(range(300))[0].to_dense().sum() == 1_219_433


def test_published_rat(data_folder):
    times, units = load_rat_linear_track()
    assert len(times) == len(units) == 28829
    assert (np.diff(times) >= 0).all()
    assert set(units.tolist()) == set(range(31))
