"""One recording, four learning rules: backpropagation, truncated backpropagation, e-prop and FORCE (RLS).

    python examples/learning_rules.py
    python examples/learning_rules.py --recording zebrafish-darkflash --units 200

The first three train one network of spiking neurons with a readout, in closed loop. FORCE learns the recurrent
weights of a rate network while it runs, a different network, since it needs targets for the very neurons whose
weights it changes. Each rule gets the same seconds of training, and is then scored by a free run from the first
frame.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

import neurotorch as nt
from neurotorch.callbacks import EarlyStoppingOnTimeLimit, TeacherForcing
from neurotorch.datasets import load_recording, preprocess
from neurotorch.metrics import PVarianceLoss, pvar_constant_mean, pvar_global
from neurotorch.visualisation import Visualise


def spiking_network(units: int, frames: int) -> nt.SequentialRNN:
    hidden = nt.SpyLIFLayerLPF(
        units, units, dt=0.02, tau_syn=0.1, tau_mem=0.2, gamma=10.0,
        use_recurrent_connection=False, hh_init="inputs", hh_init_seed=0,
    )  # fmt: skip
    readout = nt.Linear(units, units, use_bias=False, activation="sigmoid")
    return nt.SequentialRNN([hidden, readout], foresight_time_steps=frames - 1, hh_memory_size=1).build()


def rate_network(units: int, frames: int) -> nt.SequentialRNN:
    """``dh/dt = (-h + tanh(h) W) / tau``; it reads no input."""
    layer = nt.WilsonCowanCURBDLayer(
        units, units, dt=0.02, tau=0.1, activation="tanh", hh_init="random", use_recurrent_connection=True,
        forward_weights=torch.eye(units), recurrent_weights=torch.randn(units, units) * 1.5 / units**0.5,
    )  # fmt: skip
    return nt.SequentialRNN([layer], hh_memory_size=1).build()


def main(argv: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recording", default="demo", help="demo, zebrafish-darkflash, or a file [time, units]")
    parser.add_argument("--units", type=int, default=None, help="the first so many")
    parser.add_argument("--seconds", type=float, default=15.0, help="of training for each rule")
    parser.add_argument("--out", type=Path, default=Path("runs/learning_rules"))
    parser.add_argument("--tiny", action="store_true", help="a few units and moments, to see that it runs")
    args = parser.parse_args(argv)

    recording = load_recording(args.recording)
    activity = recording.activity[:50, :10] if args.tiny else recording.activity[:, : args.units]
    seconds = 0.2 if args.tiny else args.seconds
    data = preprocess(activity, sigma=recording.sigma)  # [T, N], from 0 to 1
    frames, units = data.shape
    closed_loop = torch.from_numpy(data[:1])[None], torch.from_numpy(data[1:])[None]
    gradient = {"params_lr": 5e-4, "criterion": PVarianceLoss(negative=True), "grad_norm_clip_value": 1.0}

    def run(name, model, rule, batch, callbacks=()):
        limit = EarlyStoppingOnTimeLimit(delta_seconds=seconds)
        trainer = nt.Trainer(
            model, predict_method="get_prediction_trace", callbacks=[rule, limit, *callbacks], verbose=False
        )
        began = time.perf_counter()
        history = trainer.train([batch], n_iterations=100_000)
        model.eval()
        with torch.no_grad():
            output = model.get_prediction_trace(batch[0])[0].numpy()
        return len(history), time.perf_counter() - began, output

    predictions, table = {}, []
    rules = {
        "BPTT": lambda: nt.BPTT(**gradient),
        "TBPTT, windows of 20": lambda: nt.TBPTT(backward_time_steps=20, **gradient),
        "e-prop": lambda: nt.Eprop(
            eligibility="published", feedback="symmetric", update="sequence", params_lr=3e-3, output_params_lr=3e-3
        ),
    }
    for name, make in rules.items():
        nt.set_seed(0)
        teacher = TeacherForcing(1.0, 0.2, n_iterations=300)
        iterations, took, output = run(name, spiking_network(units, frames), make(), closed_loop, [teacher])
        predictions[name] = np.concatenate([data[:1], output])
        table.append((name, "spiking", iterations, took))

    nt.set_seed(0)
    network = rate_network(units, frames)
    weights = network.get_layer().get_recurrent_weights_parameter()
    rule = nt.RLS(params=[weights], strategy="outputs", is_recurrent=True)
    rates = torch.from_numpy(1.6 * data - 0.8)[None]  # tanh reaches -1 and 1 at infinity only
    iterations, took, output = run("FORCE", network, rule, (torch.zeros_like(rates), rates))
    predictions["FORCE"] = (output + 0.8) / 1.6
    table.append(("FORCE", "rate", iterations, took))

    scores = {name: pvar_global(prediction, data) for name, prediction in predictions.items()}
    print(f"{units} units, {frames} frames; the mean of each unit alone explains {pvar_constant_mean(data):.3f}\n")
    print(f"{'rule':22}{'network':10}{'passes':>8}{'seconds':>9}{'pVar, free run':>16}")
    for name, network_name, iterations, took in table:
        print(f"{name:22}{network_name:10}{iterations:8}{took:9.1f}{scores[name]:16.3f}")

    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(2, 2, figsize=(12, 6), layout="constrained", sharex=True, sharey=True)
    typical = int(np.argsort(np.var(data, axis=0))[units // 2])
    for panel, (name, prediction) in zip(axes.ravel(), predictions.items()):
        viz = Visualise(prediction)
        viz.plot_single_timeseries_comparison(
            typical, panel, data[:, typical], title=f"{name}, unit {typical}", desc="Free run"
        )
    args.out.mkdir(parents=True, exist_ok=True)
    fig.savefig(args.out / "rules.png", dpi=120)
    plt.close(fig)
    print(f"\nfigure in {args.out}")
    return scores


if __name__ == "__main__":
    main()
