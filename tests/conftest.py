"""Import paths of the tests (the repository and every bundle) and a fixed seed for each test."""

import contextlib
import os
import sys
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # one test process per core: a thread each, also in what they start
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch  # noqa: E402

# absl, which OpenVINO imports, keeps the standard error of that moment and closes it when logging is configured anew:
# it must not be the one that pytest captures
with contextlib.suppress(ImportError), contextlib.redirect_stderr(sys.__stderr__):
    import absl.logging  # noqa: F401

ROOT = Path(__file__).resolve().parents[1]
for folder in [*sorted((ROOT / "bundles").glob("*_segmentation")), ROOT]:
    sys.path.insert(0, str(folder))


@pytest.fixture(autouse=True)
def fixed_seed():
    """Every test starts from the same random state, whatever ran before it."""
    torch.manual_seed(0)
    np.random.seed(0)
