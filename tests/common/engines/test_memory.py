import subprocess
import sys

import pytest

from common.engines.memory import keep_freed_memory

COUNT_FAULTS = """
import resource, torch
from common.engines.memory import keep_freed_memory
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
