"""What is said of trained weights must not contradict the settings that they were trained with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError

FREE = frozenset(  # settings that need not be those of training
    {
        "bundle_root",
        "dataset_dir",
        "inputs",
        "output_dir",
        "ckpt_dir",
        "checkpoint",
        "layers",
        "device",
        "amp",
        "stride",
    }
    | {
        "largest_component",
        "class_names",
        "progress",
        "tensorboard",
        "studies",
        "empty_policy",
        "metric_spacing",
        "seed",
    }
    | {
        "uncertainty",
        "stacked",
        "metric_size",
        "split",
        "stride_factor",
        "dicom_seg",
        "member",
        "probabilities",
        "overwrite",
    }
)


def refuse_contradictions(trained: Mapping[str, Any], given: Mapping[str, Any], weights: Path) -> None:
    """Raise ``InputError`` for the first given option that is neither as trained nor ``FREE``."""
    for name, value in given.items():
        option, *keys = name.split("#")
        if option in FREE or option not in trained:
            continue
        known: Any = trained[option]
        for key in keys:
            known = known.get(key) if isinstance(known, Mapping) else None
        if not same(known, value):
            raise InputError(f"--{name} {value}: {weights} was trained with {name} {known}; leave the option out")


def same(one: Any, other: Any) -> bool:
    """Whether two plain values are equal, whatever the kinds of their sequences and numbers."""
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return {str(k) for k in one} == {str(k) for k in other} and all(
            same(value, {str(k): v for k, v in other.items()}[str(key)]) for key, value in one.items()
        )
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return one == other
