"""A training iteration of each learning rule, by ours and by NeuroTorch 0.0.2 with the same script.

e-prop and BPTT: 522 SpyLIF-LPF in closed loop with a linear readout, 557 steps, batch 1 (workload d), with and without
recurrent weights in the hidden layer.  RLS: all recurrent weights of 522 rate neurons, one update per step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

EPROP = {"params_lr": 1e-5, "output_params_lr": 2e-5, "alpha": 1e-3, "gamma": 1e-3, "grad_norm_clip_value": 1.0}
CPU = torch.device("cpu")
RULES = ("e-prop every step", "e-prop per sequence", "BPTT", "RLS")


def _rls(n: int, steps: int) -> tuple[Any, Any, torch.Tensor, torch.Tensor]:
    import neurotorch as nt

    layer = nt.WilsonCowanCURBDLayer(
        n, n, dt=0.01, tau=0.1, activation="tanh", use_recurrent_connection=True, hh_init="zeros", device=CPU
    )
    model = nt.SequentialRNN(layers=[layer], device=CPU, hh_memory_size=1).build()
    x, y = 0.01 * torch.randn(1, steps, n), torch.tanh(torch.randn(1, steps, n))
    rule = nt.RLS(
        params=[layer.get_recurrent_weights_parameter()],
        strategy="outputs",
        is_recurrent=True,
        default_optimizer_cls=torch.optim.SGD,
        default_optim_kwargs={"lr": 1.0},
    )
    return model, rule, x, y


def training(rule: str, neurons: int = 522, steps: int = 557, recurrent: bool = False) -> Callable[[], Any]:
    """One more iteration of training per call; `rule` is one of `RULES`. Only ours has "e-prop per sequence"."""
    import neurotorch as nt

    torch.manual_seed(0)
    if rule == "RLS":
        model, algorithm, x, y = _rls(neurons, steps)
    else:
        hidden = nt.SpyLIFLayerLPF(
            neurons,
            neurons,
            dt=0.02,
            tau_syn=0.1,
            tau_mem=0.2,
            hh_init="inputs",
            use_recurrent_connection=recurrent,
            device=CPU,
        )
        readout = nt.Linear(neurons, neurons, use_bias=False, activation="sigmoid", device=CPU)
        model = nt.SequentialRNN(
            layers=[hidden, readout], foresight_time_steps=steps, out_memory_size=steps, hh_memory_size=1, device=CPU
        ).build()
        x, y = torch.rand(1, 1, neurons), torch.rand(1, steps, neurons)
        if rule == "BPTT":
            algorithm = nt.BPTT(optimizer=torch.optim.AdamW(model.parameters(), lr=1e-4))
        else:
            algorithm = nt.Eprop(**EPROP, **({"update": "sequence"} if rule == "e-prop per sequence" else {}))
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=1)
    trainer = nt.Trainer(model, predict_method="get_prediction_trace", callbacks=[algorithm], verbose=False)
    done = 0

    def iterate() -> None:
        nonlocal done
        done += 1
        trainer.train(loader, n_iterations=done, exec_metrics_on_train=False)

    return iterate
