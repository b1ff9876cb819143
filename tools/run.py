"""Run a bundle by name."""

from __future__ import annotations

import logging
import logging.config
from pathlib import Path

from monai.bundle import ConfigWorkflow

from common.errors import InputError
from common.options import check_ids

BUNDLES = Path(__file__).resolve().parent.parent / "bundles"


def run(bundle: str, *layers: str, **options: object) -> None:
    """Train, evaluate or infer with a bundle: ``run ssnet_segmentation la_quick evaluate --labeled 4``.

    Args:
        bundle: folder name under ``bundles/``.
        layers: configuration files by name, in order, on top of ``train`` (which is implied) or ``inference``.
        options: values that override the configuration, by id.
    """
    root = BUNDLES / bundle
    known = sorted(path.stem for path in (root / "configs").glob("*.yaml"))
    if not known:
        raise InputError(
            f"{bundle}: no such bundle; there are {sorted(p.name for p in BUNDLES.iterdir() if p.is_dir())}"
        )
    base = "inference" if "inference" in layers else "train"
    names = [base, *(layer for layer in layers if layer != base)]
    for name in names:
        if name not in known:
            raise InputError(f"{name}: no such configuration of {bundle}; there are {known}")
    files = [str(root / "configs" / f"{name}.yaml") for name in names]
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


def quiet() -> None:
    """Keep the log to warnings; for commands that print their own account."""
    logging.disable(logging.INFO)
