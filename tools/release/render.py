"""The configuration of a released bundle: complete files for training and inference, settings of the weights inside."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from monai.bundle.utils import merge_kv

from common.errors import InputError
from common.options import check_ids
from common.options.command import canonical
from common.options.entries import is_code, quoted
from common.options.entries import literal as expressed
from common.options.table import table_of
from common.runs import Settings, assumed
from common.runs.components import as_data

from ..run import SHARED as SHARED_LAYERS
from ..run import config_file
from .own_code import require_own_code

LAYERS = {
    "evaluate": "inference",
    "multi_gpu_train": "train",
}  # override files of a release, and what they go on top of
PLACES = ("bundle_root", "dataset_dir", "output_dir", "ckpt_dir", "cache_device")
WHERE = (*PLACES, "resume", "overwrite", "progress", "tensorboard")
WHICH = ("labeled", "validation", "group", "splits")  # of the cases of one data set: no matter of the next one
SETTINGS = ("trained", "layers")  # entries of an inference file that a release does without
ADD_PATH = "$sys.path.insert(0, os.path.abspath(@bundle_root))"
SHARED = re.compile(r"(?<![\w.@#:'\"])common(?=\.\w)")
ITEM = re.compile(r"\$@trained((?:\['\w+'\])+)")
GET = re.compile(r"\$@trained\.get\('(\w+)'(?:, (.+))?\)")
COMPONENT = re.compile(r"\$@trained\.component\('(\w+)'((?:, \w+=(?:@[\w#]+|True|False))*)\)")


def render(
    bundle: Path, package: str, layers: Sequence[str], options: Mapping[str, Any], trained: Settings | None = None
) -> dict[str, dict[str, Any]]:
    """Released configurations by name: ``train``, ``inference`` and the override files on top of them.

    Args:
        bundle: folder in the repository.
        package: the bundle's own package, into which ``common`` moves.
        layers: configuration files of the data set, in order.
        options: values that override the configuration, by id.
        trained: settings of the weights; those of ``layers`` and ``options`` by default.

    Raises:
        InputError: for a layer or an option that does not exist.
    """
    files = {name: config_file(bundle, name) for name in ("train", "inference", *layers, *LAYERS)}
    for name, path in files.items():
        if not path.is_file():
            known = sorted(p.stem for p in (bundle / "configs").glob("*.yaml"))
            raise InputError(f"{name}: no such configuration of {bundle.name}; there are {known}")
    train = ConfigParser.load_config_files([str(files[name]) for name in ("train", *layers)])
    inference = ConfigParser.load_config_file(files["inference"])
    for name in options:
        check_ids([name], train if _root(name) in train or _root(name) not in inference else inference)
    table = table_of(bundle)
    options = {name: canonical(name, value, table) for name, value in options.items()}
    of_train = {name: value for name, value in options.items() if _root(name) in train}
    base = ConfigParser.load_config_file(files["train"])
    if trained is None:
        trained = assumed(bundle, [str(files[name]) for name in layers], of_train)
    else:
        require_own_code(trained, [*bundle.glob("configs/*.yaml"), *SHARED_LAYERS.glob("*.yaml"), *files.values()])
        train = _without_places(trained.configuration, train)
        trained = trained.changed(of_train)
    train |= {name: base[name] for name in WHICH if name in base}
    trained = trained.changed({name: base[name] for name in WHICH if name in base})
    rendered = {"train": train, "inference": literal(inference, trained)}
    for name, value in options.items():
        for config in (config for config in rendered.values() if _root(name) in config):
            merge_kv(ConfigParser(config), name, value)
    inference = rendered["inference"]
    rendered = {name: _cwd_proof(config) for name, config in rendered.items()}
    rendered |= {name: literal(ConfigParser.load_config_file(files[name]), trained) for name in LAYERS}
    rendered["inference_trt"] = tensorrt(inference)
    return {name: rename(config, package) for name, config in rendered.items()}


def _without_places(trained: Mapping, base: Mapping) -> dict:
    """The configuration of a run, with the bundle's own files and folders in place of those of the run."""
    places = {name: base[name] for name in WHERE if name in base}
    return {**{name: _without_paths(part, base.get(name)) for name, part in trained.items()}, **places}


def _without_paths(node: Any, base: Any) -> Any:
    if isinstance(node, Mapping):
        known = base if isinstance(base, Mapping) else {}
        return {key: _without_paths(child, known.get(key)) for key, child in node.items()}
    if isinstance(node, list):
        return [_without_paths(child, None) for child in node]
    path = Path(_text(node))
    if path.is_absolute():
        return base if isinstance(base, str) else quoted(path.name)
    return node


def _text(node: Any) -> str:
    """The text that an entry stands for; empty for anything else."""
    if not is_code(node):
        return node if isinstance(node, str) else ""
    try:
        value = expressed(str(node))
    except ValueError:
        return ""
    return value if isinstance(value, str) else ""


def literal(node: Any, trained: Settings) -> Any:
    """A part of an inference configuration with plain values in place of ``$@trained...``."""
    if isinstance(node, Mapping):
        return {key: literal(child, trained) for key, child in node.items() if key not in SETTINGS}
    if isinstance(node, list):
        return [literal(child, trained) for child in node]
    if not isinstance(node, str) or "@trained" not in node:
        return node
    if match := ITEM.fullmatch(node):
        value: Any = trained
        for name in re.findall(r"\w+", match[1]):
            value = value[name]  # type: ignore[index]
        return _without_paths(as_data(value), None)
    if match := GET.fullmatch(node):
        return as_data(trained.get(match[1], ast.literal_eval(match[2] or "None")))
    if match := COMPONENT.fullmatch(node):
        given = dict(pair.split("=") for pair in match[2].split(", ")[1:])
        changes = {name: text if text[0] == "@" else ast.literal_eval(text) for name, text in given.items()}
        return _without_paths({**as_data(trained.parts(match[1])), **changes}, None)
    raise InputError(f"{node}: expected a setting by name, so that a release can have its value instead")


def tensorrt(inference: Mapping) -> dict[str, Any]:
    """Override file that runs an engine written by ``monai.bundle trt_export`` in place of the weights."""
    override: dict[str, Any] = {
        "+imports": ["$import torch_tensorrt", "$import torch"],
        "checkpoint": "$@bundle_root + '/models/model_trt.ts'",
        "network_def": "$torch.jit.load(@checkpoint)",
        "amp": False,
    }
    loaders = [
        i for i, handler in enumerate(inference["handlers"]) if handler.get("_target_", "").endswith("LoadWeights")
    ]
    return override | {f"handlers#{index}#_disabled_": True for index in loaders}


def rename(node: Any, package: str) -> Any:
    """The configuration with ``common`` inside ``package``; its components first put the bundle on the path."""
    if isinstance(node, list):
        return [rename(child, package) for child in node]
    if isinstance(node, str):
        return SHARED.sub(f"{package}.common", node) if node.startswith("$") else node
    if not isinstance(node, Mapping):
        return node
    renamed = {key: rename(child, package) for key, child in node.items()}
    target = renamed.get("_target_")
    if isinstance(target, str):
        renamed["_target_"] = target = SHARED.sub(f"{package}.common", target)
        if target.partition(".")[0] == package:
            needed = renamed.get("_requires_", [])
            others = [need for need in (needed if isinstance(needed, list) else [needed]) if need != "@add_path"]
            renamed["_requires_"] = ["@add_path", *others] if others else "@add_path"
    return renamed


def targets(node: Any) -> Iterator[str]:
    """Every ``_target_`` of a configuration, and every dotted name behind ``common`` in its expressions."""
    if isinstance(node, Mapping):
        if isinstance(node.get("_target_"), str):
            yield node["_target_"]
        for child in node.values():
            yield from targets(child)
    elif isinstance(node, list):
        for child in node:
            yield from targets(child)
    elif isinstance(node, str) and node.startswith("$"):
        yield from re.findall(rf"{SHARED.pattern}[\w.]+", node)


def _root(key: str) -> str:
    return re.split(r"#|::", key.lstrip("+"))[0]


def _cwd_proof(config: Mapping) -> dict:
    """The configuration with ``add_path``, and the imports it needs, after its folder is known."""
    imports = list(config.get("imports", []))
    imports += [line for line in ("$import os", "$import sys") if line not in imports]
    rest = {key: value for key, value in config.items() if key not in ("imports", "bundle_root", "add_path")}
    return {"imports": imports, "bundle_root": config["bundle_root"], "add_path": ADD_PATH, **rest}
