"""The configuration of a released bundle: one complete file each for training and inference, data set merged in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from monai.bundle import ConfigParser
from monai.bundle.utils import merge_kv

from common.errors import InputError
from common.options import check_ids

LAYERS = ("evaluate", "multi_gpu_train")
ADD_PATH = "$sys.path.insert(0, os.path.abspath(@bundle_root))"
SHARED = re.compile(r"(?<![\w.@#:'\"])common(?=\.\w)")
REFERENCE = re.compile(r"@([\w.]+)")
AS_EVALUATED = {"stride": "test_stride"}  # a release infers with the windows its figures were measured with


def render(
    bundle: Path, package: str, layers: Sequence[str], options: Mapping[str, object]
) -> dict[str, dict[str, object]]:
    """Released configurations by name: ``train``, ``inference`` and the override files on top of them.

    Args:
        bundle: folder in the repository.
        package: the bundle's own package, into which ``common`` moves.
        layers: configuration files of the data set, in order.
        options: values that override the configuration, by id.

    Raises:
        InputError: for a layer or an option that does not exist.
    """
    files = {name: bundle / "configs" / f"{name}.yaml" for name in ("train", "inference", *layers, *LAYERS)}
    for name, path in files.items():
        if not path.is_file():
            known = sorted(p.stem for p in path.parent.glob("*.yaml"))
            raise InputError(f"{name}: no such configuration of {bundle.name}; there are {known}")
    chain = [str(files[name]) for name in ("train", *layers)]
    train = ConfigParser.load_config_files(chain)
    inference = _inference(files["inference"], [files[name] for name in layers], train)
    for name, value in options.items():
        known = [config for config in (train, inference) if _root(name) in config]
        check_ids([name], known[-1] if known else train)
        for config in known:
            merge_kv(ConfigParser(config), name, value)
    rendered = {"train": _cwd_proof(train), "inference": _cwd_proof(inference)}
    rendered |= {name: ConfigParser.load_config_file(files[name]) for name in LAYERS}
    rendered["inference_trt"] = tensorrt(inference)
    return {name: rename(config, package) for name, config in rendered.items()}


def _inference(base: Path, layers: Sequence[Path], train: Mapping) -> dict:
    """The inference file under those entries of the data set's layers that concern it."""
    config = ConfigParser.load_config_files(str(base))
    for path in layers:
        layer = ConfigParser.load_config_file(path)
        kept = {key for key in layer if _root(key) in config}
        named = {name for key in kept for name in references(layer[key])}
        for key in layer:  # in the file's order; an entry of its own counts where a kept one refers to it
            if key in kept or _root(key) in named:
                merge_kv(ConfigParser(config), key, layer[key])
    for name, evaluated in AS_EVALUATED.items():
        if name in config and train.get(evaluated) is not None:
            config[name] = train[evaluated]
    return config


def tensorrt(inference: Mapping) -> dict[str, object]:
    """Override file that runs an engine written by ``monai.bundle trt_export`` in place of the weights."""
    override: dict[str, object] = {
        "+imports": ["$import torch_tensorrt"],
        "checkpoint": "$@bundle_root + '/models/model_trt.ts'",
        "network_def": "$torch.jit.load(@checkpoint)",
        "amp": False,
    }
    loaders = [i for i, handler in enumerate(inference["handlers"]) if handler.get("_target_") == "CheckpointLoader"]
    return override | {f"handlers#{index}#_disabled_": True for index in loaders}


def rename(node: object, package: str) -> object:
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


def targets(node: object) -> Iterator[str]:
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


def references(node: object) -> set[str]:
    """Top-level ids that a part of a configuration refers to."""
    if isinstance(node, Mapping):
        return set().union(*(references(child) for child in node.values()), set())
    if isinstance(node, list):
        return set().union(*(references(child) for child in node), set())
    return set(REFERENCE.findall(node)) if isinstance(node, str) else set()


def _root(key: str) -> str:
    return re.split(r"#|::", key.lstrip("+"))[0]


def _cwd_proof(config: Mapping) -> dict:
    """The configuration with ``add_path``, and the imports it needs, after its folder is known."""
    imports = list(config.get("imports", []))
    imports += [line for line in ("$import os", "$import sys") if line not in imports]
    rest = {key: value for key, value in config.items() if key not in ("imports", "bundle_root", "add_path")}
    return {"imports": imports, "bundle_root": config["bundle_root"], "add_path": ADD_PATH, **rest}
