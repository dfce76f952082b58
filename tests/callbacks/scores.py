"""Training of a tiny model whose metric goes through given values, for tests of callbacks that look at it."""

import torch

from neurotorch import BPTT, Trainer


def make_trainer(scores, *callbacks, rates=(1e-3, 2e-3), optimizer=None):
    """A trainer of two parameter groups whose metric ``train_score`` is one of the scores per iteration."""
    model = torch.nn.Linear(2, 1)
    if optimizer is None:
        groups = [{"params": [p], "lr": rate} for p, rate in zip(model.parameters(), rates, strict=True)]
        optimizer = torch.optim.SGD(groups)
    values = iter(scores)
    return Trainer(
        model,
        callbacks=[BPTT(optimizer=optimizer), *callbacks],
        metrics=[lambda loader: {"score": next(values)}],
        verbose=False,
    )


def train(scores, *callbacks, trainer=None, n_iterations=None, **options):
    """Train for one iteration per score, or more with a trainer of before; returns the trainer."""
    trainer = make_trainer(scores, *callbacks, **options) if trainer is None else trainer
    batches = [(torch.ones(3, 2), torch.zeros(3, 1))]
    trainer.train(batches, n_iterations=len(scores) if n_iterations is None else n_iterations)
    return trainer
