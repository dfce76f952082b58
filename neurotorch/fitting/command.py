"""The subcommands ``neurotorch fit`` and ``neurotorch predict``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from neurotorch.datasets.preprocessing import NORMALISATIONS
from neurotorch.datasets.recording import AXES, NAMES


def add_fit_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``neurotorch fit``."""
    from neurotorch.fitting.learning import LEARNING
    from neurotorch.fitting.settings import RECIPES

    parser = commands.add_parser(
        "fit",
        help="fit a network to a recording",
        description="Trains a recurrent network to reproduce a recording in free run from its first frame, and writes "
        "checkpoint, metrics.json, prediction.npz and report.png into a folder. The same command goes on with an "
        "interrupted fit.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("recording", metavar="RECORDING", help=f"a .npy, .npz or .h5 file, or one of: {', '.join(NAMES)}")
    add("--key", help="name of the array in an .npz or .h5 file; not needed where there is one 2-D array")
    add("--axes", choices=AXES, help="what the axes of the array are; guessed and printed where not given")
    add("--drop-constant", action="store_true", help="leave out units that never change")
    add("--model", choices=list(RECIPES), default="spy-lif-lpf", help="neurons of the hidden layer")
    add("--learning", choices=list(LEARNING), default="bptt", help="learning rule; rls trains the readout alone")
    add("--dale", action=argparse.BooleanOptionalAction, default=True, help="one sign per presynaptic unit")
    add("--iterations", type=int, help="passes over the recording; by default those of model and rule")
    add(
        "--sigma",
        type=float,
        help="Gaussian smoothing along time, in frames (default: what is usual for a named recording, 0 for a file)",
    )
    add("--normalise", choices=NORMALISATIONS, default="global", help="scale all activity together or unit by unit")
    add("--holdout", type=float, default=0.0, help="fraction of the last frames that training does not see")
    add("--seed", type=int, default=0, help="seed of initial weights and states")
    add("--out", type=Path, help="folder to write to (default: runs/NAME of the recording)")
    parser.set_defaults(run=_run_fit)


def add_predict_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``neurotorch predict``."""
    parser = commands.add_parser(
        "predict",
        help="regenerate the prediction of a fit",
        description="Runs the network of a fit from the first frame alone and compares with the stored prediction.",
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder that neurotorch fit wrote")
    parser.add_argument("--out", type=Path, help="write the prediction to this .npz file")
    parser.set_defaults(run=_run_predict)


def _say(line: str) -> None:
    print(line, flush=True)


def _run_fit(parsed: argparse.Namespace) -> int:
    from neurotorch.datasets import load_recording
    from neurotorch.fitting.fit import FitInterrupted, fit
    from neurotorch.fitting.settings import FitSettings

    try:
        recording = load_recording(
            parsed.recording, key=parsed.key, axes=parsed.axes, drop_constant=parsed.drop_constant
        )
        settings = FitSettings(
            model=parsed.model,
            learning=parsed.learning,
            dale=parsed.dale,
            iterations=(
                FitSettings.default_iterations(parsed.model, parsed.learning)
                if parsed.iterations is None
                else parsed.iterations
            ),
            sigma=recording.sigma if parsed.sigma is None else parsed.sigma,
            normalise=parsed.normalise,
            holdout=parsed.holdout,
            seed=parsed.seed,
        )
        out = parsed.out or Path("runs") / recording.name
        _say(recording.origin)
        law = "Dale's law" if settings.dale else "free signs"
        _say(
            f"{settings.model} with {law} by {settings.learning}, {settings.iterations} iterations, "
            f"{settings.normalise} normalisation, sigma {settings.sigma:g}, seed {settings.seed}; writing to {out}"
        )
        found = fit(recording, settings, out, bar=sys.stderr.isatty(), say=_say)
    except FitInterrupted as stop:
        print(f"{stop}\nthe same command goes on from there", file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        print(f"neurotorch fit: {error}", file=sys.stderr)
        return 2
    _say(
        f"pVar {found['pvar_global']:.4f} in free run from frame 0 (per frame {found['pvar_time_mean']:.4f} +- "
        f"{found['pvar_time_std']:.4f}, per neuron {found['pvar_neuron_mean']:.4f}, median "
        f"{found['pvar_neuron_median']:.4f})"
    )
    _say(f"the mean of each neuron explains {found['pvar_constant_mean']:.4f}; skill above it {found['skill']:.4f}")
    if found["holdout_pvar_global"] is not None:
        _say(
            f"held-out frames: pVar {found['holdout_pvar_global']:.4f} "
            f"(mean of each neuron {found['holdout_pvar_constant_mean']:.4f})"
        )
    _say(f"{found['seconds']:.0f} s of training; {out}/: checkpoint, metrics.json, prediction.npz, report.png")
    return 0


def _run_predict(parsed: argparse.Namespace) -> int:
    from neurotorch.fitting.fit import PREDICTION, predict

    try:
        prediction, difference = predict(parsed.folder, out=parsed.out)
    except (ValueError, OSError) as error:
        print(f"neurotorch predict: {error}", file=sys.stderr)
        return 2
    _say(f"{prediction.shape[1]} units x {prediction.shape[0]} frames from frame 0 alone")
    if difference is None:
        _say(f"no stored prediction to compare with; wrote {parsed.out or parsed.folder / PREDICTION}")
        return 0
    _say(
        "equal to the stored prediction"
        if difference == 0
        else f"differs from the stored prediction by up to {difference:g}"
    )
    return 0 if difference == 0 else 1
