"""Times the encoder of NeuroTorch 0.0.2, in a process of its own: it has the import name of this library.

    python encoders.py BATCH STEPS UNITS

prints one JSON object: seconds of each call, after one that warms up. The environment is that of ``requirements.txt``.
"""

from __future__ import annotations

import json
import sys
import time

from torchvision_stub import replace_torchvision


def main() -> None:
    replace_torchvision()
    import torch

    import neurotorch as nt
    from neurotorch.transforms.spikes_encoders import SpyLIFEncoder

    assert nt.__version__ == "0.0.2", f"expected NeuroTorch 0.0.2, got {nt.__version__} in {nt.__file__}"
    torch.set_num_threads(1)
    torch.manual_seed(0)
    batch, steps, units = map(int, sys.argv[1:])
    encoder = SpyLIFEncoder(steps, units, device=torch.device("cpu"))
    x = (torch.rand(batch, units) - 0.1307) / 0.3081
    seconds = []
    with torch.no_grad():
        for _ in range(4):
            start = time.perf_counter()
            encoder(x)
            seconds.append(time.perf_counter() - start)
    print(json.dumps({"seconds": seconds[1:], "torch": torch.__version__}))


if __name__ == "__main__":
    main()
