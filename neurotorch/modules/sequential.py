"""Feed-forward stacks of layers, and what all containers share: names, sizes, building."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor

from neurotorch.dimension import Dimension
from neurotorch.modules.base import NamedModule, SizedModule
from neurotorch.modules.base_model import BaseModel
from neurotorch.modules.layers import LayerType
from neurotorch.modules.layers import LayerType2Layer as LayerType2Layer
from neurotorch.modules.layers.base import BaseLayer
from neurotorch.modules.spike_funcs import SpikeFunction, SpikeFuncType
from neurotorch.modules.wrappers import NamedModuleWrapper, SizedModuleWrapper, features_of, run_size

# NeuroTorch's names of what its containers take.
Acceptable_Spike_Func: TypeAlias = type[SpikeFunction] | SpikeFuncType
Acceptable_Spike_Funcs: TypeAlias = Acceptable_Spike_Func | Iterable[Acceptable_Spike_Func]
Acceptable_Layer_Type: TypeAlias = type[BaseLayer] | LayerType
Acceptable_Layer_Types: TypeAlias = Acceptable_Layer_Type | Iterable[Acceptable_Layer_Type]
IntDimension: TypeAlias = int | Dimension


def _named(module: torch.nn.Module) -> NamedModule:
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"layers: expected torch modules, got {type(module).__name__}")
    return module if isinstance(module, NamedModule) else NamedModuleWrapper(module)


def _format_group(group: Any, prefix: str) -> dict[str, NamedModule]:
    """One module, a list or a dict of modules as named modules; the keys of a dict are the names."""
    if isinstance(group, (Mapping, torch.nn.ModuleDict)):
        made = {key: _named(module) for key, module in group.items()}
        for key, layer in made.items():
            if layer.name_is_set:
                assert layer.name == key, f"layers: key {key!r} holds a layer named {layer.name!r}"
            layer.name = key
    else:
        modules = [_named(m) for m in (group if isinstance(group, Iterable) else [group])]
        for k, layer in enumerate(modules):
            if not layer.name_is_set:
                layer.name = f"{prefix}_{k}"
        _check_unique([layer.name for layer in modules])
        made = {layer.name: layer for layer in modules}
    for name in made:
        # These names become attributes of a ModuleDict and parts of checkpoint keys.
        if not name or "." in name or hasattr(torch.nn.ModuleDict, name):
            raise ValueError(f"layers: a layer cannot be named {name!r}")
    return made


def _check_unique(names: list[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    assert not repeated, f"layers: expected distinct names, these repeat: {', '.join(repeated)}"


def size_of(layer: torch.nn.Module, side: str) -> int | None:
    """Number of features that a layer declares for ``"input"`` or ``"output"``; None when unknown."""
    size = getattr(layer, f"{side}_size", None) if isinstance(layer, SizedModule) else None
    if size is not None:
        return int(size)
    if isinstance(layer, (NamedModuleWrapper, SizedModuleWrapper)) and side == "input":
        return features_of(layer.module, "in_features")
    return None


def _give_sizes(layer: torch.nn.Module, input_size: int | None, default_output: int) -> int:
    """Set the unknown sizes of a layer and return its output size."""
    own = size_of(layer, "input")
    if own is None and input_size is None:
        raise ValueError(
            f"layer {layer.name!r}: its input_size is unknown; give it, or call the model on data to build"
        )
    if own is not None and input_size is not None and own != input_size:
        raise ValueError(f"layer {layer.name!r}: has input_size {own}, but what comes before it gives {input_size}")
    size = own if own is not None else input_size
    assert size is not None
    if isinstance(layer, SizedModule) and layer.input_size is None:
        layer.input_size = size
    output = size_of(layer, "output")
    if output is None:
        wrapped = isinstance(layer, (NamedModuleWrapper, SizedModuleWrapper))
        output = run_size(layer, size) if wrapped or not isinstance(layer, SizedModule) else default_output
        if isinstance(layer, SizedModule):
            layer.output_size = output
    return output


class Sequential(BaseModel):
    """A stack of layers without time: ``[first, *hidden, last]``.

    Parameters
    ----------
    layers : iterable
        ``first`` and ``last`` are a module, a list, or a dict name -> module; hidden entries are modules. The outputs
        of several first layers are concatenated; every last layer reads the same features. A single entry is the
        output and there is no input layer: then each output layer reads the input of its own name. Layers without a
        name are called ``input_<i>``, ``hidden_<i>``, ``output_<i>``.
    name, checkpoint_folder, device, input_transform, output_transform
        See :class:`~neurotorch.modules.base_model.BaseModel`.
    n_hidden_neurons : int
        Output size of input and hidden layers that have none.

    Raises
    ------
    AssertionError
        Names repeat, or contradict the keys of a dict.
    ValueError
        There are no layers, or a name cannot stand in a checkpoint key.
    """

    _keywords: tuple[str, ...] = ("n_hidden_neurons",)

    def __init__(
        self,
        layers: Any,
        name: str = "Sequential",
        checkpoint_folder: str = "checkpoints",
        device: torch.device | str | None = None,
        input_transform: Any = None,
        output_transform: Any = None,
        *,
        n_hidden_neurons: int = 128,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            name=name,
            checkpoint_folder=checkpoint_folder,
            device=device,
            input_transform=input_transform,
            output_transform=output_transform,
            **kwargs,
        )
        entries = list(layers) if isinstance(layers, Iterable) else [layers]
        if not entries:
            raise ValueError("layers: expected at least one layer, got none")
        inputs = _format_group(entries[0], "input") if len(entries) > 1 else {}
        hidden = [_named(layer) for layer in entries[1:-1]]
        for k, layer in enumerate(hidden):
            if not layer.name_is_set:
                layer.name = f"hidden_{k}"
        outputs = _format_group(entries[-1], "output")
        if not outputs or (len(entries) > 1 and not inputs):
            raise ValueError("layers: the first and the last entry need at least one layer each")
        _check_unique([*inputs, *[layer.name for layer in hidden], *outputs])
        self.n_hidden_neurons = n_hidden_neurons
        self.input_layers = torch.nn.ModuleDict(inputs)
        self.hidden_layers = torch.nn.ModuleList(hidden)
        self.output_layers = torch.nn.ModuleDict(outputs)
        self.input_sizes = {name: size_of(self.get_layer(name), "input") for name in self._input_names()}
        self.output_sizes = {name: size_of(layer, "output") for name, layer in outputs.items()}

    def _input_names(self) -> list[str]:
        return list(self.input_layers or self.output_layers)

    def _output_names(self) -> list[str]:
        return list(self.output_layers)

    def get_all_layers(self) -> list[torch.nn.Module]:
        """Input, hidden and output layers, in this order."""
        return [*self.input_layers.values(), *self.hidden_layers, *self.output_layers.values()]

    def get_all_layers_names(self) -> list[str]:
        """Their names, in the same order."""
        return [str(layer.name) for layer in self.get_all_layers()]

    def get_dict_of_layers(self) -> dict[str, torch.nn.Module]:
        """All layers by name."""
        return dict(zip(self.get_all_layers_names(), self.get_all_layers()))

    def get_layer(self, name: str | None = None) -> torch.nn.Module:
        """The layer with this name, or the first one; KeyError when there is none."""
        if name is None:
            return self.get_all_layers()[0]
        return self.get_dict_of_layers()[name]

    def get_layers(self, layer_names: list[str] | None = None) -> list[torch.nn.Module]:
        """The layers with these names, or all."""
        if layer_names is None:
            return self.get_all_layers()
        return [self.get_layer(name) for name in layer_names]

    def __getitem__(self, name: str | None) -> torch.nn.Module:
        return self.get_layer(name)

    def _infer_sizes(self) -> None:
        known = self.input_sizes or {}
        if self.input_layers:
            width = 0
            for name, layer in self.input_layers.items():
                width += _give_sizes(layer, known.get(name), self.n_hidden_neurons)
            for layer in self.hidden_layers:
                width = _give_sizes(layer, width, self.n_hidden_neurons)
            fed: dict[str, int | None] = dict.fromkeys(self.output_layers, width)
        else:
            fed = {name: known.get(name) for name in self.output_layers}
        for name, layer in self.output_layers.items():
            before = fed[name] if fed[name] is not None else size_of(layer, "input")
            if isinstance(layer, BaseLayer) and layer.output_size is None and before is not None:
                warnings.warn(f"layer {name!r}: no output_size given, taking its input size {before}", stacklevel=4)
            _give_sizes(layer, before, before or 0)
        self.input_sizes = {name: size_of(self.get_layer(name), "input") for name in self._input_names()}
        self.output_sizes = {name: size_of(layer, "output") for name, layer in self.output_layers.items()}

    def build(self) -> Sequential:
        """Infer sizes, build the layers that are not built yet, make the transforms, move all to the device.

        Layers that were built before keep their weights. Later calls change nothing.

        Raises
        ------
        ValueError
            A size is unknown, or sizes of consecutive layers differ.
        """
        if not self._is_built:
            self._infer_sizes()
            self.build_layers()
            super().build()
        return self

    def build_layers(self) -> None:
        """Build the layers that are not built yet; their sizes must be known."""
        for layer in self.get_all_layers():
            if isinstance(layer, BaseLayer) and not layer.is_built:
                layer.build()

    def initialize_weights_(self) -> None:
        """Give the weights of all layers new initial values."""
        for layer in self.get_all_layers():
            if isinstance(layer, BaseLayer):
                layer.initialize_weights_()

    def _weight_dtype(self) -> torch.dtype:
        for parameter in self.parameters():
            if parameter.is_floating_point():
                return parameter.dtype
        return torch.get_default_dtype()

    def _inputs_to_dict(self, inputs: Any) -> dict[str, Any]:
        names = self._input_names()
        if not isinstance(inputs, Mapping):
            return dict.fromkeys(names, inputs)
        if set(inputs) != set(names):
            raise ValueError(f"inputs: expected the names {names}, got {list(inputs)}")
        return {name: inputs[name] for name in names}

    def _prepare(self, inputs: Any) -> dict[str, Tensor]:
        """Named, transformed, on the device of the model and in the dtype of its weights."""
        dtype = self._weight_dtype()
        return {name: x.to(dtype) for name, x in self.apply_input_transform(self._inputs_to_dict(inputs)).items()}

    @staticmethod
    def _run(name: str, layer: torch.nn.Module, x: Tensor) -> Tensor:
        out = layer(x)
        if not isinstance(out, Tensor):
            raise TypeError(
                f"layer {name!r}: returned a {type(out).__name__}; for layers with a state use SequentialRNN"
            )
        return out

    def forward(self, inputs: Any) -> dict[str, Tensor]:  # type: ignore[override]
        """Compute all outputs.

        Parameters
        ----------
        inputs : Tensor [B, ..., F], array, or dict of them by input name
            A tensor is given to every input layer.

        Returns
        -------
        dict of Tensor
            Transformed output by output layer.

        Raises
        ------
        ValueError
            The names of the inputs are not those of the input layers.
        TypeError
            A layer returned a state.
        """
        x = self._prepare(inputs)
        if self.input_layers:
            current = torch.cat([self._run(name, layer, x[name]) for name, layer in self.input_layers.items()], dim=-1)
            for layer in self.hidden_layers:
                current = self._run(str(layer.name), layer, current)
            x = dict.fromkeys(self.output_layers, current)
        return self.apply_output_transform(
            {name: self._run(name, layer, x[name]) for name, layer in self.output_layers.items()}
        )

    def get_prediction_trace(self, inputs: Any, **kwargs: Any) -> Any:
        """Outputs, as a tensor when there is one."""
        outputs = self(inputs, **kwargs)
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    def get_raw_prediction(self, inputs: Any, re_outputs_trace: bool = True, re_hidden_states: bool = True) -> Any:
        """Dict of outputs; there are no hidden states to return."""
        return self(inputs)

    def get_and_reset_regularization_loss(self) -> Tensor:
        """Sum of the regularisation losses of the layers since the last reset."""
        total = super().get_and_reset_regularization_loss()
        for layer in self.get_all_layers():
            if isinstance(layer, BaseLayer):
                total = total + layer.get_and_reset_regularization_loss()
        return total
