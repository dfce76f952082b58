"""Recorded and simulated activity to fit networks to."""

from neurotorch.datasets.demo import DemoNetwork, simulate_demo
from neurotorch.datasets.preprocessing import NORMALISATIONS, preprocess
from neurotorch.datasets.recording import Recording, RecordingError, load_recording, read_recording
from neurotorch.datasets.three_regions import ThreeRegions, simulate_three_regions
from neurotorch.datasets.zebrafish import load_zebrafish_darkflash

__all__ = [
    "NORMALISATIONS",
    "DemoNetwork",
    "Recording",
    "RecordingError",
    "ThreeRegions",
    "load_recording",
    "load_zebrafish_darkflash",
    "preprocess",
    "read_recording",
    "simulate_demo",
    "simulate_three_regions",
]
