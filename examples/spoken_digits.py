"""A recurrent spiking network hears digits: the spikes of 700 cochlear channels, ten classes.

    NEUROTORCH_DATA=folder python examples/spoken_digits.py     # with fsdd_spikes.npz in the folder
    python examples/spoken_digits.py --synthetic                # spikes of random rates, nothing to download

Spikes of 20 neighbouring channels are counted in steps of 10 ms. One layer of recurrent neurons whose
thresholds adapt (SpyALIF), and a readout without spikes, one neuron for each class; the highest mean voltage is
the answer. Backpropagation through time trains both, on variants that are sooner or later, higher or
lower. `neurotorch.datasets.SHD` is read the same way.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

import neurotorch as nt
from neurotorch.classification.augmentation import Shifts
from neurotorch.datasets import DatasetError, EventBins, SpokenDigits, StoredEvents, get_dataloaders
from neurotorch.metrics import ClassificationMetrics


def synthetic(n: int, bins: EventBins, train: bool, units: int = 700, classes: int = 10) -> StoredEvents:
    """Every class has its own sweep of activity over the units; spikes are random."""
    generator = np.random.default_rng(int(train))
    labels = generator.integers(classes, size=n)
    times, places, ends = [], [], [0]
    for label in labels:
        t = generator.random(400) * bins.n_steps * bins.dt
        centre = units * (0.1 * label + 0.5 * np.sin(2 * np.pi * t * (1 + label % 3) / (bins.n_steps * bins.dt)))
        unit = np.mod(centre + 40 * generator.normal(size=len(t)), units).astype(int)
        order = np.argsort(t)
        times.append(t[order])
        places.append(unit[order])
        ends.append(ends[-1] + len(t))
    return StoredEvents(
        np.concatenate(times), np.concatenate(places), ends, labels, units, bins, "0123456789"[:classes]
    )


class Compressed(torch.nn.Module):
    """Square roots of counts: loud channels count for less."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 0.1 * x.sqrt()


def mean_over_time(x: torch.Tensor) -> torch.Tensor:
    return x.mean(dim=1, keepdim=True)


def main(argv: list[str] | None = None) -> float:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--synthetic", action="store_true")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--out", type=Path, default=Path("runs/spoken_digits"))
    parser.add_argument("--tiny", action="store_true", help="synthetic data, few neurons, to see that it runs")
    args = parser.parse_args(argv)
    bins = EventBins(n_steps=70, dt=0.01, binary=False, pool=20)  # the first 0.7 s
    if args.tiny:
        args.synthetic, args.epochs, args.hidden = True, 2, 20
        bins = EventBins(n_steps=10, dt=0.07, binary=False, pool=20)
    nt.set_seed(0)

    if not args.synthetic:
        try:
            train, test = SpokenDigits(train=True, bins=bins), SpokenDigits(train=False, bins=bins)
        except DatasetError as error:
            print(f"{error}\nsynthetic spikes instead")
            args.synthetic = True
    if args.synthetic:
        train, test = (
            synthetic(200 if args.tiny else 1000, bins, True),
            synthetic(100 if args.tiny else 300, bins, False),
        )
    loaders = get_dataloaders(train, test, batch_size=64, val_ratio=0.05)  # sparse batches [B, T, units]

    hidden = nt.SpyALIFLayer(train.n_inputs, args.hidden, tau_mem=0.02, use_recurrent_connection=True, gamma=10.0)
    model = nt.SequentialRNN(
        [hidden, nt.SpyLILayer(args.hidden, 10, tau_mem=0.02)],
        input_transform=torch.nn.Sequential(Compressed(), Shifts(1, 3)),
        output_transform=[mean_over_time],
        hh_memory_size=1,
    ).build()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs)
    rule = nt.BPTT(optimizer=optimizer, lr_scheduler=schedule, grad_norm_clip_value=1.0)
    manager = nt.CheckpointManager(args.out / "checkpoints", metric="val_loss", save_best_only=True)
    trainer = nt.ClassificationTrainer(model, callbacks=[rule, manager])
    trainer.train(
        loaders.train, loaders.val, n_iterations=args.epochs, exec_metrics_on_train=False, force_overwrite=True
    )
    model.load_checkpoint(manager.checkpoints_meta_path, "best_itr", verbose=False)

    scores = ClassificationMetrics(model)(loaders.test)
    print(f"{train}\n{args.epochs} epochs, {args.hidden} recurrent spiking neurons")
    print(f"test: accuracy {scores['accuracy']:.3f}, f1 {scores['f1']:.3f}")

    model.eval()
    x, label = test[0]
    with torch.no_grad():
        spikes, _ = hidden(Compressed()(x[None]))
        voltages, _ = model.get_layer("output_0")(spikes)
    seconds = np.arange(bins.n_steps) * bins.dt
    fig, panels = plt.subplots(3, 1, figsize=(9, 7), layout="constrained", sharex=True)
    for panel, raster, name in ((panels[0], x, "Channels, by 20"), (panels[1], spikes[0], "Hidden neuron")):
        step, unit = torch.nonzero(raster, as_tuple=True)
        panel.scatter(seconds[step], unit, s=6, color="black", linewidths=0)
        panel.set_ylabel(name)
    answer = int(voltages[0].mean(dim=0).argmax())
    for k, voltage in enumerate(voltages[0].T):
        look = {"color": "#8a8a8a", "linewidth": 1}
        if k in (label, answer):
            name = "spoken" if k == label else "answer"
            look = {
                "color": "#d95f02" if k == label else "#1f5fa8",
                "linewidth": 2.5,
                "label": f"{test.classes[k]} ({name})",
            }
        panels[2].plot(seconds, voltage, **look)
    panels[2].set(xlabel="Time [s]", ylabel="Readout voltage [-]")
    panels[2].legend(frameon=False)
    fig.savefig(args.out / "digit.png", dpi=120)
    plt.close(fig)
    print(f"figure in {args.out}")
    return scores["accuracy"]


if __name__ == "__main__":
    main()
