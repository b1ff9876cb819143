import subprocess
import sys

import pytest

from common import memory
from common.memory import free_memory, keep_freed_memory

COUNT_FAULTS = """
import resource, torch
from common.memory import keep_freed_memory
{call}
torch.zeros(1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(32):
    torch.ones(16 * 2**20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(call):
    """Page faults of 32 tensors of 64 MiB made and freed one after the other."""
    command = [sys.executable, "-c", COUNT_FAULTS.format(call=call)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not keep_freed_memory(), reason="not glibc")
def test_freed_memory_is_used_again():
    assert faults("keep_freed_memory()") < faults("") / 3


def test_kept_files_count_as_free_and_a_container_has_its_own_limit(tmp_path, monkeypatch):
    text = "MemTotal:  4096 kB\nMemFree:  10 kB\nMemAvailable:  2048 kB\nHugePages_Total:  0\n"
    (tmp_path / "meminfo").write_text(text, encoding="utf-8")
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path)
    assert free_memory() == 2048 * 1024
    (tmp_path / "memory.max").write_text("max\n", encoding="utf-8")
    (tmp_path / "memory.current").write_text("500000\n", encoding="utf-8")
    (tmp_path / "memory.stat").write_text("anon 100000\ninactive_file 300000\n", encoding="utf-8")
    assert free_memory() == 2048 * 1024
    (tmp_path / "memory.max").write_text("1000000\n", encoding="utf-8")
    assert free_memory() == 1_000_000 - 500_000 + 300_000
    (tmp_path / "memory.max").write_text("100000\n", encoding="utf-8")
    assert free_memory() == 0
    (tmp_path / "meminfo").unlink()
    assert free_memory() is None
