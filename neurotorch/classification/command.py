"""The subcommand ``neurotorch classify``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_classify_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``neurotorch classify``."""
    from neurotorch.classification.encoders import ENCODERS
    from neurotorch.classification.learning import LEARNING
    from neurotorch.classification.settings import ALIASES, MODELS
    from neurotorch.classification.tasks import TASKS

    parser = commands.add_parser(
        "classify",
        help="train a spiking network to classify images or spikes",
        description="Trains a layer of spiking neurons and a readout on a data set, tests it, and writes checkpoints, "
        "metrics.json, predictions.npz and report.png into a folder. The same command goes on with an interrupted run. "
        "What is not given is the recipe of the data set.",
    )

    def model(name: str) -> str:
        return ALIASES.get(name, name)

    add = parser.add_argument
    add("task", metavar="DATASET", choices=list(TASKS), help=f"one of: {', '.join(TASKS)}")
    add("--model", type=model, choices=list(MODELS), help="hidden neurons: %(choices)s", metavar="MODEL")
    add("--hidden", type=_positive, metavar="N", help="number of hidden neurons")
    add("--n-steps", type=_positive, metavar="T", help="number of time steps")
    add("--encoder", choices=list(ENCODERS), help="how images become sequences (constant)")
    add("--epochs", "--iterations", type=_positive, metavar="N", help="passes over the training set")
    add("--batch-size", type=_positive, metavar="B", help="samples per gradient step")
    add("--learning", choices=list(LEARNING), default="bptt", help="learning rule (bptt)")
    add("--learning-rate", type=float, metavar="LR", help="first learning rate of AdamW, which falls to 0")
    add(
        "--dale", action=argparse.BooleanOptionalAction, default=False, help="one sign per presynaptic unit (--no-dale)"
    )
    add("--seed", type=int, default=0, help="seed of split, order and weights (0)")
    add("--threads", type=_positive, metavar="N", help="threads to compute with; by default those of torch")
    add("--output-dir", "--out", type=Path, metavar="DIR", help="folder to write to (runs/DATASET)")
    add(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="go on with a run in the folder (--resume); --no-resume starts over",
    )
    parser.set_defaults(run=_run_classify)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {number}")
    return number


def _say(line: str) -> None:
    print(line, flush=True)


def _run_classify(parsed: argparse.Namespace) -> int:
    import torch

    from neurotorch.classification.classify import ClassificationInterrupted, classify
    from neurotorch.classification.settings import ClassifySettings

    try:
        names = ("model", "hidden", "n_steps", "encoder", "epochs", "batch_size", "learning_rate")
        given = {name: value for name in names if (value := getattr(parsed, name)) is not None}
        settings = ClassifySettings(parsed.task, learning=parsed.learning, dale=parsed.dale, seed=parsed.seed, **given)
        if parsed.threads is not None:
            torch.set_num_threads(parsed.threads)
        out = parsed.output_dir or Path("runs") / settings.task
        law = "Dale's law" if settings.dale else "free signs"
        _say(
            f"{settings.task}: {settings.hidden} {settings.model} neurons with {law}, {settings.n_steps} steps"
            f"{f', {settings.encoder} encoder' if settings.encoder else ''}, by {settings.learning}, "
            f"{settings.epochs} epochs of batches of {settings.batch_size}, seed {settings.seed}; writing to {out}"
        )
        found = classify(settings, out, resume=parsed.resume, bar=sys.stderr.isatty(), say=_say)
    except ClassificationInterrupted as stop:
        print(f"{stop}\nthe same command goes on from there", file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        print(f"neurotorch classify: {error}", file=sys.stderr)
        return 2
    _say(
        f"test accuracy {found['accuracy']:.4f} on {found['test_samples']} samples (precision "
        f"{found['precision']:.4f}, recall {found['recall']:.4f}, F1 {found['f1']:.4f}; chance "
        f"{1 / found['classes']:.2f})"
    )
    _say(f"{found['seconds']:.0f} s of training; {out}/: checkpoints, metrics.json, predictions.npz, report.png")
    return 0
