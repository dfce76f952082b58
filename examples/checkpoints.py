"""Training that is interrupted goes on to the same bits; the best weights can be had back.

    python examples/checkpoints.py

A network is trained twice on random series, once in one go, and once with an interruption half way, as by
ctrl-C. A `CheckpointManager` keeps everything: weights, optimiser, history, callbacks and random generators,
also that of the loader's order. The same trainer, made again, goes on where it stopped.
"""

import argparse
import shutil
from pathlib import Path

import torch
from torch.utils.data import DataLoader, TensorDataset

import neurotorch as nt
from neurotorch.callbacks import BaseCallback


class Interrupt(BaseCallback):
    """Acts as if somebody pressed ctrl-C after an iteration."""

    def __init__(self, iteration: int):
        super().__init__(save_state=False, priority=1000)
        self.iteration = iteration

    def on_iteration_end(self, trainer, **kwargs):
        if trainer.state.iteration == self.iteration:
            raise KeyboardInterrupt


def make_trainer(folder: Path, *more: BaseCallback) -> nt.Trainer:
    """The same model, rule and checkpoints each time, as when a script starts again."""
    nt.set_seed(0)
    model = nt.SequentialRNN([nt.SpyLIFLayer(8, 32, gamma=10.0), nt.SpyLILayer(32, 2)]).build()
    manager = nt.CheckpointManager(folder, metric="train_loss", save_freq=1)
    rule = nt.BPTT(params_lr=1e-2)
    return nt.Trainer(model, predict_method="get_prediction_trace", callbacks=[rule, manager, *more], verbose=False)


def data() -> DataLoader:
    generator = torch.Generator().manual_seed(1)
    x = (torch.rand(32, 40, 8, generator=generator) < 0.3).float()
    y = torch.cumsum(x[:, :, :2], dim=1) / 20
    return DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True, generator=generator)


def main(argv: list[str] | None = None) -> float:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=30)
    parser.add_argument("--out", type=Path, default=Path("runs/checkpoints"))
    parser.add_argument("--tiny", action="store_true", help="few iterations, to see that it runs")
    args = parser.parse_args(argv)
    iterations = 6 if args.tiny else args.iterations
    shutil.rmtree(args.out, ignore_errors=True)

    whole = make_trainer(args.out / "whole")
    history = whole.train(data(), n_iterations=iterations)

    try:
        make_trainer(args.out / "pieces", Interrupt(iterations // 2)).train(data(), n_iterations=iterations)
    except KeyboardInterrupt:
        print(f"interrupted after iteration {iterations // 2}; files: {len(list((args.out / 'pieces').iterdir()))}")
    pieces = make_trainer(args.out / "pieces")
    resumed = pieces.train(data(), n_iterations=iterations)  # reads the last checkpoint first

    pairs = zip(whole.model.state_dict().values(), pieces.model.state_dict().values())
    difference = max(float((a - b).abs().max()) for a, b in pairs)
    print(f"resumed to iteration {len(resumed)}: largest difference of weights {difference}")
    print(f"same history: {history['train_loss'] == resumed['train_loss']}")

    fresh = make_trainer(args.out / "fresh").model
    checkpoint = fresh.load_checkpoint(args.out / "pieces" / "network-checkpoints.json", "best_itr", verbose=False)
    print(f"best weights: iteration {checkpoint['itr']}, train_loss {checkpoint['metrics']['train_loss']:.4f}")
    resumed.plot(args.out / "history.png", figsize=(7, 4), fontsize=11, linewidth=2, dpi=120)
    print(f"figure in {args.out}")
    return difference


if __name__ == "__main__":
    main()
