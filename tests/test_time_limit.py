"""A test that hangs, in native code too, ends the run under its name."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HANGING = """
import ctypes

def test_that_waits_for_itself():
    mutex, library = ctypes.create_string_buffer(64), ctypes.CDLL(None)
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="locks a mutex of the C library")
def test_a_native_deadlock_is_a_named_failure(tmp_path):
    (tmp_path / "test_hanging.py").write_text(HANGING, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "setup.cfg"), "--rootdir", str(tmp_path), str(tmp_path)]
    result = subprocess.run([*command, "-n", "0", "-o", "timeout=2"], capture_output=True, timeout=60, text=True)
    assert result.returncode != 0
    assert "Timeout" in result.stderr + result.stdout
    assert "test_that_waits_for_itself" in result.stderr + result.stdout


def test_every_test_has_a_limit(request):
    assert float(request.config.getini("timeout")) == 300
    assert request.config.getini("timeout_method") == "thread"
