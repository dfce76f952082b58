"""What a classifier is trained with: the choices of a person."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from neurotorch.classification.encoders import ENCODERS
from neurotorch.classification.learning import LEARNING
from neurotorch.classification.tasks import TASKS, Task

# Hidden neurons by name: the class in neurotorch.modules.layers, and its arguments.
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "lif": ("LIFLayer", {"gamma": 10.0}),
    "spy-lif": ("SpyLIFLayer", {"gamma": 10.0}),
    "alif": ("ALIFLayer", {"gamma": 10.0}),
    "spy-alif": ("SpyALIFLayer", {"gamma": 10.0}),
    "lif-lpf": ("LIFLayerLPF", {"gamma": 10.0}),
    "spy-lif-lpf": ("SpyLIFLayerLPF", {"gamma": 10.0}),
    "alif-lpf": ("ALIFLayerLPF", {"gamma": 10.0}),
    "spy-alif-lpf": ("SpyALIFLayerLPF", {"gamma": 10.0}),
}
ALIASES = {"spylif": "spy-lif", "spyalif": "spy-alif", "spylif-lpf": "spy-lif-lpf", "spyalif-lpf": "spy-alif-lpf"}


@dataclass(frozen=True)
class ClassifySettings:
    """The choices that decide the result of a run, together with the data; 0 or "" is the task's recipe.

    Parameters
    ----------
    task : str
        A key of :data:`TASKS`.
    model : str
        A key of :data:`MODELS`.
    hidden : int
        Number of hidden neurons.
    n_steps : int
        Number of time steps.
    encoder : str
        How images become sequences, a key of :data:`ENCODERS`; events need none.
    epochs : int
        Passes over the training set.
    batch_size : int
    learning : str
        Learning rule, a key of :data:`LEARNING`.
    learning_rate : float
    dale : bool
        Give each input and each hidden neuron one sign over all its connections to the hidden layer (Dale's law).
    seed : int
        Of split, order, weights and dropout.

    Raises
    ------
    ValueError
        An argument is out of range.
    """

    task: str
    model: str = ""
    hidden: int = 0
    n_steps: int = 0
    encoder: str = ""
    epochs: int = 0
    batch_size: int = 0
    learning: str = "bptt"
    learning_rate: float = 0.0
    dale: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        _among("task", self.task, TASKS)
        for name in ("model", "hidden", "n_steps", "epochs", "batch_size", "learning_rate"):
            if not getattr(self, name):
                object.__setattr__(self, name, getattr(self.recipe, name))
        object.__setattr__(self, "model", ALIASES.get(self.model, self.model))
        if not self.encoder and self.recipe.images:
            object.__setattr__(self, "encoder", "constant")
        _among("model", self.model, MODELS)
        _among("learning", self.learning, LEARNING)
        if self.recipe.images:
            _among("encoder", self.encoder, ENCODERS)
        elif self.encoder:
            raise ValueError(f"encoder: {self.task} are events, which need none, got {self.encoder!r}")
        for name in ("hidden", "n_steps", "epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, got {getattr(self, name)}")
        if not 0.0 < self.learning_rate < float("inf"):
            raise ValueError(f"learning_rate: expected a positive number, got {self.learning_rate}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed: expected 0 to 2**32 - 1, got {self.seed}")

    @property
    def recipe(self) -> Task:
        """The data and everything else that a run needs."""
        return TASKS[self.task]

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def differences(self, other: dict[str, Any]) -> list[str]:
        """Names of the choices in which the plain values `other` differ."""
        return [f.name for f in fields(self) if getattr(self, f.name) != other.get(f.name)]


def _among(argument: str, value: str, names: Any) -> None:
    if value not in names:
        raise ValueError(f"{argument}: expected one of {', '.join(names)}, got {value!r}")
