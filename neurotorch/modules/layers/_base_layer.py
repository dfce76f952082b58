"""What every layer has: sizes, device, building, states, regularisation."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor

from neurotorch.dimension import SizeTypes
from neurotorch.functional import LayerCall
from neurotorch.modules.base import SizedModule
from neurotorch.modules.layers._keywords import resolve
from neurotorch.modules.layers._lengths import checked_lengths, hold, silence
from neurotorch.transforms.base import move_to
from neurotorch.utils import unpack_out_hh

State = tuple[Tensor, ...]
Layer = TypeVar("Layer", bound="BaseLayer")


def is_own(kind: type, method: str) -> bool:
    """Whether a method of a class is this library's (or torch's): neither defined by a user's class nor replaced.

    The defining class counts as well as the function, since decorators may give a function another's module.
    """
    defining = next(base for base in kind.__mro__ if method in vars(base))
    modules = (defining.__module__, getattr(kind, method).__module__)
    return all(str(module).startswith(("neurotorch.", "torch.")) for module in modules)


class BaseLayer(SizedModule):
    """Base of all layers: one call is one time step ``[B, F] -> [B, N]``, or a whole sequence ``[B, T, F]``.

    A layer of one's own defines :meth:`forward` for one step, returning the output or ``(output, state)``, and
    :meth:`create_empty_state`. Its own keyword arguments may be passed on to this constructor and read from
    :attr:`kwargs`, with defaults set in ``_set_default_kwargs``.

    Parameters
    ----------
    input_size, output_size : int, Dimension, Size or iterable, optional
        Number of features. A missing input size is taken from the first input.
    name : str, optional
        By default the name of the class.
    device : torch.device or str, optional
        By default the CPU.
    regularize : bool
        Accumulate a regularisation loss at every call.
    freeze_weights : bool
        Build the weights without gradient.

    Attributes
    ----------
    kwargs : dict
        The resolved keyword arguments, unknown ones included (they cause a UserWarning).
    """

    state_names: tuple[str, ...] = ()
    _device: torch.device | str

    def __init__(
        self,
        input_size: SizeTypes | None = None,
        output_size: SizeTypes | None = None,
        name: str | None = None,
        device: torch.device | str | None = None,
        *,
        regularize: bool | None = None,
        freeze_weights: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(input_size=input_size, output_size=output_size, name=name)
        self._is_built = False
        self._freeze_weights = bool(freeze_weights)
        if device is None:
            self._set_default_device_()
        else:
            self._device = device
        # An empty buffer follows every move and cast, so that a layer without parameters knows its device and dtype.
        self.register_buffer("_anchor", torch.empty(0, dtype=torch.float32, device=self._device), persistent=False)
        self._regularization_loss = torch.zeros((), device=self._device)
        self.kwargs = resolve(self, {**kwargs, "regularize": regularize, "freeze_weights": freeze_weights})
        self._set_default_kwargs()
        self.kwargs.setdefault("regularize", False)
        self._freeze_weights = bool(self.kwargs.setdefault("freeze_weights", False))

    def __getstate__(self) -> dict[str, Any]:
        # The accumulated loss may belong to a graph, which can be neither copied nor pickled.
        return {**self.__dict__, "_regularization_loss": self._regularization_loss.detach()}

    def _set_default_kwargs(self) -> None:
        """Set defaults in ``self.kwargs``; called once by the constructor, for subclasses to override."""

    def _set_default_device_(self) -> None:
        self._device = torch.device("cpu")

    @property
    def device(self) -> torch.device | str:
        """Where the layer is, as it was given; assigning moves the layer."""
        actual = self._reference_tensor().device
        given = torch.device(self._device)
        same = given.type == actual.type and (given.index or 0) == (actual.index or 0)
        return self._device if same else actual

    @device.setter
    def device(self, device: torch.device | str) -> None:
        self.to(device)
        self._device = device

    def _reference_tensor(self) -> Tensor:
        """A tensor with the device and dtype in which the layer computes."""
        anchor = self._anchor
        assert isinstance(anchor, Tensor)
        return anchor

    @property
    def regularize(self) -> bool:
        """Whether calls accumulate a regularisation loss."""
        return bool(self.kwargs.get("regularize", False))

    @regularize.setter
    def regularize(self, regularize: bool) -> None:
        self.kwargs["regularize"] = bool(regularize)

    @property
    def requires_grad(self) -> bool:
        """Whether the weights are trained, that is, not frozen."""
        return not self._freeze_weights

    @property
    def freeze_weights(self) -> bool:
        """Whether the weights are frozen. Constants, masks, signs and learnable constants are not concerned."""
        return self._freeze_weights

    @freeze_weights.setter
    def freeze_weights(self, freeze_weights: bool) -> None:
        self._freeze_weights = bool(freeze_weights)
        for parameter in self._freezable_parameters():
            parameter.requires_grad_(self.requires_grad)

    def _freezable_parameters(self) -> list[torch.nn.Parameter]:
        """The genuine weights, which :attr:`freeze_weights` concerns."""
        return list(self.parameters())

    @property
    def is_ready_to_build(self) -> bool:
        """Whether both sizes are known."""
        return all(size is not None and size.size is not None for size in (self._input_size, self._output_size))

    @property
    def is_built(self) -> bool:
        """Whether the parameters exist."""
        return self._is_built

    def build(self: Layer) -> Layer:
        """Create the parameters, once; returns the layer.

        Raises
        ------
        ValueError
            The layer is built already, or a size is unknown.
        """
        if self._is_built:
            raise ValueError(f"layer {self.name!r} is built already")
        if not self.is_ready_to_build:
            raise ValueError(
                f"layer {self.name!r}: input_size and output_size must be known to build it, "
                f"got {self._input_size} and {self._output_size}"
            )
        self._is_built = True
        self.reset_regularization_loss()
        return self

    def infer_sizes_from_inputs(self, inputs: Tensor) -> None:
        """Take an unknown input size from the last axis of the inputs."""
        if self._input_size is None or self._input_size.size is None:
            self.input_size = inputs.shape[-1]

    def initialize_weights_(self) -> None:
        """Give the weights their initial values; called once by :meth:`build`, for subclasses to override."""

    def create_empty_state(self, batch_size: int = 1, **kwargs: Any) -> State:
        """State before the first step, a tuple of ``[batch_size, N]``; defined by subclasses."""
        raise NotImplementedError(f"{type(self).__name__} defines no create_empty_state")

    def _init_forward_state(
        self, state: Any = None, batch_size: int = 1, *, inputs: Tensor | None = None, **kwargs: Any
    ) -> State:
        """A full state: the given entries, and a fresh one wherever there is None."""
        if isinstance(state, Tensor):
            state = (state,)
        if state is not None and all(entry is not None for entry in state):
            return tuple(state)
        fresh = self._fresh_state(batch_size, inputs, **kwargs)
        if state is None:
            return fresh
        if len(state) != len(fresh):
            raise ValueError(f"state: expected {len(fresh)} entries, got {len(state)}")
        return tuple(made if entry is None else entry for made, entry in zip(fresh, state, strict=True))

    def _fresh_state(self, batch_size: int, inputs: Tensor | None, **kwargs: Any) -> State:
        if inputs is not None:
            kwargs["inputs"] = inputs
        return tuple(self.create_empty_state(batch_size, **kwargs))

    def reset_regularization_loss(self) -> None:
        """Set the accumulated regularisation loss to zero."""
        self._regularization_loss = self._reference_tensor().new_zeros(())

    def get_regularization_loss(self) -> Tensor:
        """The regularisation loss accumulated since the start of the sequence."""
        return self._regularization_loss

    def get_and_reset_regularization_loss(self) -> Tensor:
        """The accumulated regularisation loss, which then starts from zero again."""
        loss = self._regularization_loss
        self.reset_regularization_loss()
        return loss

    def update_regularization_loss(self, state: Any | None = None, *args: Any, **kwargs: Any) -> Tensor:
        """Add the loss of one step, or of the traces of a sequence; returns the accumulated one, here unchanged."""
        return self._regularization_loss

    def _prepare(self, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Inputs and state on the device of the layer, which is built if it is not."""
        if not self._is_built:
            self.infer_sizes_from_inputs(inputs)
            self.build()
        device = self._reference_tensor().device
        return move_to(inputs, device, non_blocking=False), move_to(state, device, non_blocking=False)

    def __call__(self, inputs: Tensor, state: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Run one step ``[B, F]`` or a whole sequence ``[B, T, F]``, building the layer if needed.

        Parameters
        ----------
        inputs : Tensor
            Moved to the device of the layer.
        state : tuple of Tensor [B, N], optional
            State before the step; the layer makes one, or the entries that are None.
        *args, **kwargs
            Passed on to :meth:`forward`. Containers pass the time step ``t``.

        Returns
        -------
        Tensor or (Tensor, state)

        Raises
        ------
        ValueError
            A size is unknown, or :meth:`forward` returned something else.
        """
        inputs, state = self._prepare(inputs, state)
        if self.regularize and (state is None or kwargs.get("t") == 0 or inputs.dim() > 2):
            self.reset_regularization_loss()
        result = super().__call__(inputs, state, *args, **kwargs)
        if not isinstance(result, Tensor) and not (isinstance(result, (tuple, list)) and len(result) == 2):
            raise ValueError(
                f"layer {self.name!r}: forward must return a tensor or (output, state), got {type(result).__name__}"
            )
        if self.regularize:
            self._regularize_call(inputs, None if isinstance(result, Tensor) else result[1])
        return result

    def _regularize_call(self, inputs: Tensor, state: Any) -> None:
        self.update_regularization_loss(state)

    def forward(self, inputs: Tensor, state: Any = None, **kwargs: Any) -> Any:
        """One time step; defined by subclasses."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def fused_reason(self) -> str | None:
        """Why the fused operators cannot run the layer; None when they can."""
        return f"there is no fused operator for {type(self).__name__}"

    def fused_call(self) -> LayerCall | None:
        """What the fused operators need to run the layer; None when they cannot, see :meth:`fused_reason`."""
        return None

    def forward_sequence(
        self,
        x: Tensor,
        state: Any = None,
        *,
        trace: bool = False,
        recompute_every: int = 0,
        lengths: Any = None,
    ) -> tuple[Tensor, State]:
        """Run a whole sequence; here one call per step.

        Parameters
        ----------
        x : Tensor [B, T, F]
        state : tuple of Tensor [B, N], optional
            State before the first step; the layer makes one, or the entries that are None.
        trace : bool
            Return the state after every step instead of after the last one.
        recompute_every : int
            K > 0 keeps the state every K steps only and recomputes the others in the backward pass.
        lengths : Tensor or sequence of int [B], optional
            Number of steps of each sample, 1 to T, by default T. Beyond them `x` may hold anything: outputs are zero
            and the state stays what it was at the end of the sample.

        Returns
        -------
        out : Tensor [B, T, N]
        state : tuple of Tensor
            ``[B, N]`` each, or the traces ``[B, T, N]``. Empty for a layer without state.

        Raises
        ------
        ValueError
            `x` is not 3-D, or `recompute_every` is asked of a layer that runs step by step.
        """
        if x.dim() != 3 or x.shape[1] == 0:
            raise ValueError(f"x: expected shape [B, T, F] with at least one step, got {list(x.shape)}")
        if recompute_every:
            raise ValueError(f"recompute_every: layer {self.name!r} runs step by step and keeps every step")
        if lengths is not None:
            lengths = checked_lengths(lengths, x.shape[0], x.shape[1], x.device)
            x = silence(x, lengths)
        outs: list[Tensor] = []
        states: list[State] = []
        for t, x_t in enumerate(x.unbind(1)):
            out, new = unpack_out_hh(self(x_t, state, t=t))
            if lengths is not None:
                out, new = hold(out, None, lengths > t), hold(new, state if states else None, lengths > t)
            state = new
            outs.append(out)
            entries = () if state is None else (state,) if isinstance(state, Tensor) else tuple(state)
            states.append(tuple(entry for entry in entries if entry is not None))
        final = tuple(torch.stack(steps, dim=1) for steps in zip(*states, strict=True)) if trace else states[-1]
        return torch.stack(outs, dim=1), final

    def __repr__(self) -> str:
        weights = "<->" if getattr(self, "use_recurrent_connection", False) else "->"
        dale = "[Dale]" if getattr(self, "force_dale_law", False) else ""
        sizes = [str(size.size) if size is not None else "?" for size in (self._input_size, self._output_size)]
        frozen = "[frozen]" if self._freeze_weights else ""
        inner = weights.join(sizes) + self.extra_repr() + self._activations_repr()
        return f"{type(self).__name__}<{self.name}>{dale}({inner}){frozen}@{self.device}"

    def _activations_repr(self) -> str:
        return ""
