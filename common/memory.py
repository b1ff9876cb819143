"""The memory of this machine: how much is free, and how the C library hands it out."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h
_LARGEST_INT = 2**31 - 1
_MEMINFO = Path("/proc/meminfo")
_GROUPS = Path("/sys/fs/cgroup")  # a container sees its own limits here: version 2, or version 1 below memory/
_LIMITS = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)


def free_memory() -> float | None:
    """Bytes that processes can have without others being moved to a disk; ``None`` where the system does not say.

    Files that the system keeps in memory count as free, since it gives them up; a container's limit counts.
    """
    try:
        free = 1024.0 * _numbers(_MEMINFO)["MemAvailable"]
    except (OSError, KeyError, ValueError):
        return None
    for limit, used, kept, name in _LIMITS:
        try:
            whole, taken = (int((_GROUPS / file).read_text(encoding="utf-8")) for file in (limit, used))
            free = min(free, max(0.0, float(whole - taken + _numbers(_GROUPS / kept)[name])))
        except (OSError, KeyError, ValueError):  # no such group, or one without a limit ("max")
            continue
    return free


def keep_freed_memory() -> bool:
    """Let the C library keep the memory of freed tensors for the next ones, and say whether it will.

    By default glibc takes every large tensor afresh from the kernel and gives it back, and the kernel clears its pages
    each time. A V-Net step on two cores spends a sixth of its time on that. Other platforms are left as they are.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(
        mallopt(option, value) == 1 for option, value in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _LARGEST_INT))
    )


def _numbers(path: Path) -> dict[str, int]:
    """The numbers of a file with one ``name number`` or ``name: number kB`` in each line."""
    rows = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    return {row[0].rstrip(":"): int(row[1]) for row in rows if len(row) > 1}
