"""E-prop on the zebrafish recording in the settings of the NeuroTorch paper (docs/results.md has the outcome).

    python benchmarks/zebrafish_eprop.py spy-lif-lpf|wilson-cowan OUT.json [--iterations 5000]

522 neurons, 620 frames, global normalisation, sigma 10, Dale's law; an update at every frame. Every five iterations a
clean closed loop from frame 0 is scored; its global pVar moves the learning rates along 100 levels from 0.4 to 1, and
above 0.98 the run ends. OUT.json is rewritten every 25 iterations.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import torch

import neurotorch as nt
from neurotorch import metrics
from neurotorch.datasets import load_zebrafish_darkflash, preprocess
from neurotorch.modules.layers import Linear, SpyLIFLayerLPF, WilsonCowanLayer

RATES, LOWEST, LEVELS, STOP = (1e-5, 2e-5), (1e-6, 2e-6), np.linspace(0.4, 1.0, 100), 0.98


def hidden_layer(model: str, n: int) -> torch.nn.Module:
    common = {"dt": 0.02, "force_dale_law": True, "hh_init": "inputs", "use_recurrent_connection": False}
    if model == "spy-lif-lpf":
        return SpyLIFLayerLPF(n, n, tau_syn=0.1, tau_mem=0.2, hh_init_seed=0, **common)
    learned = {"learn_mu": True, "learn_r": True, "learn_tau": True}
    drawn = {"mean_mu": 0.0, "std_mu": 1.0, "mean_r": 0.5, "std_r": 0.4, "std_weight": 1.0, "forward_sign": 0.5}
    return WilsonCowanLayer(n, n, tau=0.1, **learned, **drawn, **common)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=["spy-lif-lpf", "wilson-cowan"])
    parser.add_argument("out", type=Path)
    parser.add_argument("--iterations", type=int, default=5000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    nt.set_seed(0)
    y = np.asarray(preprocess(load_zebrafish_darkflash(), sigma=10.0, normalise="global"), dtype=np.float32)
    frames, n = y.shape
    hidden = hidden_layer(arguments.model, n)
    readout = Linear(n, n, use_bias=False, activation="sigmoid")
    model = nt.SequentialRNN([hidden, readout], foresight_time_steps=frames - 1, hh_memory_size=1).build()
    if arguments.model == "spy-lif-lpf":
        # The published scripts start from Xavier's rule for the stored weights, whose squares are then small.
        with torch.no_grad():
            hidden.get_forward_weights_parameter().normal_(0.0, n**-0.5)
    memory = 1e-3 if arguments.model == "spy-lif-lpf" else 0.0
    rule = nt.Eprop(params_lr=RATES[0], output_params_lr=RATES[1], gamma=memory, alpha=memory, grad_norm_clip_value=1.0)
    trainer = nt.Trainer(model, predict_method="get_prediction_trace", callbacks=[rule], verbose=False)
    x, target = torch.tensor(y[:1])[None], torch.tensor(y[1:])[None]
    best, report, step, curve, started = -np.inf, {}, 0, [], time.time()
    for done in range(5, arguments.iterations + 1, 5):
        trainer.train([(x, target)], n_iterations=done)
        with torch.no_grad():
            prediction = model.get_prediction_trace(x)
        pvar = float(1 - (prediction - target).square().mean() / target.var())
        step = max(step, int((pvar >= LEVELS).sum()))
        for group, first, lowest in zip(rule.optimizer.param_groups, RATES, LOWEST, strict=True):
            group["lr"] = max(first - step * (first - lowest) / 101, lowest)
        if pvar > best:
            best, report = pvar, metrics.pvar_report(np.concatenate([y[:1], prediction[0].numpy()]), y)
        if done % 25 == 0 or pvar > STOP or done == arguments.iterations:
            curve.append([done, pvar, best, round(time.time() - started)])
            temporary = arguments.out.with_suffix(".tmp")
            temporary.write_text(json.dumps({"curve": curve, "report": report}, indent=1) + "\n")
            os.replace(temporary, arguments.out)
            print(f"iteration {done}: pVar {pvar:.4f}, best {best:.4f}, {time.time() - started:.0f} s", flush=True)
        if pvar > STOP:
            break
    print(report)


if __name__ == "__main__":
    main()
