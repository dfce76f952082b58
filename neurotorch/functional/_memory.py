"""The pool of large buffers."""

from __future__ import annotations

import torch

from neurotorch import _library


def release_memory() -> int:
    """Hand unused buffers back to the system.

    Outputs, traces and gradients of a MiB and more live in buffers that are kept for the next run: writing to memory
    that the system has just given costs more than the arithmetic. The library keeps up to ``NEUROTORCH_POOL_MB`` MiB
    (an environment variable, 1024 unless set; 0 keeps nothing) and gives the longest unused back beyond that.

    Returns
    -------
    int
        Bytes that were handed back. Buffers of tensors that still exist are not among them.
    """
    _library.load()
    return int(torch.ops.neurotorch.release_memory())
