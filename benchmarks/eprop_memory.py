"""Peak memory of one training batch of e-prop at every step, and of BPTT, as the sequence grows: a process for each.

python benchmarks/eprop_memory.py
"""

from __future__ import annotations

import resource
import subprocess
import sys

NEURONS = 200


def measure(rule: str, steps: int) -> float:
    """MiB above what the process held before training: 200 recurrent SpyLIF-LPF neurons, a readout of 10."""
    import torch

    import neurotorch as nt

    torch.set_num_threads(1)
    hidden = nt.SpyLIFLayerLPF(NEURONS, NEURONS, dt=0.02, hh_init="inputs", use_recurrent_connection=True)
    readout = nt.Linear(NEURONS, 10, use_bias=False, activation="sigmoid")
    model = nt.SequentialRNN([hidden, readout], hh_memory_size=1).build()
    batch = torch.rand(1, steps, NEURONS), torch.rand(1, steps, 10)
    algorithm = nt.Eprop() if rule == "e-prop" else nt.BPTT()
    trainer = nt.Trainer(model, predict_method="get_prediction_trace", callbacks=[algorithm], verbose=False)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    trainer.train([batch], n_iterations=1, exec_metrics_on_train=False)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main() -> None:
    if len(sys.argv) == 3:
        print(f"{measure(sys.argv[1], int(sys.argv[2])):.1f}")
        return
    for rule in ("e-prop", "BPTT"):
        for steps in (500, 5_000, 50_000):
            command = [sys.executable, __file__, rule, str(steps)]
            found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
            print(f"{rule}, {steps} steps: {found} MiB")


if __name__ == "__main__":
    main()
