"""What a card says of its release in numbers, read off the release's own files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from common.tensors import read_tensors

BLOCK = re.compile(r"<!-- facts -->\n(.*?)<!-- end of facts -->", re.DOTALL)


def facts(release: Path) -> str:
    """Lines on name, input, preprocessing, output and size of a released bundle.

    Args:
        release: its folder, with ``configs/metadata.json``, ``configs/inference.json`` and ``models/model.pt``.
    """
    metadata, inference = (
        json.loads((release / "configs" / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("metadata", "inference")
    )
    channels = metadata["network_data_format"]["inputs"]["image"]["channel_def"]
    weights = release / "models" / "model.pt"
    parameters = sum(tensor.numel() for tensor in read_tensors(weights, "it should hold trained weights").values())
    lines = {
        "Release": f"{metadata['name']}, version {metadata['version']}",
        "Task": metadata["task"],
        "Data": f"{metadata['data_source']}; modality: {metadata['modality']}",
        "Input": f"{len(channels)} channel(s): {', '.join(channels.values())}{_size(inference)}",
        "Preprocessing": _preprocessing(inference),
        "Output": metadata["pred_classes"],
        "Weights": f"{parameters:,} parameters, {max(1, round(weights.stat().st_size / 1e6))} MB",
        "Intended use": metadata["intended_use"],
    }
    return "".join(f"- {name}: {text}\n" for name, text in lines.items())


def stated(readme: str) -> str | None:
    """The lines that a card states, if it states any."""
    found = BLOCK.search(readme)
    return found[1] if found else None


def _size(inference: Mapping) -> str:
    size = inference.get("patch_size") or inference.get("size")
    if not isinstance(size, list) or len(size) not in (2, 3):
        return ""
    return (
        f"; {'windows' if len(size) == 3 else 'slices'} of {_extents(size)} {'voxels' if len(size) == 3 else 'pixels'}"
    )


def _preprocessing(inference: Mapping) -> str:
    spacing, window = inference.get("spacing"), inference.get("window")
    done = [
        f"resampled to {_sizes(spacing)} mm" if spacing else "",
        f"intensities {window[0]:g} to {window[1]:g} mapped to 0 to 1" if window else "",
        "z-scored image by image" if inference.get("normalize") else "",
    ]
    return ", ".join(filter(None, done)) or "intensities and voxel size as they are in the files"


def _sizes(spacing: list) -> str:
    return " x ".join("the file's" if size is None else f"{size:g}" for size in spacing)


def _extents(values: list) -> str:
    return " x ".join(f"{value:g}" for value in values)
