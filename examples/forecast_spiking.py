"""A spiking network learns a recording in closed loop, and forecasts frames that it has not seen.

    python examples/forecast_spiking.py
    python examples/forecast_spiking.py --recording zebrafish-darkflash --iterations 2000

Spiking neurons under Dale's law, as many as recorded units, whose filtered spikes a linear readout turns into
the next frame. In training part of the true frame is mixed into the feedback, less and less (teacher forcing);
every fourth iteration a free run is scored, and the weights of the best one are kept. The last fifth of the
frames is held out. `neurotorch fit` does the same for files of your own, resumably; this is what is inside.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

import neurotorch as nt
from neurotorch.callbacks import BaseCallback, TeacherForcing
from neurotorch.datasets import load_recording, preprocess
from neurotorch.fitting import free_run
from neurotorch.metrics import PVarianceLoss, pvar_global
from neurotorch.visualisation import Visualise


class BestFreeRun(BaseCallback):
    """Scores the network on its own, without a teacher, and remembers the best weights."""

    def __init__(self, data: np.ndarray, every: int = 4):
        super().__init__(save_state=False)
        self.data, self.every, self.best, self.weights = data, every, -np.inf, None

    def on_iteration_end(self, trainer, **kwargs):
        if trainer.state.iteration % self.every == 0:
            pvar = pvar_global(free_run(trainer.model, self.data[0], len(self.data)), self.data)
            if pvar > self.best:
                self.best = pvar
                self.weights = {name: value.clone() for name, value in trainer.model.state_dict().items()}

    def on_pbar_update(self, trainer, **kwargs):
        return {"best_free_run": f"{self.best:.3f}"}


def main(argv: list[str] | None = None) -> float:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recording", default="demo", help="demo, zebrafish-darkflash, or a file [time, units]")
    parser.add_argument("--iterations", type=int, default=800)
    parser.add_argument("--out", type=Path, default=Path("runs/spiking"))
    parser.add_argument("--tiny", action="store_true", help="a few units and iterations, to see that it runs")
    args = parser.parse_args(argv)
    nt.set_seed(0)

    recording = load_recording(args.recording)
    activity = recording.activity[:60, :12] if args.tiny else recording.activity
    iterations = 5 if args.tiny else args.iterations
    train_frames = round(0.8 * len(activity))
    data = preprocess(
        activity, sigma=recording.sigma, train_frames=train_frames
    )  # [T, N], scaled by what training sees
    frames, units = data.shape

    hidden = nt.SpyLIFLayerLPF(
        units, units, dt=0.02, tau_syn=0.1, tau_mem=0.2, gamma=10.0,
        force_dale_law=True, use_recurrent_connection=False, hh_init="inputs", hh_init_seed=0,
    )  # fmt: skip
    readout = nt.Linear(units, units, use_bias=False, activation="sigmoid")
    model = nt.SequentialRNN([hidden, readout], foresight_time_steps=train_frames - 1, hh_memory_size=1).build()
    x, y = torch.from_numpy(data[:1])[None], torch.from_numpy(data[1:train_frames])[None]
    print(model.plan(x))

    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
    rule = nt.BPTT(
        params=list(model.parameters()),
        optimizer=optimizer,
        lr_scheduler=torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, iterations),
        criterion=PVarianceLoss(negative=True),
        grad_norm_clip_value=1.0,
    )
    best = BestFreeRun(data[:train_frames])
    teacher = TeacherForcing(1.0, 0.2, n_iterations=max(1, round(0.9 * iterations)))
    trainer = nt.Trainer(model, predict_method="get_prediction_trace", callbacks=[rule, teacher, best])
    trainer.train([(x, y)], n_iterations=iterations)

    model.load_state_dict(best.weights)
    prediction = free_run(model, data[0], frames)  # goes on into the frames that were held out
    learned = pvar_global(prediction[:train_frames], data[:train_frames])
    held_out = [
        pvar_global(prediction[train_frames : train_frames + k], data[train_frames : train_frames + k]) for k in (5, 10)
    ]
    print(f"{units} units; {train_frames} frames learned, pVar {learned:.3f} in free run from the first")
    print(f"forecast of the next 5 frames: pVar {held_out[0]:.3f}, of the next 10: {held_out[1]:.3f}")

    traces = ["error_quad", "most_var", "typical_0", "worst"]
    fig, axes = Visualise(prediction).plot_timeseries_comparison(
        data, title="All frames", desc="Free run", traces_to_show=traces
    )
    for panel in axes:
        panel.axvline(train_frames - 0.5, color="black", linestyle="--", linewidth=1)  # training ends
    args.out.mkdir(parents=True, exist_ok=True)
    fig.savefig(args.out / "forecast.png", dpi=120)
    print(f"figure in {args.out}")
    return learned


if __name__ == "__main__":
    main()
