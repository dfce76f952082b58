"""The random generators that a resumed run needs as they were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from neurotorch.utils.processes import Processes
from neurotorch.utils.random import get_random_state, set_random_state

_OWNERS = {
    "loader": (),
    "sampler": ("sampler",),
    "batch_sampler": ("batch_sampler",),
    "batch_sampler.sampler": ("batch_sampler", "sampler"),
}


def _generators(loader: Any) -> dict[str, torch.Generator]:
    """Generators of a data loader, of its sampler and its batch sampler; some of them may be the same one."""
    found = {}
    for name, path in _OWNERS.items():
        owner = loader
        for attribute in path:
            owner = getattr(owner, attribute, None)
        generator = getattr(owner, "generator", None)
        if isinstance(generator, torch.Generator):
            found[name] = generator
    return found


def collect(loaders: Mapping[str, Any], processes: Processes) -> dict[str, Any]:
    """States of the global generators of Python, numpy and torch and of those of the loaders, in every process.

    Parameters
    ----------
    loaders : mapping of str to data loader or None
        Data loaders by the key of their states.
    processes : Processes
        All of them call this.
    """
    state = get_random_state()
    for key, loader in loaders.items():
        state[key] = {name: generator.get_state() for name, generator in _generators(loader).items()}
    states = processes.gather(state)
    return {**states[0], "processes": states[1:]} if len(states) > 1 else state


def restore(state: Mapping[str, Any], loaders: Mapping[str, Any], processes: Processes) -> None:
    """Put the generators of this process where they were; those that a state does not know stay."""
    if processes.rank > 0:
        others = state.get("processes", [])
        if processes.rank > len(others):
            return  # a run of fewer processes
        state = others[processes.rank - 1]
    set_random_state(dict(state))
    for key, loader in loaders.items():
        generators = _generators(loader)
        for name, position in state.get(key, {}).items():
            if name in generators:
                generators[name].set_state(position.cpu())
