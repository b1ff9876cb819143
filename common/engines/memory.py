"""Allocator settings for training on a CPU."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h
_LARGEST_INT = 2**31 - 1


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
