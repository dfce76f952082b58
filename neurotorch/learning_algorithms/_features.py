"""What trainers offer and not every learning algorithm can use."""

from __future__ import annotations

PROCESSES = "several processes (DistributedDataParallel)"
AMP = "amp"
SCALING = "amp with float16, whose gradients are scaled"
ACCUMULATION = "accumulate_grad_batches"
