"""Run a bundle by name."""

from __future__ import annotations

import logging
import logging.config
from collections.abc import Mapping
from pathlib import Path

import yaml
from monai.bundle import ConfigWorkflow

from common.errors import InputError, require_file
from common.options import check_ids

BUNDLES = Path(__file__).resolve().parent.parent / "bundles"


def run(bundle: str, *layers: str, **options: object) -> None:
    """Train, evaluate or infer with a bundle: ``run ssnet_segmentation la_quick evaluate --labeled 4``.

    Args:
        bundle: folder name under ``bundles/``.
        layers: configuration files by name, or by path where they end in ``.yaml`` (as ``plan`` writes them), in order,
            on top of ``train`` (which is implied) or ``inference``.
        options: values that override the configuration, by id.
    """
    root = BUNDLES / bundle
    base = "inference" if "inference" in layers else "train"
    files = [
        file for layer in (base, *(layer for layer in layers if layer != base)) for file in layer_files(root, layer)
    ]
    check_ids(options, files)
    workflow = ConfigWorkflow(
        config_file=files,
        meta_file=str(root / "configs" / "metadata.json"),
        logging_file=str(root / "configs" / "logging.conf"),
        workflow_type="infer" if base == "inference" else "train",
        **{"bundle_root": str(root), **options},
    )
    workflow.initialize()
    workflow.run()
    workflow.finalize()


def layer_files(root: Path, layer: str) -> list[str]:
    """Files of a layer of the bundle in ``root``: one of its own, or a file anywhere.

    A file elsewhere may name layers to put below it: ``layers: [acdc]``, or ``layers: {ssnet_segmentation: [acdc]}``.
    """
    known = sorted(path.stem for path in (root / "configs").glob("*.yaml"))
    if not known:
        bundles = sorted(path.name for path in BUNDLES.iterdir() if path.is_dir())
        raise InputError(f"{root.name}: no such bundle; there are {bundles}")
    if layer in known:
        return [str(root / "configs" / f"{layer}.yaml")]
    if not str(layer).endswith(".yaml"):
        raise InputError(f"{layer}: no such configuration of {root.name}; there are {known}")
    content = yaml.safe_load(Path(require_file(layer, "it is given as a layer")).read_text(encoding="utf-8")) or {}
    named = content.get("layers", ())
    names = named.get(root.name, ()) if isinstance(named, Mapping) else named
    below = [file for name in names for file in layer_files(root, name)]
    return [*below, str(layer)]


def quiet() -> None:
    """Keep the log to warnings; for commands that print their own account."""
    logging.disable(logging.INFO)
