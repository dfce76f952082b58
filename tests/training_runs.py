"""Recorded training runs of NeuroTorch: their models, and a callback that records the same of ours."""

import json

import numpy as np
import torch
from helpers import GOLDEN
from torch.utils.data import DataLoader, TensorDataset

from neurotorch import SequentialRNN, Trainer
from neurotorch.callbacks import BaseCallback
from neurotorch.modules import layers as layer_classes


def load(case):
    """Arrays and description of a recorded run."""
    with np.load(GOLDEN / "learning" / f"{case}.npz", allow_pickle=False) as file:
        archive = {key: file[key] for key in file.files}
    return archive, json.loads(str(archive.pop("meta")))


def recorded_model(archive, meta):
    """The model of a recorded run with its first parameters."""
    made = []
    for spec in meta["layers"]:
        is_readout = spec is meta["layers"][-1] and len(meta["layers"]) > 1
        own = {} if is_readout else dict(meta.get("layer_kwargs", {"use_bias": False}))
        if meta["trainable"].get(f"input_layers.{spec['name']}.beta"):
            own["learn_beta"] = True  # left out of the recorded arguments
        made.append(getattr(layer_classes, spec["cls"])(spec["n_in"], spec["n_out"], name=spec["name"], **own))
    model = SequentialRNN(
        [{layer.name: layer} for layer in made],
        foresight_time_steps=meta["foresight_time_steps"],
        device="cpu",
    ).build()
    first = {k.removeprefix("init/"): torch.from_numpy(v) for k, v in archive.items() if k.startswith("init/")}
    model.load_state_dict(first)
    return model


def optimizer_arguments(meta):
    """Class and arguments of the optimiser of a recorded run."""
    group = meta["optimizer"]["groups"][0]
    arguments = {name: group[name] for name in ("lr", "weight_decay", "momentum") if name in group}
    return getattr(torch.optim, meta["optimizer"]["cls"]), arguments


class Record(BaseCallback):
    """Gradients before and parameters after every step of an optimiser, predictions and losses."""

    def __init__(self, algorithm):
        super().__init__(priority=60, save_state=False)
        self.algorithm = algorithm
        self.grads, self.predictions, self.losses, self.after = [], [], [], []

    def start(self, trainer, **kwargs):
        super().start(trainer, **kwargs)
        optimizer, named = self.algorithm.optimizer, dict(trainer.model.named_parameters())

        def before(*_):
            self.grads.append({name: p.grad.clone() for name, p in named.items() if p.grad is not None})

        def after(*_):
            self.after.append({name: p.detach().clone() for name, p in named.items()})

        optimizer.register_step_pre_hook(before)
        optimizer.register_step_post_hook(after)

    def on_optimization_begin(self, trainer, **kwargs):
        self.predictions.append(kwargs["pred"].detach().clone())

    def on_iteration_end(self, trainer, **kwargs):
        self.losses.append(trainer.state.train_loss)


class Drift(Record):
    """Gives frozen parameters after every step the recorded values, which NeuroTorch lets decay."""

    def __init__(self, algorithm, archive):
        super().__init__(algorithm)
        self.archive = archive

    def start(self, trainer, **kwargs):
        def decay(*_):
            step = len(self.after) - 1
            for name, p in trainer.model.named_parameters():
                if not p.requires_grad and step < len(self.archive[f"after/{name}"]):
                    p.data.copy_(torch.as_tensor(self.archive[f"after/{name}"][step]))

        super().start(trainer, **kwargs)
        self.algorithm.optimizer.register_step_post_hook(decay)


def run_again(archive, meta, algorithm, *, drift=False):
    """Run a recorded training with our rule; returns its model and record."""
    model = recorded_model(archive, meta)
    record = Drift(algorithm, archive) if drift else Record(algorithm)
    x, y = torch.from_numpy(archive["x"]), torch.from_numpy(archive["y"])
    trainer = Trainer(model, predict_method="get_prediction_trace", callbacks=[algorithm, record], verbose=False)
    trainer.train(DataLoader(TensorDataset(x, y), batch_size=len(x)), n_iterations=meta["n_iterations"])
    return model, record
