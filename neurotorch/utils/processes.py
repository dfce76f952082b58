"""Several processes that train one model together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor


class Processes:
    """The one process of an ordinary run; :class:`ProcessGroup` does the same for several.

    Attributes
    ----------
    rank, size : int
        Number of this process and of all.
    """

    rank = 0
    size = 1

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, by rank; they must be picklable."""
        return [value]

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        return flag

    def same(self, flag: bool) -> bool:
        """Whether the flag is the same in all processes."""
        return True

    def mean(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Means over the processes of what are numbers everywhere; other values are those of rank 0."""
        return dict(values)

    def average_(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by their means over the processes."""


class ProcessGroup(Processes):
    """The processes of a group of :mod:`torch.distributed`.

    Parameters
    ----------
    group : torch.distributed.ProcessGroup
    device : torch.device
        Where small tensors for exchange are made: of the kind that the group's backend sends.
    """

    def __init__(self, group: Any, device: torch.device) -> None:
        import torch.distributed as dist

        self._dist = dist
        self._group = group
        self._device = device
        self.rank = dist.get_rank(group)
        self.size = dist.get_world_size(group)

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, by rank; they must be picklable."""
        found: list[Any] = [None] * self.size
        self._dist.all_gather_object(found, value, group=self._group)
        return found

    def _sum(self, flag: bool) -> int:
        count = torch.tensor(int(flag), device=self._device)
        self._dist.all_reduce(count, group=self._group)
        return int(count.item())

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        return self._sum(flag) > 0

    def same(self, flag: bool) -> bool:
        """Whether the flag is the same in all processes."""
        return self._sum(flag) in (0, self.size)

    def mean(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Means over the processes of what are numbers everywhere; other values are those of rank 0."""
        all_values = self.gather(dict(values))
        found = dict(all_values[0])
        for name in found:
            entries = [own.get(name) for own in all_values]
            if all(isinstance(entry, (int, float)) and not isinstance(entry, bool) for entry in entries):
                found[name] = sum(entries) / self.size
        return found

    def average_(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by their means over the processes, in one exchange per dtype and device."""
        kinds: dict[Any, list[Tensor]] = {}
        for tensor in tensors:
            kinds.setdefault((tensor.dtype, tensor.device), []).append(tensor)
        for alike in kinds.values():
            flat = torch.cat([tensor.reshape(-1) for tensor in alike])
            self._dist.all_reduce(flat, group=self._group)
            flat /= self.size
            for tensor, part in zip(alike, torch.split(flat, [tensor.numel() for tensor in alike]), strict=True):
                tensor.copy_(part.view_as(tensor))
