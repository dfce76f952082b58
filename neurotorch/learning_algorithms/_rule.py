"""What the rules have in common that run the model themselves."""

from __future__ import annotations

from typing import Any

import torch

from neurotorch.learning_algorithms.bptt import BPTT


class ModelRule(BPTT):
    """A rule that takes over the run of a :class:`~neurotorch.SequentialRNN` in training batches.

    Layers are not patched: while the rule has taken over, the model hands its runs to ``run_online``.
    """

    layers: list[torch.nn.Module]
    output_layers: list[torch.nn.Module] | None

    def initialize_layers(self, trainer: Any) -> None:
        """Set ``layers`` to the input and hidden layers of the model, unless some were given."""
        if not self.layers:
            self.layers = [*trainer.model.input_layers.values(), *trainer.model.hidden_layers]

    def initialize_output_layers(self, trainer: Any) -> None:
        """Set ``output_layers`` to those of the model, unless some were given; ValueError where there are none."""
        if self.output_layers is None:
            self.output_layers = list(trainer.model.output_layers.values())
        if not self.output_layers:
            raise ValueError(f"output_layers: expected some of {', '.join(trainer.model.output_layers)}, got none")

    def decorate_forwards(self) -> None:
        """Take over the runs of the trainer's model, which learns in them."""
        self.trainer.model.online_rule = self

    def undecorate_forwards(self) -> None:
        """Give the model back, if it was taken over."""
        model = getattr(self.trainer, "model", None)
        if model is not None and getattr(model, "online_rule", None) is self:
            model.online_rule = None
