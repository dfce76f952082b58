"""Recorded and simulated activity to fit networks to, and images and events to classify."""

from neurotorch.datasets.demo import DemoNetwork, simulate_demo
from neurotorch.datasets.events import EventBins, EventDataset, Events, StoredEvents
from neurotorch.datasets.files import DatasetError
from neurotorch.datasets.images import MNIST, FashionMNIST, ImageDataset
from neurotorch.datasets.loaders import DataLoaders, get_dataloaders
from neurotorch.datasets.preprocessing import NORMALISATIONS, preprocess
from neurotorch.datasets.recording import Recording, RecordingError, load_recording, read_recording
from neurotorch.datasets.spikes import SHD, SSC, SpokenDigits, load_rat_linear_track
from neurotorch.datasets.three_regions import ThreeRegions, simulate_three_regions
from neurotorch.datasets.tonic import TonicEvents
from neurotorch.datasets.zebrafish import load_zebrafish_darkflash

__all__ = [
    "MNIST",
    "NORMALISATIONS",
    "SHD",
    "SSC",
    "DataLoaders",
    "DatasetError",
    "DemoNetwork",
    "EventBins",
    "EventDataset",
    "Events",
    "FashionMNIST",
    "ImageDataset",
    "Recording",
    "RecordingError",
    "SpokenDigits",
    "StoredEvents",
    "ThreeRegions",
    "TonicEvents",
    "get_dataloaders",
    "load_rat_linear_track",
    "load_recording",
    "load_zebrafish_darkflash",
    "preprocess",
    "read_recording",
    "simulate_demo",
    "simulate_three_regions",
]
