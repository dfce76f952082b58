"""Times NeuroTorch 0.0.2 on workload d, in a process of its own: it has the import name of this library.

    python run.py e-prop|BPTT|RLS [--steps 557] [--neurons 522] [--rounds 3] [--threads 1]

prints one JSON object: seconds of each training iteration, after one that warms up. The environment is that of
``requirements.txt``; torchvision, of which little is used here, is replaced where it does not load.
"""

from __future__ import annotations

import argparse
import importlib.machinery
import json
import sys
import time
import types


class Compose:
    """Transforms one after the other."""

    def __init__(self, transforms: list) -> None:
        self.transforms = transforms

    def __call__(self, x):
        for transform in self.transforms:
            x = transform(x)
        return x


def replace_torchvision() -> None:
    try:
        import torchvision  # noqa: F401
    except Exception:
        for name in ("torchvision", "torchvision.transforms"):
            module = types.ModuleType(name)
            module.__spec__ = importlib.machinery.ModuleSpec(name, None)
            module.__file__ = name
            module.__getattr__ = lambda attribute: type(attribute, (), {})
            sys.modules[name] = module
        sys.modules["torchvision"].transforms = sys.modules["torchvision.transforms"]
        sys.modules["torchvision.transforms"].Compose = Compose


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rule", choices=["e-prop", "BPTT", "RLS"])
    parser.add_argument("--steps", type=int, default=557)
    parser.add_argument("--neurons", type=int, default=522)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    replace_torchvision()
    import torch

    import neurotorch as nt

    assert nt.__version__ == "0.0.2", f"expected NeuroTorch 0.0.2, got {nt.__version__} in {nt.__file__}"
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    n, steps = arguments.neurons, arguments.steps
    cpu = torch.device("cpu")
    if arguments.rule == "RLS":
        layer = nt.WilsonCowanCURBDLayer(
            n, n, dt=0.01, tau=0.1, activation="tanh", use_recurrent_connection=True, hh_init="zeros", device=cpu
        )
        model = nt.SequentialRNN(layers=[layer], device=cpu, hh_memory_size=1).build()
        x, y = 0.01 * torch.randn(1, steps, n), torch.tanh(torch.randn(1, steps, n))
        rule = nt.RLS(
            params=[layer.get_recurrent_weights_parameter()],
            strategy="outputs",
            is_recurrent=True,
            default_optimizer_cls=torch.optim.SGD,
            default_optim_kwargs={"lr": 1.0},
        )
    else:
        hidden = nt.SpyLIFLayerLPF(
            n, n, dt=0.02, tau_syn=0.1, tau_mem=0.2, hh_init="inputs", use_recurrent_connection=False, device=cpu
        )
        readout = nt.Linear(n, n, use_bias=False, activation="sigmoid", device=cpu)
        model = nt.SequentialRNN(
            layers=[hidden, readout],
            foresight_time_steps=steps,
            out_memory_size=steps,
            hh_memory_size=1,
            device=cpu,
        ).build()
        x, y = torch.rand(1, 1, n), torch.rand(1, steps, n)
        if arguments.rule == "e-prop":
            rule = nt.Eprop(params_lr=1e-5, output_params_lr=2e-5, alpha=1e-3, gamma=1e-3, grad_norm_clip_value=1.0)
        else:
            rule = nt.BPTT(optimizer=torch.optim.AdamW(model.parameters(), lr=1e-4))
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=1)
    trainer = nt.Trainer(model, predict_method="get_prediction_trace", callbacks=[rule], verbose=False)
    seconds = []
    for k in range(arguments.rounds + 1):
        start = time.perf_counter()
        trainer.train(loader, n_iterations=k + 1, exec_metrics_on_train=False)
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"rule": arguments.rule, "seconds": seconds[1:], "torch": torch.__version__}))


if __name__ == "__main__":
    main()
