"""What a fit is made with: the choices of a person, and the recipe of each model."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from neurotorch.datasets.preprocessing import NORMALISATIONS
from neurotorch.fitting.learning import LEARNING


@dataclass(frozen=True)
class Recipe:
    """How networks of one model are trained.

    Attributes
    ----------
    layer : str
        Class of the hidden layer, a name in :mod:`neurotorch.modules.layers`.
    layer_kwargs : dict
        Its constructor arguments, besides sizes and Dale's law.
    learning_rate : float
        First learning rate of AdamW; it falls to 0 along half a cosine.
    iterations : int
        Gradient steps where nothing else is asked for.
    """

    layer: str
    layer_kwargs: dict[str, Any]
    learning_rate: float = 3e-3
    iterations: int = 2000
    weight_decay: float = 1e-2
    clip: float = 1.0
    teacher_start: float = 1.0
    teacher_end: float = 0.2
    teacher_fall: float = 0.9


# Time constants are those of the NeuroTorch paper (nominal seconds; a frame is one step of dt).
_SPIKING = {"dt": 0.02, "hh_init": "inputs", "use_recurrent_connection": False, "gamma": 10.0}
RECIPES: dict[str, Recipe] = {
    "spy-lif-lpf": Recipe("SpyLIFLayerLPF", {**_SPIKING, "tau_syn": 0.1, "tau_mem": 0.2}),
    "spy-alif-lpf": Recipe("SpyALIFLayerLPF", {**_SPIKING, "tau_syn": 0.1, "tau_mem": 0.2, "tau_a": 4.0}),
    "lif-lpf": Recipe("LIFLayerLPF", {**_SPIKING, "tau_m": 0.2}),
    "alif-lpf": Recipe("ALIFLayerLPF", {**_SPIKING, "tau_m": 0.2, "tau_a": 4.0}),
    "wilson-cowan": Recipe(
        "WilsonCowanLayer",
        {
            "dt": 0.02,
            "tau": 0.1,
            "mu": 0.0,
            "r": 0.1,
            "std_weight": 0.05,
            "learn_mu": True,
            "learn_r": True,
            "learn_tau": True,
        }
        | {"hh_init": "inputs", "use_recurrent_connection": False},
    ),
}


@dataclass(frozen=True)
class FitSettings:
    """The choices that decide the result of a fit, together with the recording.

    Parameters
    ----------
    model : str
        A key of :data:`RECIPES`.
    learning : str
        Learning rule, a key of :data:`neurotorch.fitting.learning.LEARNING`: ``"bptt"``, through the whole sequence,
        ``"tbptt"``, through windows of it, ``"eprop"``, by eligibility traces, or ``"rls"``, which trains the readout
        alone by recursive least squares (FORCE).
    dale : bool
        Give each unit one sign over all its connections to the hidden layer (Dale's law).
    iterations : int
        Passes over the sequence; with BPTT one gradient step each.
    sigma : float
        Width in frames of the smoothing along time.
    normalise : {"global", "unit"}
        See :func:`neurotorch.datasets.preprocess`.
    holdout : float
        Fraction of the frames, at the end, that training does not see.
    seed : int
        Of initial weights and states.

    Raises
    ------
    ValueError
        An argument is out of range.
    """

    model: str = "spy-lif-lpf"
    dale: bool = True
    iterations: int = 2000
    sigma: float = 0.0
    normalise: str = "global"
    holdout: float = 0.0
    seed: int = 0
    learning: str = "bptt"

    def __post_init__(self) -> None:
        if self.model not in RECIPES:
            raise ValueError(f"model: expected one of {', '.join(RECIPES)}, got {self.model!r}")
        if self.learning not in LEARNING:
            raise ValueError(f"learning: expected one of {', '.join(LEARNING)}, got {self.learning!r}")
        if self.iterations < 1:
            raise ValueError(f"iterations: expected 1 or more, got {self.iterations}")
        if not 0.0 <= self.sigma < math.inf:
            raise ValueError(f"sigma: expected 0 or more frames, got {self.sigma}")
        if self.normalise not in NORMALISATIONS:
            raise ValueError(f"normalise: expected one of {', '.join(NORMALISATIONS)}, got {self.normalise!r}")
        if not 0.0 <= self.holdout < 1.0:
            raise ValueError(f"holdout: expected a fraction from 0 to below 1, got {self.holdout}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed: expected 0 to 2**32 - 1, got {self.seed}")

    @classmethod
    def default_iterations(cls, model: str, learning: str) -> int:
        """Passes of a model and a learning rule where nothing else is asked for."""
        own = LEARNING[learning].iterations
        return RECIPES[model].iterations if own is None else own

    @property
    def recipe(self) -> Recipe:
        """How networks of this model are trained."""
        return RECIPES[self.model]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as a checkpoint keeps them."""
        return asdict(self)

    def differences(self, other: dict[str, Any]) -> list[str]:
        """Names of the choices in which the plain values `other` differ; one without a choice has its default."""
        return [f.name for f in fields(self) if getattr(self, f.name) != other.get(f.name, f.default)]

    def train_frames(self, frames: int) -> int:
        """Number of first frames that training sees.

        Raises
        ------
        ValueError
            Fewer than 10 are left, or none is held out though some should be.
        """
        train = frames - round(self.holdout * frames)
        if train < 10:
            raise ValueError(f"holdout: leaves {train} of {frames} frames to train on, expected at least 10")
        if self.holdout > 0 and train == frames:
            raise ValueError(f"holdout: {self.holdout} of {frames} frames is less than one frame")
        return train
