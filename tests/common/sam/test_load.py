import subprocess
import sys

import pytest

from common.errors import InputError
from common.sam import _load

WITHOUT_TORCHVISION = """
import sys
sys.modules["torchvision"] = None  # importing it raises
import common.sam
from common.sam.testing import tiny_sam
tiny_sam()
assert "segment_anything" not in sys.modules
"""


def test_sam_works_without_torchvision():
    subprocess.run([sys.executable, "-c", WITHOUT_TORCHVISION], check=True)


def test_the_rest_of_common_does_not_ask_for_segment_anything():
    code = "import sys, common.networks, common.losses, common.engines; assert 'common.sam' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_distribution_is_named(monkeypatch):
    monkeypatch.setattr(_load.importlib.util, "find_spec", lambda name: None)
    _load.modeling.cache_clear()
    with pytest.raises(InputError, match="segment-anything is not installed"):
        _load.modeling()
