"""A run in pieces, for learning rules that learn while the network runs."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from neurotorch.modules._engine import Network, Result, Schedule, State, fed_back, last_states, run


class PiecewiseRun:
    """A run of a network that goes on piece by piece, with the same results as :func:`~neurotorch.modules._engine.run`.

    Parameters
    ----------
    network, x, states, schedule
        Of the whole run. Inputs and states are detached.

    Attributes
    ----------
    done : int
        Steps so far.
    """

    def __init__(self, network: Network, x: list[Tensor], states: list[State], schedule: Schedule) -> None:
        self.network = network
        self.schedule = schedule
        self.done = 0
        self._x = [x_k.detach() for x_k in x]
        self._states = states
        self._n_read = len(network.inputs) + len(network.hidden)
        self._last_outs: list[Tensor] = []
        self._outs: list[list[Tensor]] = []
        self._hidden: list[list[State]] = []
        self.detach()

    def detach(self, *, hidden_only: bool = False) -> None:
        """Cut the graph here: gradients of later steps stop at the present states and outputs.

        Parameters
        ----------
        hidden_only : bool
            Cut the states of input and hidden layers, not those of output layers nor what is fed back.
        """
        cut = self._n_read if hidden_only else len(self._states)
        self._states = [_detached(state) if k < cut else state for k, state in enumerate(self._states)]
        if not hidden_only:
            self._last_outs = [out.detach() for out in self._last_outs]

    def advance(self, stop: int) -> list[Tensor]:
        """Run up to step `stop`; returns the outputs ``[B, steps, N]`` of the piece, with their graph."""
        piece, x = self._piece(stop)
        outs, hidden = run(self.network, x, self._states, piece)
        self._keep(outs, hidden, stop)
        self._states = last_states(hidden)
        self._last_outs = [out[:, -1] for out in outs]
        self.done = stop
        return outs

    def _piece(self, stop: int) -> tuple[Schedule, list[Tensor]]:
        whole, start = self.schedule, self.done
        if start < whole.given:
            x = [x_k[:, start : min(stop, whole.given)] for x_k in self._x]
        else:
            given = [[x_k[:, 0]] for x_k in self._x]
            x = [x_t.unsqueeze(1) for x_t in fed_back(self._last_outs, given, whole, start)]
        teacher = [None if series is None else series[:, start:stop] for series in whole.teacher]
        kept = min(stop - start, stop - (whole.total - whole.keep_hidden))
        piece = replace(
            whole,
            given=x[0].shape[1],
            total=stop - start,
            keep_outputs=stop - start,
            keep_hidden=max(1, kept),
            teacher=teacher,
            start=start,
            forecast_from=whole.given,
        )
        return piece, x

    def _keep(self, outs: list[Tensor], hidden: list[State], stop: int) -> None:
        whole, start = self.schedule, self.done
        first = max(0, whole.total - whole.keep_outputs - start)
        if first < stop - start:
            self._outs.append([out.detach()[:, first:] for out in outs])
        if stop > whole.total - whole.keep_hidden:
            self._hidden.append([_detached(state) for state in hidden])

    def result(self) -> Result:
        """Outputs and hidden states of the steps that the memory keeps, detached."""
        outs = [torch.cat(parts, dim=1) for parts in zip(*self._outs, strict=True)]
        return outs, [_joined(parts) for parts in zip(*self._hidden, strict=True)]


def _detached(state: State) -> State:
    return None if state is None else type(state)(s if s is None else s.detach() for s in state)


def _joined(parts: tuple[State, ...]) -> State:
    if parts[0] is None:
        return None
    return type(parts[0])(torch.cat(entries, dim=1) for entries in zip(*[p for p in parts if p is not None]))
