"""Run a bundle by name."""

from __future__ import annotations

import inspect
import logging
import logging.config
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import InputError
from common.options.command import Command, canonical
from common.options.entries import quoted
from common.options.explain import explained
from common.options.help import help_of
from common.options.layers import ENDINGS, Layer, read_layer
from common.options.names import BUNDLE_OPTIONS, hint
from common.options.stack import checked

if TYPE_CHECKING:
    from monai.bundle import ConfigWorkflow

REPOSITORY = Path(__file__).resolve().parent.parent
BUNDLES = REPOSITORY / "bundles"
SHARED = REPOSITORY / "common" / "configs"  # layers that suit every bundle
BASES = ("train", "inference")
ON_INFERENCE = ("evaluate",)  # layers that are about trained weights
HELP = ("--help", "-h")
AS_TRAINED = "$@trained"
OTHERWISE = {"overwrite"}  # options that mean something else in training


@dataclass(frozen=True)
class Configuration:
    """What a command asks for.

    Attributes:
        root: folder of the bundle.
        files: configuration files in order.
        options: values on top of them, by id.
        kind: ``train`` or ``infer``.
        origin: from an id to where its value comes from, for messages.
    """

    root: Path
    files: Sequence[str]
    options: Mapping[str, Any]
    kind: str
    origin: Callable[[str], str] | None = None

    def workflow(self) -> ConfigWorkflow:
        """The workflow, ready to be initialized."""
        from monai.bundle import ConfigWorkflow  # takes seconds; a mistake in an option is known before

        logging.getLogger("monai.bundle.workflows").setLevel(logging.ERROR)  # layers may lie anywhere
        warnings.filterwarnings("ignore", message="Can't merge entry")  # what a layer adds is checked before
        return ConfigWorkflow(
            config_file=list(self.files),
            workflow_type=self.kind,
            **{
                "meta_file": str(self.root / "configs" / "metadata.json"),
                "logging_file": str(self.root / "configs" / "logging.conf"),
                "bundle_root": quoted(str(self.root)),
                **self.options,
            },
        )


def command(arguments: Sequence[str]) -> None:
    """Do what a command line says: the words behind ``python -m tools run``."""
    wants_help = any(word in HELP for word in arguments)
    typed = Command.of([word for word in arguments if word not in HELP])
    if wants_help and typed.words:
        root = bundle_folder(typed.words[0])
        sys.stdout.write(help_of(root, {name: config_file(root, name) for name in layer_names(root)}))
    elif wants_help:
        sys.stdout.write(f"{inspect.getdoc(run)}\n\nBundles: {', '.join(bundle_names())}\n")
    elif typed.words:
        run(*typed.words, **typed.options)
    else:
        raise InputError(f"run: expected the name of a bundle; there are {bundle_names()}")


def run(bundle: str, /, *layers: str, **options: Any) -> None:
    """Train, evaluate or infer with a bundle: ``run ssnet_segmentation la_quick --labeled 4``.

    Args:
        bundle: folder name under ``bundles/``, or a folder.
        layers: configuration files by name, or by path (as ``plan`` writes them), in order, on top of ``train`` (which
            is implied), of ``inference``, or of ``evaluate``, which is about trained weights.
        options: values that override the configuration, by id: ``run ssnet_segmentation --help`` lists them.
    """
    config = configuration(bundle, layers, options)
    with explained(config.origin):
        workflow = config.workflow()
        workflow.initialize()
        workflow.run()
        workflow.finalize()


def configuration(bundle: str, layers: Sequence[str], options: Mapping[str, Any]) -> Configuration:
    """Files and options of a command; ``InputError`` for a bundle, layer, option or value that does not exist.

    Inference and evaluation take their settings from the weights. Layers of training that are named with them say how
    weights without settings were trained; what they say of inference itself counts as if it were given as an option.
    """
    root = bundle_folder(bundle)
    on_weights = [layer for layer in layers if layer in ON_INFERENCE]
    base = "inference" if on_weights or "inference" in layers else "train"
    others = [layer for layer in layers if layer not in (*BASES, *on_weights)]
    named = [file for layer in others for file in layer_files(root, layer)]
    of_monai = {name: canonical(name, value, {}) for name, value in options.items() if name in BUNDLE_OPTIONS}
    train = str(config_file(root, "train"))
    if base == "train":
        entries = checked([train, *named], options, root, "train", [SHARED])
        return Configuration(root, [train, *named], {**of_monai, **entries.changed}, "train", entries.origin)
    files = [str(config_file(root, layer)) for layer in (base, *on_weights)]
    checked([train, *named], {}, root, "train", [SHARED], reads=False)
    trained = named or ([train] if "train" in layers else [])
    given = {**({"layers": trained} if trained else {}), **options}
    entries = checked(files, given, root, "inference", [SHARED], carried=of_inference(files, named))
    return Configuration(root, files, {**of_monai, **entries.changed}, "infer", entries.origin)


def of_inference(files: Sequence[str], layers: Sequence[str]) -> list[Layer]:
    """Entries of training layers that an inference configuration has too and does not take from the weights."""
    config = {id: value for file in files for id, value in read_layer(file).content.items()}
    own = {id for id, value in config.items() if AS_TRAINED not in str(value)} - OTHERWISE
    read = map(read_layer, layers)
    return [
        replace(layer, content={k: v for k, v in layer.content.items() if k.split("#")[0] in own}) for layer in read
    ]


def bundle_folder(bundle: str) -> Path:
    """The folder of a bundle of the repository, given by name or as a path."""
    for path in (BUNDLES / bundle, Path(bundle)):
        if (path / "configs" / "train.yaml").is_file():
            return path.resolve()
    raise InputError(f"{bundle}: no such bundle; there are {bundle_names()}{hint(bundle, bundle_names())}")


def bundle_names() -> list[str]:
    """Names of all bundles of the repository."""
    return sorted(path.parents[1].name for path in BUNDLES.glob("*/configs/train.yaml"))


def config_file(root: Path, layer: str) -> Path:
    """The file of a layer: the bundle's own, else the one that all bundles share."""
    own = root / "configs" / f"{layer}.yaml"
    return own if own.is_file() else SHARED / f"{layer}.yaml"


def layer_names(root: Path) -> list[str]:
    """Names of all layers that suit a bundle: its own, and those about trained weights, which all bundles share."""
    return sorted({*ON_INFERENCE, *(path.stem for path in (root / "configs").glob("*.yaml"))})


def layer_files(root: Path, layer: str) -> list[str]:
    """Files of a layer of the bundle in ``root``: a shared one, its own on top of that, or a file anywhere.

    A file that is empty is left out: MONAI takes none.

    Raises:
        InputError: for a layer that does not exist or cannot be read.
    """
    known = layer_names(root)
    if layer in known:
        places = (SHARED / f"{layer}.yaml", root / "configs" / f"{layer}.yaml")
        return [str(file) for file in places if file.is_file()]
    if not str(layer).endswith(ENDINGS):
        raise InputError(f"{layer}: no such configuration of {root.name}; there are {known}{hint(layer, known)}")
    return [str(layer)] if read_layer(layer).content else []


def quiet() -> None:
    """Keep the log to warnings; for commands that print their own account."""
    logging.disable(logging.INFO)
