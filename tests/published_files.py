"""Small files in the formats of published data sets, whose classes can be told apart."""

import gzip
import hashlib

import h5py
import numpy as np

from neurotorch.datasets import MNIST, FashionMNIST
from neurotorch.datasets.images import _FILES, _as_idx


def image_file(monkeypatch, train=40, test=12):
    """Arrays of images, class c bright in rows 2 c and 2 c + 1, that count as the published ones.

    Returns the arrays by their names in ``.npz`` files, and the files ``.gz`` by split and part.
    """
    generator = np.random.default_rng(0)
    arrays = {}
    for split, n in (("train", train), ("test", test)):
        classes = np.arange(n) % 10
        images = generator.integers(0, 100, (n, 28, 28), dtype=np.uint8)
        for image, c in zip(images, classes, strict=True):
            image[2 * c : 2 * c + 2] += 150
        arrays[f"x_{split}"], arrays[f"y_{split}"] = images, classes.astype(np.uint8)
    packed = {(s, p): gzip.compress(_as_idx(arrays[f"{p}_{s}"])) for s, p in _FILES}
    for kind in (MNIST, FashionMNIST):
        digests = {key: hashlib.sha256(gzip.decompress(content)).hexdigest() for key, content in packed.items()}
        monkeypatch.setattr(kind, "sha256", digests)
        monkeypatch.setattr(kind, "md5", {key: hashlib.md5(content).hexdigest() for key, content in packed.items()})
    return arrays, packed


def heidelberg_file(path, n=6, n_classes=20):
    """A file of the Heidelberg format, arrays of arrays with times as float16; returns its samples and labels."""
    generator = np.random.default_rng(1)
    samples = []
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", (n,), dtype=h5py.vlen_dtype(np.float16))
        units = file.create_dataset("spikes/units", (n,), dtype=h5py.vlen_dtype(np.uint16))
        for i in range(n):
            count = 0 if i == 2 else int(generator.integers(20, 60))
            times[i] = np.sort(generator.uniform(0, 1.2, count)).astype(np.float16)
            units[i] = (33 * (i % n_classes) % 667 + generator.integers(0, 33, count)).astype(np.uint16)
            samples.append((times[i], units[i]))
        labels = np.arange(n) % n_classes
        file["labels"] = labels.astype(np.uint16)
        file["extra/speaker"] = np.arange(n, dtype=np.uint16)
    return samples, labels


def spoken_file(path, n=4):
    """A file of spoken digits, class c in channels 70 c to 70 c + 69; returns its arrays."""
    generator = np.random.default_rng(2)
    arrays = {"n_units": np.array(700), "time_step_s": np.array(0.0005), "speaker_names": np.array(["a", "b"])}
    for split in ("train", "test"):
        counts = generator.integers(300, 600, n)
        arrays[f"{split}_times"] = generator.integers(0, 1300, counts.sum()).astype(np.uint16)
        classes = np.repeat(np.arange(n) % 10, counts)
        arrays[f"{split}_units"] = (70 * classes + generator.integers(0, 70, counts.sum())).astype(np.uint16)
        arrays[f"{split}_offsets"] = np.concatenate([[0], np.cumsum(counts)])
        arrays[f"{split}_labels"] = (np.arange(n) % 10).astype(np.uint8)
        for name in ("speakers", "recordings", "durations"):
            arrays[f"{split}_{name}"] = np.zeros(n)
    np.savez(path, **arrays)
    return arrays
