"""Images with a class each: MNIST and Fashion-MNIST."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from neurotorch.datasets.files import DatasetError, fetch, find_file

Array = npt.NDArray[Any]

_FILES = {
    ("train", "x"): "train-images-idx3-ubyte.gz",
    ("train", "y"): "train-labels-idx1-ubyte.gz",
    ("test", "x"): "t10k-images-idx3-ubyte.gz",
    ("test", "y"): "t10k-labels-idx1-ubyte.gz",
}


class ImageDataset(Dataset[tuple[Any, int]]):
    """Grey images with a class each.

    ``dataset[i]`` is ``(x, y)``: an image ``[28, 28]`` of float32 between 0 and 1, through `transform`, and the class
    number. Read from ``<name>.npz`` in the folder (keys ``x_train, y_train, x_test, y_test``), otherwise downloaded
    once; either way checksums of the published arrays must agree.

    Parameters
    ----------
    root : str or Path, optional
        Folder of the data, by default the one that ``NEUROTORCH_DATA`` names, else the user's cache.
    train : bool
        The 60,000 training images, or the 10,000 of the test.
    transform : callable, optional
        Applied to every image ``[28, 28]``.
    download : bool
        Whether to download what is not there.

    Attributes
    ----------
    images : Tensor [n, 28, 28] of uint8
    targets : Tensor [n] of int64
    classes : tuple of str

    Raises
    ------
    DatasetError
        The images cannot be had, or are not the published ones.
    """

    name: ClassVar[str]
    urls: ClassVar[tuple[str, ...]]
    md5: ClassVar[dict[tuple[str, str], str]]
    sha256: ClassVar[dict[tuple[str, str], str]]
    """Of the files as they are uncompressed; the first of their names are in ``urls``, compressed with ``md5``."""
    classes: tuple[str, ...]

    def __init__(
        self,
        root: str | Path | None = None,
        *,
        train: bool = True,
        transform: Callable[[Tensor], Any] | None = None,
        download: bool = True,
    ) -> None:
        split = "train" if train else "test"
        self.transform = transform
        archive = find_file(root, f"{self.name.replace('-', '_')}.npz")
        if archive is not None:
            images, targets = (self._from_archive(archive, split, part) for part in "xy")
        elif download:
            images, targets = (self._downloaded(root, split, part) for part in "xy")
        else:
            raise DatasetError(f"{self.name}: no {self.name.replace('-', '_')}.npz there, and download is False")
        self.images = torch.from_numpy(np.ascontiguousarray(images))
        self.targets = torch.from_numpy(targets.astype(np.int64))

    def _from_archive(self, path: Path, split: str, part: str) -> Array:
        try:
            with np.load(path, allow_pickle=False) as archive:
                array = np.asarray(archive[f"{part}_{split}"])
        except Exception as error:  # whatever numpy raises on foreign or broken files
            raise DatasetError(f"{self.name}: {path} cannot be read ({type(error).__name__}: {error})") from error
        self._check(_as_idx(array), split, part, str(path))
        return array

    def _downloaded(self, root: str | Path | None, split: str, part: str) -> Array:
        file = _FILES[split, part]
        path = fetch(
            self.name,
            [url + file for url in self.urls],
            f"{self.name}-{file}",
            f"md5:{self.md5[split, part]}",
            root,
        )
        content = gzip.decompress(path.read_bytes())
        self._check(content, split, part, str(path))
        return _from_idx(content)

    def _check(self, content: bytes, split: str, part: str, source: str) -> None:
        digest = hashlib.sha256(content).hexdigest()
        if digest != self.sha256[split, part]:
            what = "images" if part == "x" else "labels"
            raise DatasetError(f"{self.name}: {source} does not hold the published {split} {what} (SHA-256 {digest})")

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Samples as ``(x, y)``: images ``[B, 28, 28]``, float32, or what the transform makes, and classes ``[B]``."""
        chosen = torch.as_tensor(indices, dtype=torch.long)
        x = self.images[chosen].float() / 255.0
        if self.transform is not None:
            x = torch.stack([torch.as_tensor(self.transform(image)) for image in x])
        return x, self.targets[chosen]

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        index = range(len(self))[index]
        x = self.images[index].float() / 255.0
        return (x if self.transform is None else self.transform(x)), int(self.targets[index])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} images, {len(self.classes)} classes)"


class MNIST(ImageDataset):
    """Handwritten digits; see :class:`ImageDataset`.

    References
    ----------
    LeCun, Bottou, Bengio & Haffner (1998), doi:10.1109/5.726791.
    """

    name = "mnist"
    urls = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )
    md5: ClassVar = {
        ("train", "x"): "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        ("train", "y"): "d53e105ee54ea40749a09fcbcd1e9432",
        ("test", "x"): "9fb629c4189551a2d022fa330f9573f3",
        ("test", "y"): "ec29112dd5afa0611ce80d1b7f02629c",
    }
    sha256: ClassVar = {
        ("train", "x"): "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ("train", "y"): "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ("test", "x"): "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ("test", "y"): "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    }
    classes = tuple("0123456789")


class FashionMNIST(ImageDataset):
    """Ten kinds of clothing; see :class:`ImageDataset`.

    References
    ----------
    Xiao, Rasul & Vollgraf (2017), arXiv:1708.07747.
    """

    name = "fashion-mnist"
    urls = (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    )
    md5: ClassVar = {
        ("train", "x"): "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        ("train", "y"): "25c81989df183df01b3e8a0aad5dffbe",
        ("test", "x"): "bef4ecab320f06d8554ea6380940ec79",
        ("test", "y"): "bb300cfdad3c16e7a12a480ee83cd310",
    }
    sha256: ClassVar = {
        ("train", "x"): "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        ("train", "y"): "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ("test", "x"): "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        ("test", "y"): "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    }
    classes = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")


def _as_idx(array: Array) -> bytes:
    """The bytes of the published format: magic number, sizes, values."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    return header + np.ascontiguousarray(array).tobytes()


def _from_idx(content: bytes) -> Array:
    sizes = [int.from_bytes(content[4 + 4 * k : 8 + 4 * k], "big") for k in range(content[3])]
    return np.array(np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * len(sizes)).reshape(sizes))
