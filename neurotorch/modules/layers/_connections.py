"""Forward and recurrent weights, signs and masks of a layer."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import Parameter

from neurotorch.modules.layers._activations import Activation
from neurotorch.modules.layers._base_layer import BaseLayer
from neurotorch.modules.layers._weights import as_fraction, checked, checked_mask, draw_signs, typical_size

Connected = TypeVar("Connected", bound="ConnectedLayer")


class ConnectedLayer(BaseLayer):
    """The part of :class:`~neurotorch.modules.layers.base.BaseNeuronsLayer` that holds the connections."""

    use_recurrent_connection: bool
    use_rec_eye_mask: bool
    sign_activation: Activation
    _forward_weights: Parameter | None
    _forward_sign: Parameter | None
    _recurrent_weights: Parameter | None
    _recurrent_sign: Parameter | None
    rec_mask: Parameter | None
    forward_mask: Tensor | None
    _assigned: frozenset[str] = frozenset()  # kinds of weights and signs that were assigned before the layer was built

    def __setattr__(self, name: str, value: Any) -> None:
        # torch registers every Parameter under the name it is assigned to, past the setter of a property.
        if isinstance(value, Parameter) and isinstance(getattr(type(self), name, None), property):
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    @property
    def force_dale_law(self) -> bool:
        """Whether each presynaptic neuron has one sign."""
        return bool(self.kwargs["force_dale_law"])

    def _reference_tensor(self) -> Tensor:
        weights = getattr(self, "_forward_weights", None)
        return weights if isinstance(weights, Tensor) else super()._reference_tensor()

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the parameters that concern connections; empty while a size is unknown."""
        if not self.is_ready_to_build:
            return {}
        f, n = int(self._input_size or 0), int(self._output_size or 0)
        return {
            "forward_weights": (f, n),
            "forward_sign": (f, 1),
            "recurrent_weights": (n, n),
            "recurrent_sign": (n, 1),
            "bias_weights": (n,),
        }

    def build(self: Connected) -> Connected:
        """Create and initialise the parameters, once; returns the layer.

        Raises
        ------
        ValueError
            The layer is built already, a size is unknown, given weights, signs or masks have the wrong shape, a mask
            holds other numbers than 0 and 1, or `recurrent_mask` is given without recurrent connections.
        """
        super().build()
        if self.kwargs.get("recurrent_mask") is not None and not self.use_recurrent_connection:
            self._is_built = False
            raise ValueError(f"recurrent_mask: layer {self.name!r} has no recurrent connections")
        try:
            self._create_parameters()
            self.initialize_weights_()
        except BaseException:
            self._is_built = False
            raise
        return self

    def _create_parameters(self) -> None:
        like, shapes = self._reference_tensor().detach(), self._shapes()

        def parameter(kind: str, requires_grad: bool) -> Parameter:
            assigned = getattr(self, f"_{kind}")
            if kind not in self._assigned or assigned is None:
                return Parameter(like.new_empty(shapes[kind]), requires_grad=requires_grad)
            if tuple(assigned.shape) != shapes[kind]:
                raise ValueError(f"{kind}: expected shape {list(shapes[kind])}, got {list(assigned.shape)}")
            # Registered anew, in the order that checkpoints have.
            del self._parameters[f"_{kind}"]
            return assigned  # type: ignore[no-any-return]

        self._forward_weights = parameter("forward_weights", self.requires_grad)
        # A buffer, in checkpoints only where there is one.
        self.forward_mask = self._given_mask("forward", self._forward_weights)
        if self.force_dale_law:
            self._forward_sign = parameter("forward_sign", True)
        if self.use_recurrent_connection:
            self._recurrent_weights = parameter("recurrent_weights", self.requires_grad)
            mask = torch.ones_like(self._recurrent_weights, requires_grad=False)
            given = self._given_mask("recurrent", self._recurrent_weights)
            mask = mask if given is None else given
            self.rec_mask = Parameter(mask.fill_diagonal_(0.0) if self.use_rec_eye_mask else mask, requires_grad=False)
            if self.force_dale_law:
                self._recurrent_sign = parameter("recurrent_sign", True)

    def _given_mask(self, kind: str, weights: Tensor) -> Tensor | None:
        given = self.kwargs.get(f"{kind}_mask")
        return None if given is None else checked_mask(f"{kind}_mask", given, weights)

    def _forward_std(self) -> float:
        """Standard deviation of initial forward weights."""
        f, n = self._shapes()["forward_weights"]
        return float(np.sqrt(2.0 / (f + n)))

    def _recurrent_std(self) -> float:
        """Standard deviation of initial recurrent weights."""
        n, _ = self._shapes()["recurrent_weights"]
        return float(np.sqrt(1.0 / n))

    @torch.no_grad()
    def initialize_weights_(self) -> None:
        """Give weights and signs their initial values.

        With Dale's law the effective weights are ``|M| s(sigma)``: M are the given weights, or drawn ones scaled so
        that the effective weights have the typical size of the layer without Dale's law.
        """
        self._initialize("forward", self._forward_weights, self._forward_sign, self._forward_std())
        if self._recurrent_weights is not None:
            self._initialize("recurrent", self._recurrent_weights, self._recurrent_sign, self._recurrent_std())

    def _initialize(self, kind: str, weights: Tensor | None, sign: Tensor | None, std: float) -> None:
        assert weights is not None
        shapes = self._shapes()
        given = self.kwargs.get(f"{kind}_weights")
        if given is None:
            values = torch.empty_like(weights).normal_(0.0, std)
        else:
            values = checked(f"{kind}_weights", given, shapes[f"{kind}_weights"], weights)
        if sign is not None:
            argument = f"{kind}_sign"
            given_sign = self.kwargs.get(argument)
            fraction = as_fraction(given_sign)
            if given_sign is None or fraction is not None:
                signs = draw_signs(argument, fraction, sign)
                size = typical_size(self.sign_activation, None, weights)
            else:
                signs = checked(argument, given_sign, shapes[argument], sign)
                size = typical_size(self.sign_activation, signs, weights)
            if fraction is not None:
                # Another initialisation draws other weights, but the same neurons stay inhibitory.
                self.kwargs[argument] = signs.cpu().numpy()
            if argument not in self._assigned:
                sign.copy_(signs)
            values = (values / size if given is None and size > 0.0 else values).abs().sqrt()
        if f"{kind}_weights" not in self._assigned:
            weights.copy_(values)
        if self.kwargs.get(f"{kind}_mask") is not None:
            mask = self.forward_mask if kind == "forward" else self.rec_mask
            assert mask is not None
            weights.mul_(mask)

    def _freezable_parameters(self) -> list[Parameter]:
        return self.get_weights_parameters()

    def get_weights_parameters(self) -> list[Parameter]:
        """The stored forward weights, and the recurrent ones if there are any."""
        return [p for p in (self._forward_weights, self._recurrent_weights) if p is not None]

    def get_sign_parameters(self) -> list[Parameter]:
        """The stored signs; empty without Dale's law."""
        return [p for p in (self._forward_sign, self._recurrent_sign) if p is not None]

    def _effective(self, weights: Tensor | None, sign: Tensor | None) -> Tensor | None:
        if weights is None or sign is None:
            return weights
        return weights.square() * self.sign_activation(sign)

    def _assign(self, kind: str, value: Any) -> None:
        """Store raw values: a Parameter replaces the present one, anything else its values."""
        attribute = f"_{kind}"
        current, shape = getattr(self, attribute), self._shapes().get(kind)
        if isinstance(value, Parameter):
            if shape is not None and tuple(value.shape) != shape:
                raise ValueError(f"{kind}: expected shape {list(shape)}, got {list(value.shape)}")
            setattr(self, attribute, value)
            if not self._is_built:
                self._assigned |= {kind}
        elif current is None:
            trainable = self.requires_grad or kind.endswith("sign")
            data = checked(kind, value, shape, self._reference_tensor())
            setattr(self, attribute, Parameter(data, requires_grad=trainable))
            self._assigned |= {kind}
        else:
            current.data = checked(kind, value, shape, current)

    @property
    def forward_weights(self) -> Tensor | None:
        """Effective forward weights ``[F, N]``, differentiable; assigning sets the stored ones. None before build."""
        weights = self._effective(self._forward_weights, self._forward_sign)
        return weights if weights is None or self.forward_mask is None else weights * self.forward_mask

    @forward_weights.setter
    def forward_weights(self, value: Any) -> None:
        self._assign("forward_weights", value)

    @property
    def recurrent_weights(self) -> Tensor | None:
        """Effective recurrent weights ``[N, N]`` before the mask; None without. Assigning sets the stored ones."""
        return self._effective(self._recurrent_weights, self._recurrent_sign)

    @recurrent_weights.setter
    def recurrent_weights(self, value: Any) -> None:
        self._assign("recurrent_weights", value)

    @property
    def forward_sign(self) -> Tensor | None:
        """Activated signs ``[F, 1]``; None without Dale's law. Assigning sets the stored ones."""
        return None if self._forward_sign is None else self.sign_activation(self._forward_sign)

    @forward_sign.setter
    def forward_sign(self, value: Any) -> None:
        self._assign("forward_sign", value)

    @property
    def recurrent_sign(self) -> Tensor | None:
        """Activated signs ``[N, 1]``; None without Dale's law. Assigning sets the stored ones."""
        return None if self._recurrent_sign is None else self.sign_activation(self._recurrent_sign)

    @recurrent_sign.setter
    def recurrent_sign(self, value: Any) -> None:
        self._assign("recurrent_sign", value)

    def get_forward_weights_parameter(self) -> Parameter | None:
        """The stored forward weights."""
        return self._forward_weights

    def set_forward_weights_parameter(self, parameter: Any) -> None:
        """Replace the stored forward weights."""
        self._assign("forward_weights", parameter)

    def get_recurrent_weights_parameter(self) -> Parameter | None:
        """The stored recurrent weights."""
        return self._recurrent_weights

    def set_recurrent_weights_parameter(self, parameter: Any) -> None:
        """Replace the stored recurrent weights."""
        self._assign("recurrent_weights", parameter)

    def get_forward_sign_parameter(self) -> Parameter | None:
        """The stored signs of the inputs."""
        return self._forward_sign

    def set_forward_sign_parameter(self, parameter: Any) -> None:
        """Replace the stored signs of the inputs."""
        self._assign("forward_sign", parameter)

    def get_recurrent_sign_parameter(self) -> Parameter | None:
        """The stored signs of the neurons."""
        return self._recurrent_sign

    def set_recurrent_sign_parameter(self, parameter: Any) -> None:
        """Replace the stored signs of the neurons."""
        self._assign("recurrent_sign", parameter)

    def get_forward_weights_data(self) -> Tensor | None:
        """Values of the stored forward weights."""
        return None if self._forward_weights is None else self._forward_weights.data

    def set_forward_weights_data(self, data: Any) -> None:
        """Set the values of the stored forward weights; the parameter object stays."""
        self._assign("forward_weights", data.detach() if isinstance(data, Tensor) else data)

    def get_recurrent_weights_data(self) -> Tensor | None:
        """Values of the stored recurrent weights."""
        return None if self._recurrent_weights is None else self._recurrent_weights.data

    def set_recurrent_weights_data(self, data: Any) -> None:
        """Set the values of the stored recurrent weights; the parameter object stays."""
        self._assign("recurrent_weights", data.detach() if isinstance(data, Tensor) else data)
