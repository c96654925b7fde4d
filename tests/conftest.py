"""What every test shares: one thread, no window, and skips for what this machine lacks."""

import os
from pathlib import Path

# before matplotlib is first imported, in this process and in those it starts
os.environ["MPLBACKEND"] = "Agg"

import pytest
import torch

# small nets on busy cores: the second thread waits more than it works
torch.set_num_threads(1)


@pytest.fixture
def data_home():
    """Folder with the real data sets; the test is skipped where SKLEARN_GEOAL_DATA names none."""
    folder = os.environ.get("SKLEARN_GEOAL_DATA")
    if not folder:
        pytest.skip("needs real data: SKLEARN_GEOAL_DATA is unset")
    return Path(folder)


def pytest_collection_modifyitems(items):
    if not torch.cuda.is_available():
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
