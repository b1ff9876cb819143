"""The model card of a release, written from the configuration and the record of its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from common.runs import Settings, assumed
from common.runs.contract import FREE

from .facts import facts

ALWAYS = ("patch_size", "spacing", "window", "normalize", "iterations", "labeled_batch", "unlabeled_batch", "seed")
ELSEWHERE = (
    "dataset_dir",
    "epoch_length",
    "progress",
    "tensorboard",
    "num_classes",
    "in_channels",
    "splits",
    "labeled",
    "validation",
    "group",
)
PLACES = FREE["where"] + FREE["how it is started"] + FREE["where it started from, which its state replaces"]


def card(bundle: Path, origin: Mapping, release: Path, settings: Settings, record: Mapping) -> str:
    """Text of ``docs/README.md`` before figures and commands are put in.

    Args:
        bundle: folder of the method's bundle.
        origin: metadata of that bundle.
        release: folder of the release, whose configurations and weights are written.
        settings: of the training.
        record: of the run, for the number of cases; may be empty.
    """
    cases = record.get("data") or {}
    values: dict[str, Any] = {
        "method": str(origin["name"]).removesuffix(" semi-supervised segmentation"),
        "about": origin["description"],
        "facts": facts(release),
        "images": len(cases),
        "labeled": sum("label" in case for case in cases.values()),
        "settings": told(bundle, settings),
        "references": origin.get("references", []),
    }
    templates = Environment(
        loader=PackageLoader("tools"), undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True
    )
    return templates.get_template("card.md").render(**values)


def told(bundle: Path, settings: Settings) -> dict[str, str]:
    """Options worth telling: those that differ from the method's defaults, and a few that always matter."""
    defaults = assumed(bundle, ())
    names = [
        name
        for name, value in settings.items()
        if name not in (*PLACES, *ELSEWHERE) and (name in ALWAYS or value != defaults.get(name))
    ]
    return {name: _said(settings[name]) for name in names}


def _said(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " x ".join(map(_said, value))
    if isinstance(value, float):
        return f"{value:.6g}"
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else str(value)
