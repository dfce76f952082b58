"""Runs candidates in this interpreter's environment, one command per line of standard input, one answer per line.

    PYTHON peers/serve.py

Commands and answers are JSON objects. Answers have ``error`` where something failed.

* ``{"do": "versions"}``: which candidates there are, with the versions of their libraries;
* ``{"do": "build", "candidate", "workload", "sizes", "dtype", "threads"}``: makes a candidate the current one;
* ``{"do": "run", "part"}``: forward or both passes once; ``seconds``, and ``processor`` seconds of this process;
* ``{"do": "results", "file", "samples"}``: outputs, and gradients of the samples that are true, into an .npz;
* ``{"do": "memory"}``: bytes that both passes once needed at their peak, beyond inputs and outputs;
* ``{"do": "train", "rule", ...}``: makes a training iteration of a learning rule the current candidate.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# What libraries print must not come between the answers.
ANSWERS = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)
HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "reference")]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from candidate import Candidate, Unavailable  # noqa: E402
from inputs import INPUTS, Inputs  # noqa: E402

# Name of the package and of its import.
LIBRARIES = {
    "neurotorch": ("NeuroTorch", "neurotorch"),
    "norse": ("norse", "norse"),
    "snntorch": ("snntorch", "snntorch"),
    "spikingjelly": ("spikingjelly", "spikingjelly"),
    "sinabs": ("sinabs", "sinabs"),
}


def has_reference() -> bool:
    try:
        return importlib.metadata.version("NeuroTorch") == "0.0.2"
    except importlib.metadata.PackageNotFoundError:
        return False


def versions() -> dict[str, str]:
    found = {}
    for name, (package, module) in LIBRARIES.items():
        if name == "neurotorch" and not has_reference():
            continue
        if importlib.util.find_spec(module) is not None:
            found[name] = importlib.metadata.version(package)
    return found


def candidate_of(name: str, workload: str, sizes: dict[str, Any], dtype: torch.dtype) -> tuple[Candidate, Inputs]:
    torch.set_default_dtype(torch.float32)
    given = INPUTS[workload](dtype=dtype, **sizes)
    if name == "neurotorch":
        from layers import neurotorch

        return neurotorch(workload, given), given
    if name in LIBRARIES:
        from libraries import CANDIDATES

        return CANDIDATES[name](workload, given), given
    # Ours and the loops, in a process of their own.
    from workloads import WORKLOADS

    made = WORKLOADS[workload](dtype=dtype, **sizes)
    return Candidate(made.candidates[name], made.parameters), given._replace(parameters=made.parameters)


def resident(field: str) -> int:
    """Bytes by /proc: VmRSS now, VmHWM at the peak."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no {field}")


class Server:
    """Holds the current candidate."""

    def __init__(self) -> None:
        self.once: dict[str, Callable[[], Any]] = {}
        self.candidate: Candidate | None = None

    def versions(self) -> dict[str, Any]:
        return {"versions": versions(), "torch": torch.__version__, "python": sys.version.split()[0]}

    def build(
        self, candidate: str, workload: str, sizes: dict[str, Any], dtype: str = "float32", threads: int = 1
    ) -> dict[str, Any]:
        torch.set_num_threads(threads)
        self.once, self.candidate = {}, None
        made, given = candidate_of(candidate, workload, sizes, getattr(torch, dtype))
        self.scale = given.scale.transpose(0, 1).contiguous() if made.time_first else given.scale
        del given
        self.candidate, self.once = made, {"forward": self.forward, "both": self.both}
        return {}

    def forward(self) -> torch.Tensor:
        with torch.no_grad():
            return self.candidate.run()

    def both(self) -> tuple[torch.Tensor, list[torch.Tensor]]:
        out = self.candidate.run()
        return out.detach(), list(torch.autograd.grad(out, self.candidate.parameters, self.scale.to(out.dtype)))

    def run(self, part: str) -> dict[str, Any]:
        once = self.once[part]
        begin, spent = time.perf_counter(), time.process_time()
        once()
        return {"seconds": time.perf_counter() - begin, "processor": time.process_time() - spent}

    def results(self, file: str, samples: list[bool] | None = None) -> dict[str, Any]:
        made, scale = self.candidate, self.scale
        if samples is not None:
            kept = torch.tensor(samples)
            self.scale = scale * (kept[None, :, None] if made.time_first else kept[:, None, None])
        out, gradients = self.both()
        self.scale = scale
        arranged = [out, *gradients]
        if made.time_first:
            # Outputs, and gradients of inputs.
            arranged = [a.transpose(0, 1) if a.dim() == 3 else a for a in arranged]
        if made.transposed:
            arranged = [a.T if a.dim() == 2 else a for a in arranged]
        names = ["outputs", *(f"gradient{k}" for k in range(len(gradients)))]
        np.savez(file, **{name: a.numpy() for name, a in zip(names, arranged)})
        return {}

    def memory(self) -> dict[str, Any]:
        # What was freed while inputs were drawn is given back first; writing 5 sets the peak to what is resident now.
        if hasattr(ctypes.CDLL(None), "malloc_trim"):
            ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        before = resident("VmRSS")
        out, gradients = self.both()
        results = sum(a.numel() * a.element_size() for a in (out, *gradients))
        return {"bytes": resident("VmHWM") - before - results}

    def train(self, rule: str, threads: int = 1, **options: Any) -> dict[str, Any]:
        torch.set_num_threads(threads)
        if has_reference():
            from layers import neurotorch_002

            neurotorch_002()
        from learning import training

        self.candidate, self.once = None, {"iteration": training(rule, **options)}
        return {}


def main() -> None:
    server = Server()
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(server, command.pop("do"))(**command)
        except Unavailable as error:
            answer = {"unavailable": str(error)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=ANSWERS)


if __name__ == "__main__":
    main()
