"""Sparse inputs: currents from events, without the zeros between them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

# Of a batch to learn from with more than this share of entries that are not zero, the operators' own sums over events
# are quicker, the time to fill in the zeros included; see docs/datasets.md.
MOST_TO_LEARN_FROM = 0.02


def is_sparse(x: Tensor) -> bool:
    """Whether a tensor has another layout than the usual one."""
    return x.layout != torch.strided


def dense(x: Tensor) -> Tensor:
    """The tensor with its zeros filled in."""
    return x.to_dense() if is_sparse(x) else x


class _Currents(torch.autograd.Function):
    """``x @ weight`` for the entries of x by row; its gradient with respect to `weight`."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, columns: Tensor, values: Tensor, n_rows: int, weight: Tensor) -> Tensor:
        ctx.save_for_backward(rows, columns, values)
        ctx.inputs = weight.shape[0]
        return _sums(weight, columns, values, rows, n_rows)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Any) -> Any:
        rows, columns, values = ctx.saved_tensors
        order = torch.argsort(columns, stable=True)
        found = _sums(grads[0].contiguous(), rows[order], values[order], columns[order], ctx.inputs)
        return None, None, None, None, found


def _sums(table: Tensor, entries: Tensor, values: Tensor, bags: Tensor, n_bags: int) -> Tensor:
    """Per bag the sum of its entries' rows of the table times their values, in order; `bags` ascends."""
    counts = torch.bincount(bags, minlength=n_bags)
    return embedding_bag(entries, table, counts.cumsum(0) - counts, mode="sum", per_sample_weights=values)


def event_currents(x: Tensor, weight: Tensor | None) -> Tensor | None:
    """Currents ``x @ weight`` ``[B, T, N]`` of a sparse input; None where a dense one is better.

    That is where something needs the input itself (its gradient, no weights), on other devices than the CPU, for
    dtypes of half precision, and where more than :data:`MOST_TO_LEARN_FROM` of a batch to learn from is not zero.

    Parameters
    ----------
    x : Tensor [B, T, F]
        Sparse, of any such layout.
    weight : Tensor [F, N] or None
    """
    if weight is None or x.requires_grad or x.device.type != "cpu" or x.dim() != 3 or weight.dim() != 2:
        return None
    if weight.dtype not in (torch.float32, torch.float64) or x.dtype != weight.dtype or x.shape[2] != weight.shape[0]:
        return None
    coo = (x if x.layout == torch.sparse_coo else x.to_sparse()).coalesce()
    if coo.dense_dim() or 0 in x.shape:
        return None
    learns = torch.is_grad_enabled() and weight.requires_grad
    if learns and coo.values().numel() > MOST_TO_LEARN_FROM * x.numel():
        return None
    batch, steps, _ = x.shape
    sample, step, columns = coo.indices()
    rows = sample * steps + step
    currents: Tensor = _Currents.apply(rows, columns, coo.values(), batch * steps, weight)  # type: ignore[no-untyped-call]
    return currents.view(batch, steps, weight.shape[1])
