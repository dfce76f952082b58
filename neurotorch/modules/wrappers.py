"""Plain torch modules as named and sized modules of a network."""

from __future__ import annotations

from typing import Any

import torch

from neurotorch.modules.base import NamedModule, SizedModule


def features_of(module: torch.nn.Module, attribute: str, last: bool = False) -> int | None:
    """First (or last) ``in_features``/``out_features`` found in the module or its submodules."""
    found = [getattr(m, attribute) for m in module.modules() if isinstance(getattr(m, attribute, None), int)]
    return (found[-1] if last else found[0]) if found else None


def run_size(module: torch.nn.Module, input_size: int) -> int:
    """Last axis of the output for one row of zeros, computed in evaluation mode without gradient."""
    like = next(module.parameters(), None)
    x = torch.zeros(1, input_size) if like is None else like.new_zeros(1, input_size)
    modes = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            out = module(x)
            return int((out[0] if isinstance(out, (tuple, list)) else out).shape[-1])
    finally:
        for m, training in modes:
            m.training = training


class NamedModuleWrapper(NamedModule):
    """Give a torch module a name.

    Parameters
    ----------
    module : torch.nn.Module
        Called with all arguments.
    name : str, optional
        Its name in the network; by default the name of this class.
    """

    def __init__(self, module: torch.nn.Module, name: str | None = None) -> None:
        super().__init__(name=name)
        self.module = module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the module."""
        return self.module(*args, **kwargs)


class SizedModuleWrapper(SizedModule):
    """Give a torch module sizes and a name.

    Parameters
    ----------
    module : torch.nn.Module
        Called with all arguments.
    input_size, output_size : int or Dimension, optional
        Number of features in and out; what is not given can be inferred.
    name : str, optional
        Its name in the network.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        input_size: Any = None,
        output_size: Any = None,
        name: str | None = None,
    ) -> None:
        super().__init__(input_size=input_size, output_size=output_size, name=name)
        self.module = module

    def infer_input_size(self) -> int:
        """Set and return the input size: the first ``in_features`` in the module.

        Raises
        ------
        ValueError
            No submodule has an integer ``in_features``.
        """
        size = features_of(self.module, "in_features")
        if size is None:
            raise ValueError(
                f"input_size: cannot be inferred from {type(self.module).__name__}; pass input_size, an integer"
            )
        self.input_size = size
        return size

    def infer_output_size(self) -> int:
        """Set and return the output size: that of the output for one row of zeros.

        Raises
        ------
        ValueError
            The input size is not known and cannot be inferred.
        """
        input_size = int(self.input_size) if self.input_size is not None else self.infer_input_size()
        size = run_size(self.module, input_size)
        self.output_size = size
        return size

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the module."""
        return self.module(*args, **kwargs)
