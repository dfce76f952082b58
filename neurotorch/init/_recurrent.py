"""Initial recurrent weights: their spectral radius, and the balance of excitation and inhibition."""

from __future__ import annotations

import math

import torch
from torch import Tensor


@torch.no_grad()
def spectral_radius_(tensor: Tensor, radius: float = 1.0) -> Tensor:
    """Scale square weights in place so that the largest magnitude of their eigenvalues is `radius`; returns them.

    In linear and echo state networks activity dies out below 1 and grows above (Jaeger 2001, GMD Report 148).

    Parameters
    ----------
    tensor : Tensor [N, N]
        Weights, with values already; with Dale's law the effective ones.
    radius : float
        0 or more.

    Returns
    -------
    Tensor
        `tensor`.

    Raises
    ------
    ValueError
        The tensor is not square or not finite, the radius is negative, or no scale gives it, since all eigenvalues
        are 0.
    """
    if tensor.dim() != 2 or tensor.shape[0] != tensor.shape[1]:
        raise ValueError(f"tensor: expected shape [N, N], got {list(tensor.shape)}")
    if not 0.0 <= radius < math.inf:
        raise ValueError(f"radius: expected 0 or more, got {radius}")
    if not bool(torch.isfinite(tensor).all()):
        raise ValueError("tensor: expected finite values, got others")
    if tensor.numel() == 0 or radius == 0.0:
        return tensor.zero_()
    # Scaled before, so that powers of tiny or huge weights neither vanish nor overflow.
    size = tensor.abs().max().double()
    found = torch.linalg.eigvals(tensor.double() / size).abs().max() if size > 0 else size
    # Rounding may give the eigenvalues of matrices without cycles magnitudes of about eps^(1/N).
    if found == 0 or _has_no_cycle(tensor):
        raise ValueError("tensor: expected an eigenvalue other than 0, got none")
    return tensor.mul_((radius / (found * size)).to(tensor.dtype))


def _has_no_cycle(tensor: Tensor) -> bool:
    """Whether no connections lead from a neuron back to it, so that every eigenvalue is 0."""
    connected = (tensor != 0).double()
    # Neurons without a living presynaptic one die out in at most N rounds.
    living = torch.ones(tensor.shape[0], dtype=torch.float64, device=tensor.device)
    while True:
        left = ((living @ connected) > 0).double()
        if torch.equal(left, living):
            return not bool(left.any())
        living = left


@torch.no_grad()
def ei_balance_(tensor: Tensor, ratio: float = 1.0, dim: int = 0) -> Tensor:
    """Scale weights in place so that every neuron's summed inhibition is `ratio` times its summed excitation.

    The excitatory and the inhibitory weights of each postsynaptic neuron are scaled by one factor each, which leaves
    the sum of their magnitudes. Signs and zeros stay, and with them Dale's law and sparsity, other than where a mean is
    subtracted (Rajan & Abbott 2006, doi:10.1103/PhysRevLett.97.188104). A common scale afterwards, as that of
    :func:`spectral_radius_`, keeps the balance.

    Parameters
    ----------
    tensor : Tensor [M, N]
        Signed weights, for instance from :func:`dale_`.
    ratio : float
        Above 0.
    dim : int
        Axis of the presynaptic neurons: 0 for rows, 1 for columns.

    Returns
    -------
    Tensor
        `tensor`.

    Raises
    ------
    ValueError
        The tensor is not 2-D, an argument is out of range, or a neuron has inputs of one sign only. The tensor stays.
    """
    if tensor.dim() != 2:
        raise ValueError(f"tensor: expected 2 dimensions, got {tensor.dim()}")
    if not 0.0 < ratio < math.inf:
        raise ValueError(f"ratio: expected a positive number, got {ratio}")
    if dim not in (0, 1):
        raise ValueError(f"dim: expected 0 or 1, got {dim}")
    weights = tensor.double()
    excitation = weights.clamp(min=0.0).sum(dim, keepdim=True)
    inhibition = (-weights).clamp(min=0.0).sum(dim, keepdim=True)
    one_sided = ((excitation > 0) != (inhibition > 0)).flatten()
    if bool(one_sided.any()):
        shown = ", ".join(str(k) for k in one_sided.nonzero().flatten()[:10].tolist())
        raise ValueError(
            f"tensor: expected excitatory and inhibitory inputs of every neuron, got one sign only for {shown}"
        )
    total = excitation + inhibition
    up = total / (1.0 + ratio) / excitation
    down = total * ratio / (1.0 + ratio) / inhibition
    scale = torch.where(weights > 0, up, down).nan_to_num(0.0, 0.0, 0.0)
    return tensor.copy_(weights * scale)
