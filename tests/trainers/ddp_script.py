"""A training script for torchrun: ``ddp_script.py OUT CASE``; each process writes what it found to OUT."""

import os
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from neurotorch import BPTT, TBPTT, CheckpointManager, Eprop, LoadCheckpointMode, SequentialRNN, Trainer
from neurotorch.callbacks import BaseCallback
from neurotorch.modules.layers import LILayer, SpyLIFLayer

N = 8


def data():
    generator = torch.Generator().manual_seed(5)
    x, y = torch.rand(N, 10, 4, generator=generator) * 4, torch.randn(N, 10, 3, generator=generator)
    return TensorDataset(x, y)


def make_model():
    torch.manual_seed(0)
    return SequentialRNN([SpyLIFLayer(4, 8, gamma=5.0), LILayer(8, 3)], device="cpu").build()


class StopOnOne(BaseCallback):
    """Ends training in one process only."""

    def on_iteration_end(self, trainer, **kwargs):
        if trainer.processes.rank == trainer.processes.size - 1 and trainer.state.iteration == 4:
            trainer.update_state_(stop_training_flag=True)


class Noise(BaseCallback):
    """Of each process its own, so that its generators matter."""

    def on_batch_begin(self, trainer, **kwargs):
        if trainer.state.batch_is_train:  # which the loader has made for this batch alone
            x = trainer.state.x_batch
            x += 0.1 * torch.randn_like(x)


def mean_of_targets(loader):
    return {"mean": float(torch.cat([y for _, y in loader]).mean())}


def run(given, loader, val, folder, n_iterations, rule="bptt", noise=False, **options):
    model = given.module if isinstance(given, DistributedDataParallel) else given
    if rule == "bptt":
        sgd = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        algorithm = BPTT(optimizer=sgd, grad_norm_clip_value=0.5, **options)
    else:
        algorithm = TBPTT(backward_time_steps=5, optim_time_steps=10, params_lr=1e-2)
    manager = CheckpointManager(folder, metric="val_loss")
    callbacks = [algorithm, manager, StopOnOne(), *([Noise()] if noise else [])]
    trainer = Trainer(
        given,
        predict_method="get_prediction_trace",
        callbacks=callbacks,
        metrics=[mean_of_targets],
        verbose=False,
    )
    trainer.train(loader, val, n_iterations=n_iterations)
    return {"weights": model.state_dict(), "history": dict(trainer.training_history.items())}


def shares(rank, size, batch):
    """The batches of this process: those of one process with `size` times the batch, cut in pieces."""
    x, y = data().tensors
    return [
        (x[start + rank * batch : start + (rank + 1) * batch], y[start + rank * batch : start + (rank + 1) * batch])
        for start in range(0, N, size * batch)
    ]


def main():
    out, case = Path(sys.argv[1]), sys.argv[2]
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank, size = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(rank)
    found = {}
    if case == "all":
        for rule, options in (("bptt", {}), ("bptt", {"accumulate_grad_batches": 2}), ("tbptt", {})):
            name = rule + "".join(options)
            model = DistributedDataParallel(make_model())
            found[name] = run(model, shares(rank, size, 2), shares(rank, size, 4), out / name, 9, rule, **options)
        for parts in ((4,), (2, 4)):
            for n_iterations in parts:
                torch.manual_seed(100 * n_iterations + rank)
                model = DistributedDataParallel(make_model())
                torch.manual_seed(rank if n_iterations == parts[0] else 77)
                sampler = DistributedSampler(data(), shuffle=True)
                loader = DataLoader(data(), batch_size=2, sampler=sampler)
                name = f"resumed{len(parts)}"
                found[name] = run(model, loader, shares(rank, size, 4), out / name, n_iterations, noise=True)
        content = CheckpointManager(out / "bptt").load_checkpoint(load_checkpoint_mode=LoadCheckpointMode.LAST_ITR)
        found["processes"] = len(content["random_state"]["processes"])
        model = DistributedDataParallel(make_model())
        for name, loader, algorithm in (
            ("uneven", shares(rank, size, 2)[: 2 - rank], BPTT()),
            ("eprop", shares(rank, size, 2), Eprop()),
        ):
            trainer = Trainer(model, predict_method="get_prediction_trace", learning_algorithm=algorithm, verbose=False)
            try:
                trainer.train(loader, n_iterations=1)
            except ValueError as error:
                found[name] = str(error)
    torch.save(found, out / f"rank{rank}.pt")
    dist.barrier()
    time.sleep(0.5)  # the other process has left the barrier too
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(0)  # threads of gloo that are torn down with the interpreter abort it now and then


if __name__ == "__main__":
    main()
