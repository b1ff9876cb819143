"""Run a bundle by name."""

from __future__ import annotations

import logging
import logging.config
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from monai.bundle import ConfigParser, ConfigWorkflow

from common.errors import InputError, require_file
from common.options import check_ids

REPOSITORY = Path(__file__).resolve().parent.parent
BUNDLES = REPOSITORY / "bundles"
SHARED = REPOSITORY / "common" / "configs"  # layers that suit every bundle
BASES = ("train", "inference")
ON_INFERENCE = ("evaluate",)  # layers that are about trained weights
AS_TRAINED = "$@trained"


@dataclass(frozen=True)
class Configuration:
    """What a command asks for.

    Attributes:
        root: folder of the bundle.
        files: configuration files in order.
        options: values on top of them, by id.
        kind: ``train`` or ``infer``.
    """

    root: Path
    files: Sequence[str]
    options: Mapping[str, object]
    kind: str

    def workflow(self) -> ConfigWorkflow:
        """The workflow, ready to be initialized."""
        return ConfigWorkflow(
            config_file=list(self.files),
            meta_file=str(self.root / "configs" / "metadata.json"),
            logging_file=str(self.root / "configs" / "logging.conf"),
            workflow_type=self.kind,
            **{"bundle_root": str(self.root), **self.options},
        )


def run(bundle: str, *layers: str, **options: object) -> None:
    """Train, evaluate or infer with a bundle: ``run ssnet_segmentation la_quick --labeled 4``.

    Args:
        bundle: folder name under ``bundles/``, or a folder.
        layers: configuration files by name, or by path where they end in ``.yaml`` (as ``plan`` writes them), in order,
            on top of ``train`` (which is implied), ``inference``, or ``evaluate``, which is about trained weights.
        options: values that override the configuration, by id.
    """
    workflow = configuration(bundle, layers, options).workflow()
    workflow.initialize()
    workflow.run()
    workflow.finalize()


def configuration(bundle: str, layers: Sequence[str], options: Mapping[str, object]) -> Configuration:
    """Files and options of a command; ``InputError`` for a bundle, layer or option that does not exist.

    Inference and evaluation take their settings from the weights. Layers of training that are named with them say how
    weights without settings were trained; what they say of inference itself counts as if it were given as an option.
    """
    root = bundle_folder(bundle)
    on_weights = [layer for layer in layers if layer in ON_INFERENCE]
    base = "inference" if on_weights or "inference" in layers else "train"
    others = [layer for layer in layers if layer not in (*BASES, *on_weights)]
    named = [file for layer in others for file in layer_files(root, layer)]
    if base == "train":
        files = [str(config_file(root, "train")), *named]
        check_ids(options, files)
        return Configuration(root, files, options, "train")
    files = [str(config_file(root, layer)) for layer in (base, *on_weights)]
    check_ids(options, files)
    trained = named or ([str(config_file(root, "train"))] if "train" in layers else [])
    extra = {"layers": trained} if trained else {}
    return Configuration(root, files, {**of_inference(files, named), **extra, **options}, "infer")


def of_inference(files: Sequence[str], layers: Sequence[str]) -> dict[str, object]:
    """Entries of training layers that an inference configuration has too and does not take from the weights."""
    config = ConfigParser.load_config_files(list(files))
    own = {id for id, value in config.items() if AS_TRAINED not in str(value)}
    given = {id: value for file in layers for id, value in ConfigParser.load_config_file(file).items()}
    return {id: value for id, value in given.items() if id.split("#")[0] in own}


def bundle_folder(bundle: str) -> Path:
    """The folder of a bundle of the repository, given by name or as a path."""
    for path in (BUNDLES / bundle, Path(bundle)):
        if (path / "configs" / "train.yaml").is_file():
            return path.resolve()
    known = sorted(path.parents[1].name for path in BUNDLES.glob("*/configs/train.yaml"))
    raise InputError(f"{bundle}: no such bundle; there are {known}")


def config_file(root: Path, layer: str) -> Path:
    """The file of a layer: the bundle's own, else the one that all bundles share."""
    own = root / "configs" / f"{layer}.yaml"
    return own if own.is_file() else SHARED / f"{layer}.yaml"


def layer_names(root: Path) -> list[str]:
    """Names of all layers that suit a bundle."""
    return sorted({path.stem for folder in (root / "configs", SHARED) for path in folder.glob("*.yaml")})


def layer_files(root: Path, layer: str) -> list[str]:
    """Files of a layer of the bundle in ``root``: one of its own, a shared one, or a file anywhere."""
    known = layer_names(root)
    if layer in known:
        return [str(config_file(root, layer))]
    if not str(layer).endswith(".yaml"):
        raise InputError(f"{layer}: no such configuration of {root.name}; there are {known}")
    return [require_file(layer, "it is given as a layer")]


def quiet() -> None:
    """Keep the log to warnings; for commands that print their own account."""
    logging.disable(logging.INFO)
