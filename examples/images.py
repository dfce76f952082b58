"""Spiking networks classify images: handwritten digits, or clothing.

    NEUROTORCH_DATA=folder python examples/images.py            # MNIST; downloaded where it is not in the folder
    python examples/images.py --data fashion-mnist --epochs 10
    python examples/images.py --data synthetic                  # ten blurred patterns, nothing to download

Every pixel is a constant current for 16 steps into a layer of spiking neurons; the class is the readout neuron
whose voltage rises highest. Backpropagation through time with a surrogate gradient trains both layers.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.utils.data import TensorDataset

import neurotorch as nt
from neurotorch.datasets import MNIST, DatasetError, FashionMNIST, get_dataloaders
from neurotorch.metrics import ClassificationMetrics
from neurotorch.transforms import ConstantValuesTransform


class Patterns(TensorDataset):
    """Ten random patterns, blurred by noise: data that are always there."""

    def __init__(self, n: int, train: bool, pixels: int = 784):
        patterns = torch.rand(10, pixels, generator=torch.Generator().manual_seed(0))
        generator = torch.Generator().manual_seed(1 + train)
        y = torch.randint(10, (n,), generator=generator)
        x = (patterns[y] + 1.5 * torch.randn(n, pixels, generator=generator)).clamp(0, 1)
        super().__init__(x, y)
        self.classes = tuple("0123456789")

    def batch(self, indices):
        return self[torch.as_tensor(indices)]


def load(name: str, tiny: bool):
    """The name of the data, training and test set; the synthetic ones where the real ones cannot be had."""
    if name != "synthetic":
        kind = {"mnist": MNIST, "fashion-mnist": FashionMNIST}[name]
        try:
            return name, *(kind(train=train, transform=torch.flatten) for train in (True, False))
        except DatasetError as error:
            print(f"{error}\nsynthetic patterns instead")
    return "synthetic", Patterns(200 if tiny else 4000, True), Patterns(100 if tiny else 1000, False)


def main(argv: list[str] | None = None) -> float:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=["mnist", "fashion-mnist", "synthetic"], default="mnist")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--hidden", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("runs/images"))
    parser.add_argument("--tiny", action="store_true", help="synthetic data, few steps, to see that it runs")
    args = parser.parse_args(argv)
    if args.tiny:
        args.data, args.epochs, args.steps, args.hidden = "synthetic", 2, 4, 20
    nt.set_seed(0)

    name, train, test = load(args.data, args.tiny)
    loaders = get_dataloaders(train, test, batch_size=128, val_ratio=0.05)
    hidden = nt.LIFLayer(784, args.hidden, use_recurrent_connection=False, gamma=10.0)
    model = nt.SequentialRNN(
        [hidden, nt.SpyLILayer(args.hidden, 10)],
        input_transform=[ConstantValuesTransform(n_steps=args.steps)],  # [B, 784] -> [B, T, 784]
        hh_memory_size=1,
    ).build()
    trainer = nt.ClassificationTrainer(model, callbacks=[nt.BPTT(params_lr=2e-3, grad_norm_clip_value=1.0)])
    history = trainer.train(loaders.train, loaders.val, n_iterations=args.epochs, exec_metrics_on_train=False)

    scores = ClassificationMetrics(model)(loaders.test)
    print(f"{name}, {len(train)} images, {args.epochs} epochs, {args.steps} steps, {args.hidden} spiking neurons")
    print(f"accuracy: {history['val_accuracy'][-1]:.4f} validation, {scores['accuracy']:.4f} test")

    model.eval()
    x, y = test.batch(range(min(500, len(test))))
    with torch.no_grad():
        guess = model.get_prediction_trace(x).amax(dim=1).argmax(dim=-1)
    shown = torch.cat([torch.nonzero(guess == y)[:8, 0], torch.nonzero(guess != y)[:8, 0]])
    fig, axes = plt.subplots(2, 8, figsize=(12, 3.6), layout="constrained")
    for panel in axes.ravel():
        panel.axis("off")
    for panel, k in zip(axes.ravel(), shown):  # eight that are right, and eight that are wrong
        panel.imshow(np.asarray(x[k]).reshape(28, 28), cmap="gray_r")
        said, true = train.classes[guess[k]], train.classes[y[k]]
        title = said if said == true else f"{true} taken for {said}"
        panel.set_title(title, color="black" if said == true else "#d95f02", fontsize=10)
    args.out.mkdir(parents=True, exist_ok=True)
    fig.savefig(args.out / "images.png", dpi=120)
    plt.close(fig)
    print(f"figure in {args.out}")
    return scores["accuracy"]


if __name__ == "__main__":
    main()
