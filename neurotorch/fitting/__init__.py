"""Fits networks to recordings: the main job of ``neurotorch fit`` and ``neurotorch predict``."""

from neurotorch.fitting.fit import FitInterrupted, fit, predict
from neurotorch.fitting.network import build_network, free_run
from neurotorch.fitting.settings import RECIPES, FitSettings, Recipe

__all__ = ["RECIPES", "FitInterrupted", "FitSettings", "Recipe", "build_network", "fit", "free_run", "predict"]
