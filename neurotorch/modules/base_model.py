"""What every model has: transforms of inputs and outputs, device, checkpoints, predictions."""

from __future__ import annotations

import difflib
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from neurotorch.dimension import Dimension
from neurotorch.modules.base import NamedModule
from neurotorch.transforms.base import IdentityTransform, ToTensor, move_to
from neurotorch.transforms.wrappers import CallableToModuleWrapper
from neurotorch.utils.checkpoint_files import BEST, LAST, listed_file, read_checkpoint


def as_module(transform: Any) -> torch.nn.Module:
    """A transform as a module: modules as they are, callables wrapped, sequences of them in a row."""
    if isinstance(transform, torch.nn.Module):
        return transform
    if isinstance(transform, (list, tuple)):
        return torch.nn.Sequential(*[as_module(t) for t in transform])
    if callable(transform):
        return CallableToModuleWrapper(transform)
    raise TypeError(f"transform: expected a callable, got {type(transform).__name__}")


def map_tensors(function: Callable[[Tensor], Tensor], x: Any) -> Any:
    """Apply a function to a tensor or to every value of a dict of tensors; ValueError for anything else."""
    if isinstance(x, Tensor):
        return function(x)
    if isinstance(x, dict):
        return {key: function(value) for key, value in x.items()}
    raise ValueError(f"expected a tensor or a dict of tensors, got {type(x).__name__}")


class BaseModel(NamedModule):
    """Base of all models.

    Parameters
    ----------
    input_sizes, output_size : int, Dimension, list or dict, optional
        Features of each input and output. A list is named ``"0"``, ``"1"``, ...; a single size ``"0"``.
    name : str
        Name of the model, also of its checkpoint metadata.
    checkpoint_folder : str
        Where its checkpoints are.
    device : torch.device or str, optional
        By default the CPU.
    input_transform, output_transform : callable, list or dict, optional
        Applied to whole batches of inputs and outputs. A callable serves every input (output), a list is assigned in
        their order and filled up with defaults, a dict names them all. Default: conversion to a tensor; identity.
    """

    _keywords: tuple[str, ...] = ()

    def __init__(
        self,
        input_sizes: Any = None,
        output_size: Any = None,
        name: str = "BaseModel",
        checkpoint_folder: str = "checkpoints",
        device: torch.device | str | None = None,
        input_transform: Any = None,
        output_transform: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name)
        self._is_built = False
        self._given_input_transform = input_transform
        self._given_output_transform = output_transform
        self.input_transform: torch.nn.ModuleDict | None = None
        self.output_transform: torch.nn.ModuleDict | None = None
        self.input_sizes = input_sizes
        self.output_sizes = output_size
        self.checkpoint_folder = checkpoint_folder
        self.kwargs = kwargs
        for key in kwargs:
            near = difflib.get_close_matches(key, self._keywords, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            warnings.warn(f"{type(self).__name__}: unknown argument {key!r} has no effect{hint}", stacklevel=3)
        self._device = torch.device("cpu" if device is None else device)

    @staticmethod
    def _format_sizes(sizes: Any) -> dict[str, int | None]:
        if isinstance(sizes, Mapping):
            named = dict(sizes)
        elif isinstance(sizes, (list, tuple)):
            named = {str(k): size for k, size in enumerate(sizes)}
        else:
            named = {"0": sizes}
        return {
            str(key): size.size if isinstance(size, Dimension) else None if size is None else int(size)
            for key, size in named.items()
        }

    @property
    def input_sizes(self) -> dict[str, int | None] | None:
        """Features of each input by name; None when unknown."""
        return self._input_sizes

    @input_sizes.setter
    def input_sizes(self, sizes: Any) -> None:
        self._input_sizes = None if sizes is None else self._format_sizes(sizes)

    @property
    def output_sizes(self) -> dict[str, int | None] | None:
        """Features of each output by name; None when unknown."""
        return self._output_sizes

    @output_sizes.setter
    def output_sizes(self, sizes: Any) -> None:
        self._output_sizes = None if sizes is None else self._format_sizes(sizes)

    @property
    def is_built(self) -> bool:
        """Whether :meth:`build` ran."""
        return self._is_built

    @property
    def checkpoints_meta_path(self) -> str:
        """JSON file that lists the checkpoints of this model."""
        return f"{self.checkpoint_folder}/{self.name}-checkpoints.json"

    @property
    def device(self) -> torch.device:
        """Device of the parameters and of the computation; set it to move the model."""
        return self._device

    @device.setter
    def device(self, device: torch.device | str) -> None:
        self.to(device)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> BaseModel:
        # Every way of moving a module (to, cuda, cpu) ends here; an empty tensor shows where it goes.
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        moved = fn(torch.empty(0, device=self._device)).device
        if moved.type != self._device.type or (self._device.index is not None and moved.index != self._device.index):
            self._device = moved
        return self

    def _input_names(self) -> list[str]:
        return list(self.input_sizes or {"0": None})

    def _output_names(self) -> list[str]:
        return list(self.output_sizes or {"0": None})

    def get_default_input_transform(self) -> dict[str, torch.nn.Module]:
        """Conversion to a tensor per input; models cast it to the dtype of their weights."""
        return {name: ToTensor(dtype=None) for name in self._input_names()}

    def get_default_output_transform(self) -> dict[str, torch.nn.Module]:
        """Identity per output."""
        return {name: IdentityTransform() for name in self._output_names()}

    @staticmethod
    def _make_transform(argument: str, given: Any, default: dict[str, torch.nn.Module]) -> torch.nn.ModuleDict:
        if given is None:
            return torch.nn.ModuleDict(default)
        if isinstance(given, (Mapping, torch.nn.ModuleDict)):
            missing = [name for name in default if name not in given]
            assert not missing, f"{argument}: expected a transform for {', '.join(default)}, got none for {missing}"
            return torch.nn.ModuleDict({name: as_module(given[name]) for name in default})
        if isinstance(given, (list, tuple)):
            if len(given) > len(default):
                raise ValueError(f"{argument}: expected at most {len(default)} transforms, got {len(given)}")
            made = [as_module(t) for t in given]
            return torch.nn.ModuleDict({**default, **dict(zip(default, made))})
        if callable(given):
            made_once = as_module(given)
            return torch.nn.ModuleDict(dict.fromkeys(default, made_once))
        raise TypeError(f"{argument}: expected a callable, a list or a dict of callables, got {type(given).__name__}")

    @staticmethod
    def _apply_transform(argument: str, transforms: torch.nn.ModuleDict | None, values: dict[str, Any]) -> Any:
        assert transforms is not None, "the model has no transforms yet: call build() first"
        for name in values:
            assert name in transforms, f"{argument}: expected names among {list(transforms)}, got {name!r}"
        return {name: transforms[name](value) for name, value in values.items()}

    def apply_input_transform(self, inputs: dict[str, Any]) -> dict[str, Tensor]:
        """Transform each input and move it to the device; AssertionError for an unknown name."""
        made: dict[str, Tensor] = self._apply_transform("inputs", self.input_transform, inputs)
        return {name: move_to(value, self._device) for name, value in made.items()}

    def apply_output_transform(self, outputs: dict[str, Any]) -> dict[str, Tensor]:
        """Transform each output; AssertionError for an unknown name."""
        made: dict[str, Tensor] = self._apply_transform("outputs", self.output_transform, outputs)
        return made

    def infer_sizes_from_inputs(self, inputs: Any) -> None:
        """Take unknown input sizes from the last axis of the inputs."""
        named = inputs if isinstance(inputs, Mapping) else dict.fromkeys(self._input_names(), inputs)
        known = self.input_sizes or {}
        self.input_sizes = {
            name: known[name] if known.get(name) is not None else int(x.shape[-1]) for name, x in named.items()
        }

    def build(self) -> BaseModel:
        """Make the transforms and move the model to its device. Later calls change nothing.

        Returns
        -------
        BaseModel
            The model itself.
        """
        if not self._is_built:
            self.input_transform = self._make_transform(
                "input_transform", self._given_input_transform, self.get_default_input_transform()
            )
            self.output_transform = self._make_transform(
                "output_transform", self._given_output_transform, self.get_default_output_transform()
            )
            self._is_built = True
            self.to(self._device)
        return self

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Build the model from its first inputs if needed, then run :meth:`forward`."""
        if not self._is_built:
            self.infer_sizes_from_inputs(inputs)
            self.build()
        return super().__call__(inputs, *args, **kwargs)

    def forward(self, inputs: Any, **kwargs: Any) -> Any:
        """Compute the outputs; subclasses define it."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def get_prediction_trace(self, inputs: Any, **kwargs: Any) -> Any:
        """Outputs over time; subclasses define it."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_prediction_trace")

    def get_raw_prediction(self, inputs: Any, re_outputs_trace: bool = True, re_hidden_states: bool = True) -> Any:
        """Outputs and hidden states as the model gives them; subclasses define it."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_raw_prediction")

    def _first_mapped(self, function: Callable[[Tensor], Tensor], inputs: Any, **kwargs: Any) -> Any:
        raw = self.get_raw_prediction(inputs, **kwargs)
        if isinstance(raw, (tuple, list)):
            return (map_tensors(function, raw[0]), *raw[1:])
        return map_tensors(function, raw)

    def get_prediction_proba(self, inputs: Any, re_outputs_trace: bool = True, re_hidden_states: bool = True) -> Any:
        """Raw prediction with a softmax over the last axis of its first element."""
        softmax = torch.nn.Softmax(dim=-1)
        return self._first_mapped(softmax, inputs, re_outputs_trace=re_outputs_trace, re_hidden_states=re_hidden_states)

    def get_prediction_log_proba(
        self, inputs: Any, re_outputs_trace: bool = True, re_hidden_states: bool = True
    ) -> Any:
        """Raw prediction with a log-softmax over the last axis of its first element."""
        log_softmax = torch.nn.LogSoftmax(dim=-1)
        return self._first_mapped(
            log_softmax, inputs, re_outputs_trace=re_outputs_trace, re_hidden_states=re_hidden_states
        )

    def get_and_reset_regularization_loss(self) -> Tensor:
        """Regularisation loss since the last reset; zero here."""
        return torch.zeros((), device=self._device)

    def load_checkpoint(
        self,
        checkpoints_meta_path: str | os.PathLike[str] | None = None,
        load_checkpoint_mode: Any = "best_itr",
        verbose: bool = True,
    ) -> dict[str, Any]:
        """Restore the weights from a checkpoint.

        Parameters
        ----------
        checkpoints_meta_path : path, optional
            JSON metadata; by default :attr:`checkpoints_meta_path`. Checkpoint files are looked for beside it, then in
            the model's checkpoint folder.
        load_checkpoint_mode : LoadCheckpointMode or str
            ``"best"``/``"best_itr"`` or ``"last"``/``"last_itr"``.
        verbose : bool
            Print which file is loaded.

        Returns
        -------
        dict
            The whole checkpoint.

        Raises
        ------
        FileNotFoundError
            No metadata, no such checkpoint, or no file.
        """
        meta_path = (
            os.fspath(checkpoints_meta_path) if checkpoints_meta_path is not None else self.checkpoints_meta_path
        )
        which = str(getattr(load_checkpoint_mode, "name", load_checkpoint_mode)).lower().removesuffix("_itr")
        if which not in (BEST, LAST):
            raise ValueError(f"load_checkpoint_mode: expected 'best' or 'last', got {load_checkpoint_mode!r}")
        path = listed_file(meta_path, which, self.checkpoint_folder)
        if verbose:
            print(f"{self.name}: loading checkpoint {path}")
        checkpoint = read_checkpoint(path, self._device)
        self.build()
        self.load_state_dict(checkpoint["model_state_dict"], strict=True)
        return checkpoint

    def _paired_parameters(self, other: BaseModel) -> Iterable[tuple[Tensor, Tensor]]:
        mine, theirs = dict(self.named_parameters()), dict(other.named_parameters())
        if mine.keys() != theirs.keys():
            raise ValueError(
                f"other: expected the same parameters, these differ: {sorted(mine.keys() ^ theirs.keys())}"
            )
        return [(p, theirs[name]) for name, p in mine.items()]

    def soft_update(self, other: BaseModel, tau: float = 1e-2) -> None:
        """Move every parameter towards that of another model: ``p = (1 - tau) p + tau p_other``.

        Raises
        ------
        ValueError
            The models have different parameters.
        """
        with torch.no_grad():
            for mine, theirs in self._paired_parameters(other):
                mine.copy_((1.0 - tau) * mine + tau * theirs.to(mine))

    def hard_update(self, other: BaseModel) -> None:
        """Copy all parameters and buffers of another model."""
        self.load_state_dict(other.state_dict())

    def to_onnx(self, in_viz: Any = None) -> None:
        """Not supported: the fused operators have no ONNX counterpart."""
        raise NotImplementedError("to_onnx: the fused operators have no ONNX counterpart; use torch.export instead")
