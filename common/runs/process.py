"""The process of a run: its place among others, its device, its seed."""

from __future__ import annotations

import logging
import os

import torch
from monai.utils import set_determinism
from torch import distributed

from ..errors import InputError
from ..options import check_options


def start_process(seed: int, distributed_only: bool = False) -> None:
    """Join the other processes that ``torchrun`` started, if any, and make what follows reproducible.

    Processes but the first keep their log to warnings.

    Args:
        seed: of all randomness that has no generator of its own.
        distributed_only: refuse to run outside ``torchrun``.

    Raises:
        InputError: for a process outside ``torchrun`` that must not be.
    """
    values = check_options(resolve=False)  # a seed that is none must not come as far as the generators
    if "RANK" in os.environ and not distributed.is_initialized():
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        if torch.cuda.is_available():
            torch.cuda.set_device(this_device())
    if distributed_only and not distributed.is_initialized():
        raise InputError("multi_gpu_train: start it by torchrun (--nproc_per_node=2 -m monai.bundle run ...)")
    if not is_main():
        logging.disable(logging.INFO)
    set_determinism(seed=values.get("seed", seed))


def end_process() -> None:
    """Leave the other processes, if any."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def is_main() -> bool:
    """Whether this process writes files and shows progress: the first, or the only one."""
    return not distributed.is_initialized() or distributed.get_rank() == 0


def this_device() -> torch.device:
    """The GPU of this process, or the CPU where there is none."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
