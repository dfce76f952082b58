"""Networks of layers with state, over time and in closed loop."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from neurotorch.functional._events import dense
from neurotorch.modules._engine import Network, Schedule, State, run
from neurotorch.modules._predictions import SequencePredictions
from neurotorch.modules.layers._fused import FusedLayer
from neurotorch.modules.layers._lengths import checked_lengths
from neurotorch.modules.plan import Plan, defines_forward, make_plan, takes_state
from neurotorch.modules.sequential import Acceptable_Layer_Type as Acceptable_Layer_Type
from neurotorch.modules.sequential import Acceptable_Layer_Types as Acceptable_Layer_Types
from neurotorch.modules.sequential import Acceptable_Spike_Func as Acceptable_Spike_Func
from neurotorch.modules.sequential import Acceptable_Spike_Funcs as Acceptable_Spike_Funcs
from neurotorch.modules.sequential import IntDimension as IntDimension
from neurotorch.modules.sequential import size_of
from neurotorch.transforms.base import move_to
from neurotorch.utils.arguments import warn_uncalled

# Methods of NeuroTorch that run a step, or parts of a run.
_UNCALLED = (
    "_integrate_inputs_",
    "_forecast_integration_",
    "_inputs_forward_",
    "_hidden_forward_",
    "_outputs_forward_",
    "_pop_memory_",
    "_map_outputs_to_inputs",
    "_format_hidden_outputs_traces",
    "_init_hidden_states_memory",
)

Hidden = tuple[Tensor, ...] | list[None]


def _memory_size(argument: str, size: float) -> float:
    """A positive whole number of steps, or infinity."""
    assert size is not None and size > 0, f"{argument}: expected more than 0 steps, got {size}"
    if math.isinf(size):
        return math.inf
    if size != int(size):
        raise ValueError(f"{argument}: expected a whole number of steps, got {size}")
    return int(size)


class SequentialRNN(SequencePredictions):
    """A network of recurrent layers that integrates its inputs over time and can then run on its own outputs.

    Computes in the dtype of its weights. Without forecast each layer runs over the whole sequence in one fused
    operator; with forecast the whole network runs in one. Layers that need Python (see :meth:`plan`) run step by step.

    Parameters
    ----------
    layers : iterable
        ``[first, *hidden, last]``, see :class:`~neurotorch.modules.sequential.Sequential`.
    foresight_time_steps : int
        Number of steps to forecast. The last step of the given input yields the first of them.
    name, checkpoint_folder, device, input_transform, output_transform
        See :class:`~neurotorch.modules.base_model.BaseModel`. Output transforms get the stacked outputs.
    out_memory_size, hh_memory_size : int or inf, optional
        How many of the last steps of outputs and hidden states are returned; by default ``foresight_time_steps`` if
        positive, else all. With ``hh_memory_size=1`` no state trace is ever stored.
    memory_device : torch.device or str, optional
        Where returned outputs and states go; by default the device of the model.
    n_hidden_neurons : int
        Output size of input and hidden layers that have none.

    Attributes
    ----------
    online_rule : object or None
        Learning rule that runs the network itself and learns meanwhile, through a method ``run_online`` with the
        arguments and results of :func:`neurotorch.modules._engine.run`; None where there is none.
    teaching : tuple (teacher, teacher_weight) or None
        Used by calls that give no `teacher`; see :class:`neurotorch.callbacks.TeacherForcing`.

    Raises
    ------
    AssertionError
        A number of steps is out of range, or (when built) an output does not fit the input that it is fed to.
    """

    _keywords = ("n_hidden_neurons", "out_memory_size", "hh_memory_size", "memory_device")

    def __init__(
        self,
        layers: Any,
        foresight_time_steps: int = 0,
        name: str = "SequentialRNN",
        checkpoint_folder: str = "checkpoints",
        device: torch.device | str | None = None,
        input_transform: Any = None,
        output_transform: Any = None,
        *,
        out_memory_size: float | None = None,
        hh_memory_size: float | None = None,
        memory_device: torch.device | str | None = None,
        n_hidden_neurons: int = 128,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            layers,
            name=name,
            checkpoint_folder=checkpoint_folder,
            device=device,
            input_transform=input_transform,
            output_transform=output_transform,
            n_hidden_neurons=n_hidden_neurons,
            **kwargs,
        )
        self.foresight_time_steps = foresight_time_steps
        default = foresight_time_steps if foresight_time_steps > 0 else math.inf
        self.out_memory_size = default if out_memory_size is None else out_memory_size
        self.hh_memory_size = default if hh_memory_size is None else hh_memory_size
        self.memory_device = memory_device
        self.online_rule: Any = None
        self.teaching: tuple[Any, float] | None = None
        warn_uncalled(self, SequentialRNN, _UNCALLED, "whole sequences run at once, see plan()")

    @property
    def foresight_time_steps(self) -> int:
        """Number of steps to forecast."""
        return self._foresight_time_steps

    @foresight_time_steps.setter
    def foresight_time_steps(self, steps: int) -> None:
        assert steps >= 0, f"foresight_time_steps: expected 0 or more, got {steps}"
        self._foresight_time_steps = int(steps)

    @property
    def out_memory_size(self) -> float:
        """Number of last steps of the outputs that are returned."""
        return self._out_memory_size

    @out_memory_size.setter
    def out_memory_size(self, size: float) -> None:
        self._out_memory_size = _memory_size("out_memory_size", size)

    @property
    def hh_memory_size(self) -> float:
        """Number of last steps of the hidden states that are returned."""
        return self._hh_memory_size

    @hh_memory_size.setter
    def hh_memory_size(self, size: float) -> None:
        self._hh_memory_size = _memory_size("hh_memory_size", size)

    @property
    def memory_device(self) -> torch.device:
        """Where returned outputs and hidden states are."""
        return self.device if self._memory_device is None else self._memory_device

    @memory_device.setter
    def memory_device(self, device: torch.device | str | None) -> None:
        self._memory_device = None if device is None else torch.device(device)

    def build(self) -> SequentialRNN:
        """Build all layers once; see :meth:`Sequential.build`. AssertionError where a fed-back size does not fit."""
        if not self._is_built:
            super().build()
            self._stateful = [takes_state(layer) for layer in self.get_all_layers()]
            if self.foresight_time_steps > 0:
                self._check_feedback()
        return self

    def _feedback(self) -> list[int]:
        """Per input the number of the output that feeds it in a forecast; -1 for inputs beyond the last output."""
        n_outputs = len(self.output_layers)
        return [k if k < n_outputs else -1 for k in range(len(self._input_names()))]

    def _check_feedback(self) -> None:
        for source, target in zip(self._output_names(), self._input_names()):
            gives, takes = size_of(self[source], "output"), size_of(self[target], "input")
            assert gives is None or takes is None or gives == takes, (
                f"foresight_time_steps: output {source!r} has {gives} features, "
                f"but feeds input {target!r}, which has {takes}"
            )

    def _time_series(self, inputs: Any) -> dict[str, Tensor]:
        """Prepared inputs ``[B, T, ...]``: a missing time axis added, short ones padded with zeros at the end."""
        x = self._prepare(inputs)
        for name, value in x.items():
            if value.dim() < 2 or 0 in value.shape[:2]:
                raise ValueError(f"inputs {name!r}: expected shape [B, T, F] or [B, F], got {list(value.shape)}")
        x = {name: dense(value).unsqueeze(1) if value.dim() == 2 else value for name, value in x.items()}
        batches = {name: value.shape[0] for name, value in x.items()}
        if len(set(batches.values())) > 1:
            raise ValueError(f"inputs: expected one batch size, got {batches}")
        steps = max(value.shape[1] for value in x.values())
        return {
            name: value
            if value.shape[1] == steps
            else torch.cat(
                [dense(value), value.new_zeros(value.shape[0], steps - value.shape[1], *value.shape[2:])], dim=1
            )
            for name, value in x.items()
        }

    def _initial_states(self, given: Any, dtype: torch.dtype) -> list[State]:
        names = self.get_all_layers_names()
        if isinstance(given, Mapping):
            unknown = [name for name in given if name not in names]
            if unknown:
                raise ValueError(f"init_hidden_states: expected layer names among {names}, got {unknown}")
            by_name = dict(given)
        else:
            by_name = dict.fromkeys(names, given)
        states: list[State] = []
        for name, layer in zip(names, self.get_all_layers()):
            state = by_name.get(name)
            known = layer.state_names if isinstance(layer, FusedLayer) and not defines_forward(layer) else None
            if state is None or known == ():
                states.append(None)
                continue
            entries: tuple[Any, ...] = (state,) if isinstance(state, Tensor) else tuple(state)
            if known is not None and len(entries) != len(known):
                raise ValueError(
                    f"init_hidden_states {name!r}: expected {len(known)} states {known}, got {len(entries)}"
                )
            # Entries that are None are completed by the layer.
            cast: list[Any] = [s if s is None else s.to(device=self.device, dtype=dtype) for s in entries]
            states.append(tuple(cast))
        return states

    def _network(self) -> Network:
        return Network(
            list(self.input_layers.values()),
            list(self.hidden_layers),
            list(self.output_layers.values()),
            self._stateful,
        )

    def _teachers(self, teacher: Any, weight: float, x: dict[str, Tensor], steps: int) -> list[Tensor | None]:
        """Per input the true inputs to mix in, or None, in the dtype of the inputs and without gradient."""
        if not 0.0 <= weight <= 1.0:
            raise ValueError(f"teacher_weight: expected 0 to 1, got {weight}")
        named = teacher if isinstance(teacher, Mapping) else dict.fromkeys(x, teacher)
        unknown = [name for name in named if name not in x]
        if unknown:
            raise ValueError(f"teacher: expected input names among {list(x)}, got {unknown}")
        made: list[Tensor | None] = []
        for name, given in x.items():
            value = named.get(name)
            if value is None:
                made.append(None)
                continue
            value = torch.as_tensor(value).detach().to(device=self.device, dtype=given.dtype)
            expected = [given.shape[0], steps, *given.shape[2:]]
            if list(value.shape) != expected:
                raise ValueError(f"teacher {name!r}: expected shape {expected}, got {list(value.shape)}")
            made.append(value)
        return made

    def plan(self, inputs: Any, *, foresight_time_steps: int | None = None) -> Plan:
        """Say how a call with these inputs would run: which path each layer takes, and why.

        Parameters
        ----------
        inputs : as for a call
            A model that is not built yet is built from them.
        foresight_time_steps : int, optional
            As for a call.

        Returns
        -------
        Plan
            Print it, or ask ``plan["layer name"].path``: ``"fused sequence"``, ``"fused network"``, ``"step by step"``.
        """
        if not self._is_built:
            self.infer_sizes_from_inputs(inputs)
            self.build()
        foresight = self.foresight_time_steps if foresight_time_steps is None else foresight_time_steps
        given = next(iter(self._time_series(inputs).values())).shape[1]
        loop = f", then {foresight - 1} in closed loop" if foresight > 1 else ""
        title = f"{self.name}: {given} given time steps{loop}, {str(self._weight_dtype()).removeprefix('torch.')}"
        return make_plan(title, self.get_dict_of_layers(), len(self._input_names()), closed_loop=foresight > 1)

    def forward(  # type: ignore[override]
        self,
        inputs: Any,
        init_hidden_states: Any = None,
        *,
        foresight_time_steps: int | None = None,
        teacher: Any = None,
        teacher_weight: float = 0.0,
        lengths: Any = None,
    ) -> tuple[dict[str, Tensor], dict[str, Hidden]]:
        """Integrate the inputs and forecast.

        Parameters
        ----------
        inputs : Tensor [B, T, F] or [B, F], array, or dict of them by input name
            ``[B, F]`` is one time step; a tensor is given to every input layer; inputs shorter than the longest are
            padded with zeros at the end. Sparse tensors give the same numbers. ``[B, T, ..., F]``, with axes between
            time and features, goes through :class:`~neurotorch.Linear` and modules of torch; several inputs are then
            joined along the first of them.
        init_hidden_states : dict, tuple or Tensor, optional
            States ``[B, N]`` before the first step: by layer name (missing layers start fresh), the same tuple for
            every layer, or one tensor as the only state of every layer.
        foresight_time_steps : int, optional
            Steps to forecast in this call; the memory sizes stay.
        teacher : Tensor [B, S, F] or dict by input name, optional
            True inputs to mix into what is fed back in a forecast; S counts all time steps. No gradient reaches them.
        teacher_weight : float
            Weight w of the mixture ``(1 - w) * output + w * teacher``.
        lengths : Tensor or sequence of int [B], optional
            Number of given steps of each sample, 1 to T, by default T. Beyond them the inputs may hold anything. After
            its end a sample's outputs are zero (before the output transform) and its states stay. A forecast starts at
            the end of each sample and is as long for all; samples of the same length then run together.

        Returns
        -------
        outputs : dict of Tensor [B, L, N]
            Transformed output by output layer. With S = T + max(0, foresight - 1) steps, L = min(out_memory_size, S).
        hidden_states : dict
            By layer, for all layers: a tuple of ``[B, L, N]``, L = min(hh_memory_size, S), one per state, entry i being
            the state after a step; a list of L None for a layer without state.

        Raises
        ------
        ValueError
            Names or shapes of inputs or states do not fit, or a length is out of range.
        """
        foresight = self.foresight_time_steps if foresight_time_steps is None else foresight_time_steps
        assert foresight >= 0, f"foresight_time_steps: expected 0 or more, got {foresight}"
        if teacher is None and self.teaching is not None:
            teacher, teacher_weight = self.teaching
        named = self._time_series(inputs)
        x = list(named.values())
        given = x[0].shape[1]
        if lengths is not None:
            if self.online_rule is not None:
                raise ValueError(f"lengths: {type(self.online_rule).__name__} learns from whole sequences only")
            lengths = checked_lengths(lengths, x[0].shape[0], given, self.device)
        total = given + max(0, foresight - 1)
        if total > given:
            self._check_feedback()
        dtype = x[0].dtype
        schedule = Schedule(
            given,
            total,
            int(min(self._out_memory_size, total)),
            int(min(self._hh_memory_size, total)),
            self._feedback(),
            self._teachers(teacher, teacher_weight, named, total),
            teacher_weight,
            lengths=lengths,
        )
        states = self._initial_states(init_hidden_states, dtype)
        if self.online_rule is not None:
            x = [dense(value) for value in x]
        runner = run if self.online_rule is None else self.online_rule.run_online
        outs, hidden = runner(self._network(), x, states, schedule)
        memory = self.memory_device
        outputs = self.apply_output_transform(dict(zip(self._output_names(), move_to(outs, memory))))
        hidden_states: dict[str, Hidden] = {
            name: [None] * schedule.keep_hidden if state is None else move_to(state, memory)
            for name, state in zip(self.get_all_layers_names(), hidden)
        }
        return outputs, hidden_states
