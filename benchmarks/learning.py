"""Times a training iteration of each learning rule on workload d: 522 SpyLIF-LPF in closed loop, 557 steps, batch 1.

    python benchmarks/learning.py [--reference PYTHON]

With the interpreter of an environment that has NeuroTorch 0.0.2 (``reference/run.py``), both run in turn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import time
from pathlib import Path

import torch

import neurotorch as nt

N, STEPS = 522, 557
EPROP = {"params_lr": 1e-5, "output_params_lr": 2e-5, "alpha": 1e-3, "gamma": 1e-3, "grad_norm_clip_value": 1.0}
RULES = {
    "e-prop, every step": lambda: nt.Eprop(**EPROP),
    "e-prop, once per sequence": lambda: nt.Eprop(update="sequence", **EPROP),
    "BPTT": lambda: nt.BPTT(params_lr=1e-4),
}


def seconds(rule: nt.learning_algorithms.LearningAlgorithm, rounds: int = 3) -> list[float]:
    """Of each iteration, after one that warms up."""
    torch.manual_seed(0)
    hidden = nt.SpyLIFLayerLPF(
        N, N, dt=0.02, tau_syn=0.1, tau_mem=0.2, hh_init="inputs", use_recurrent_connection=False
    )
    readout = nt.Linear(N, N, use_bias=False, activation="sigmoid")
    model = nt.SequentialRNN([hidden, readout], foresight_time_steps=STEPS, hh_memory_size=1).build()
    batch = torch.rand(1, 1, N), torch.rand(1, STEPS, N)
    trainer = nt.Trainer(model, predict_method="get_prediction_trace", callbacks=[rule], verbose=False)
    found = []
    for k in range(rounds + 1):
        begin = time.perf_counter()
        trainer.train([batch], n_iterations=k + 1, exec_metrics_on_train=False)
        found.append(time.perf_counter() - begin)
    return found[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    times: dict[str, list[float]] = {}
    for _ in range(2):
        for name, make in RULES.items():
            times.setdefault(name, []).extend(seconds(make()))
        for rule in ("e-prop", "BPTT") if arguments.reference else ():
            command = [arguments.reference, str(Path(__file__).parent / "reference" / "run.py"), rule, "--rounds", "2"]
            printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
            times.setdefault(f"NeuroTorch {rule}", []).extend(json.loads(printed)["seconds"])
    for name, values in times.items():
        print(f"{name}: {1e3 * statistics.median(values):.0f} ms")


if __name__ == "__main__":
    main()
