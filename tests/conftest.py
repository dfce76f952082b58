"""What every test shares: seeds, dtypes, threads, data, and which tests need a GPU."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("helpers", "cases", "layer_tests", "networks")

# Derandomised: the same examples on every machine. Tests of shared mixins run once per subclass, which hypothesis
# takes for one test with several executors.
settings.register_profile(
    "neurotorch",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
)
settings.load_profile("neurotorch")


def pytest_collection_modifyitems(items):
    if torch.cuda.is_available():
        return
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(autouse=True)
def seed():
    """Every test starts from the same state of all random generators."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture
def set_threads():
    """``torch.set_num_threads``, undone after the test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def data_folder():
    """Folder of recordings that ``NEUROTORCH_DATA`` names; the test is skipped without one."""
    folder = os.environ.get("NEUROTORCH_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("NEUROTORCH_DATA names no folder with recordings")
    return Path(folder)
