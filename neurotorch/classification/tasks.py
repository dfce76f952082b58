"""What can be classified, and the recipe of each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from neurotorch.datasets import MNIST, SHD, EventBins, EventDataset, FashionMNIST, ImageDataset, SpokenDigits

Pair = tuple[Any, Any]


@dataclass(frozen=True)
class Task:
    """A data set, and how networks are trained on it where nothing else is asked for.

    Attributes
    ----------
    load : callable
        Makes training and test set for a number of steps.
    model : str
        A key of :data:`neurotorch.classification.MODELS`.
    hidden, n_steps, epochs, batch_size : int
    learning_rate : float
        First learning rate of AdamW; it falls to 0 along half a cosine.
    weight_decay : float
    input_scale : float
        Times the inputs.
    shifts : tuple of int
        Largest shifts of a sample in training, in inputs and in steps.
    val_ratio : float
        Share of the training set that is not trained on but shows in the learning curve.
    recurrent : bool
        Connections within the hidden layer.
    readout : {"max", "mean"}
        What of the output voltages over time decides.
    images : bool
        Whether inputs are images, which need an encoder.
    slow : float
        Times the membrane time constants of hidden layer and readout, which are 10 steps.
    clip : float
        Largest norm of the gradients.
    """

    load: Callable[[int], Pair]
    model: str = "lif"
    hidden: int = 256
    n_steps: int = 16
    epochs: int = 8
    batch_size: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    input_scale: float = 0.3
    shifts: tuple[int, int] = (0, 0)
    val_ratio: float = 0.02
    recurrent: bool = False
    readout: str = "max"
    images: bool = True
    slow: float = 1.0
    clip: float = 1.0


def _images(kind: type[ImageDataset]) -> Callable[[int], Pair]:
    return lambda n_steps: (kind(train=True), kind(train=False))


def _spoken(n_steps: int) -> Pair:
    """Counts of 20 neighbouring channels in steps that fill 0.7 s, which 19 of 20 samples do not exceed."""
    bins = EventBins(n_steps, 0.7 / n_steps, binary=False, pool=20)
    return SpokenDigits(train=True, bins=bins), SpokenDigits(train=False, bins=bins)


def _shd(n_steps: int) -> Pair:
    """Counts of 10 neighbouring channels in steps that fill 1.4 s."""
    bins = EventBins(n_steps, 1.4 / n_steps, binary=False, pool=10)
    return SHD(train=True, bins=bins), SHD(train=False, bins=bins)


def _words(load: Callable[[int], Pair], **recipe: Any) -> Task:
    return Task(
        load,
        model="spy-alif",
        input_scale=0.1,
        recurrent=True,
        readout="mean",
        images=False,
        slow=2.0,
        **recipe,
    )


TASKS: dict[str, Task] = {
    "mnist": Task(_images(MNIST)),
    "fashion-mnist": Task(_images(FashionMNIST)),
    "spoken-digits": _words(_spoken, hidden=512, n_steps=70, epochs=60, batch_size=64, shifts=(1, 3), val_ratio=0.05),
    # That of spoken digits, on twice the channels.
    "shd": _words(_shd, hidden=512, n_steps=100, epochs=40, batch_size=128, shifts=(2, 3), val_ratio=0.02),
}


def digest(train: Any, test: Any) -> str:
    """SHA-256 of what training and test see, apart from the split."""
    found = hashlib.sha256()
    for part in (train, test):
        found.update(part.targets.numpy().tobytes())
        if isinstance(part, ImageDataset):
            found.update(part.images.numpy().tobytes())
        elif isinstance(part, EventDataset):
            for i in range(len(part)):
                for array in part.binned(i):
                    found.update(array.tobytes())
    return found.hexdigest()
