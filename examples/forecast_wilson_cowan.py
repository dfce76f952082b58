"""A Wilson-Cowan network learns to reproduce a recording from its first frame.

    python examples/forecast_wilson_cowan.py
    python examples/forecast_wilson_cowan.py --recording zebrafish-darkflash --units 200

One layer of rate neurons, as many as recorded units, in closed loop: it sees the first frame, then its own
output. Each neuron excites or inhibits (Dale's law), and the thresholds mu, the refractory terms r and the time
constant are learned with the weights. Backpropagation through the whole run maximises the explained variance
(pVar); the learning rate falls as it rises.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

import neurotorch as nt
from neurotorch.callbacks import EarlyStoppingThreshold, LRSchedulerOnMetric
from neurotorch.datasets import load_recording, preprocess
from neurotorch.metrics import PVarianceLoss, pvar_report
from neurotorch.visualisation import Visualise


def main(argv: list[str] | None = None) -> float:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recording", default="demo", help="demo, zebrafish-darkflash, or a file [time, units]")
    parser.add_argument("--units", type=int, default=None, help="learn that many units, drawn at random")
    parser.add_argument("--iterations", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("runs/wilson_cowan"))
    parser.add_argument("--tiny", action="store_true", help="a few units and iterations, to see that it runs")
    args = parser.parse_args(argv)
    nt.set_seed(0)

    recording = load_recording(args.recording)
    data = preprocess(recording.activity, normalise="unit", sigma=recording.sigma)  # [T, N], every unit from 0 to 1
    if args.tiny:
        data, args.units, args.iterations = data[:50], 10, 5
    if args.units is not None:
        data = data[:, np.sort(np.random.choice(data.shape[1], args.units, replace=False))]
    frames, units = data.shape
    x, y = torch.from_numpy(data[:1])[None], torch.from_numpy(data[1:])[None]  # [1, 1, N], [1, T - 1, N]

    layer = nt.WilsonCowanLayer(
        units, units, dt=0.02, tau=0.1, mu=0.0, r=0.1, std_weight=0.2,
        learn_mu=True, learn_r=True, learn_tau=True,
        force_dale_law=True, hh_init="inputs", use_recurrent_connection=False,
    )  # fmt: skip
    model = nt.SequentialRNN(
        [layer], foresight_time_steps=frames - 1, out_memory_size=frames - 1, hh_memory_size=1
    ).build()
    initial = layer.forward_weights.detach().clone()

    rule = nt.BPTT(
        params=list(model.parameters()),
        optimizer=torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=1e-3),
        criterion=PVarianceLoss(negative=True),
        grad_norm_clip_value=1.0,
    )
    trainer = nt.RegressionTrainer(
        model,
        callbacks=[
            rule,
            LRSchedulerOnMetric("val_p_var", np.linspace(0.85, 1.0, 100), min_lr=[1e-3], minimize_metric=False),
            EarlyStoppingThreshold(metric="val_p_var", threshold=0.99, minimize_metric=False),
        ],
    )
    history = trainer.train([(x, y)], [(x, y)], n_iterations=args.iterations, exec_metrics_on_train=False)

    with torch.no_grad():
        prediction = np.concatenate([data[:1], model.get_prediction_trace(x)[0].numpy()])
    scores = pvar_report(prediction, data)
    print(f"{units} units, {frames} frames, {len(history)} iterations")
    print(
        f"pVar {scores['pvar_global']:.3f} in free run; the mean of each unit alone: {scores['pvar_constant_mean']:.3f}"
    )

    args.out.mkdir(parents=True, exist_ok=True)
    viz = Visualise(prediction)
    viz.plot_timeseries_comparison_report(
        data, title="Wilson-Cowan, free run", filename=args.out / "report.png", dpi=120, close=True
    )
    nt.visualisation.visualize_init_final_weights(
        initial, layer.forward_weights, args.out / "weights.png", quantile=0.99, dpi=120, close=True
    )
    print(f"figures in {args.out}")
    return scores["pvar_global"]


if __name__ == "__main__":
    main()
