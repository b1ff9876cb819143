import pytest
import torch

from common.sam.testing import tiny_sam, write_tiny_checkpoint


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def sam():
    return tiny_sam()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """A tiny SAM of 128 pixels, as a file."""
    torch.manual_seed(1)
    return write_tiny_checkpoint(tmp_path_factory.mktemp("sam") / "tiny.pth", 128)
