"""The metadata of a released bundle: version, pins, data set, input and output format, results."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import packages_distributions

from common.errors import InputError

VERSION = re.compile(r"\d\.\d\.\d")
PINNED = re.compile(r"\d+(\.\d+)*")
FIXED = {"torch": "pytorch_version", "monai": "monai_version", "numpy": "numpy_version"}
DISTRIBUTIONS = {
    "SimpleITK": "SimpleITK",
    "segment_anything": "segment-anything",
    "skimage": "scikit-image",
    "ignite": "pytorch-ignite",
    "yaml": "PyYAML",
    "PIL": "pillow",
}
IMPORTED_BY_MONAI = {  # what MONAI itself imports late, for a class that a configuration names
    "fire": r"",
    "pytorch-ignite": r"(Evaluator|Trainer|Handler|CheckpointLoader|MeanDice)$",
    "nibabel": r"(Load|Save)Imaged$",
    "pillow": r"PIL(Reader|Writer)$",
    "scikit-image": r"(Keep|Remove)\w+(Component|Objects)d$",
    "scipy": r"(FillHoles|Hausdorff\w*|SurfaceDistance\w*)d?$",
}


def check_version(metadata: Mapping, source: str) -> str:
    """The version, or ``InputError``: three one-digit components, the newest of the changelog."""
    version, changes = metadata.get("version"), metadata.get("changelog", {})
    if not isinstance(version, str) or not VERSION.fullmatch(version):
        raise InputError(f"{source}: version={version!r} must be x.y.z with components 0 to 9")
    newest = max(changes, default=None, key=lambda entry: [int(part) for part in re.findall(r"\d+", entry)])
    if newest != version:
        raise InputError(f"{source}: version is {version} but the newest entry of the changelog is {newest}")
    return version


def required_packages(imported: Iterable[str], targets: Iterable[str]) -> set[str]:
    """Distributions that a bundle must declare, from its dotted imports and the components its configurations name.

    torch, monai and numpy have fields of their own; fire is what ``python -m monai.bundle`` itself needs.
    """
    imported, known = set(imported), packages_distributions()
    tops = {name.partition(".")[0] for name in imported} - set(FIXED)
    used = imported | set(targets)
    late = {name for name, users in IMPORTED_BY_MONAI.items() if any(re.search(users, dotted) for dotted in used)}
    return late | {DISTRIBUTIONS.get(top) or known.get(top, [top])[0] for top in tops}


def pins(metadata: Mapping, required: set[str], source: str) -> dict[str, str]:
    """Exact versions of exactly the ``required`` packages, as the bundle's own metadata declare them."""
    declared = metadata.get("required_packages_version", {})
    missing = sorted(required - set(declared))
    if missing:
        raise InputError(f"{source}: required_packages_version lacks {', '.join(missing)}, which the bundle imports")
    loose = [name for name in sorted(required) if not PINNED.fullmatch(str(declared[name]))]
    if loose:
        raise InputError(f"{source}: {loose[0]} is not pinned to one version: {declared[loose[0]]!r}")
    return {name: declared[name] for name in declared if name in required}


def released(metadata: Mapping, description: Mapping, config: Mapping, extra: Mapping) -> dict:
    """Metadata of the bundle under what is true of the data set and of this release (``extra``)."""
    names, channels = description["classes"], description.get("channels", ["image"])
    for key, listed in (("num_classes", names), ("in_channels", channels)):
        if config.get(key, len(listed)) != len(listed):
            raise InputError(f"{key}={config[key]} but the data set has {len(listed)}: {', '.join(listed)}")
    form = metadata["network_data_format"]
    image, pred = dict(form["inputs"]["image"]), dict(form["outputs"]["pred"])
    shape = _extents(image["spatial_shape"], config.get("patch_size"))
    image |= {"modality": description["modality"], "num_channels": len(channels), "channel_def": _numbered(channels)}
    pred |= {"num_channels": len(names), "channel_def": _numbered(names)}
    kept = {key: description[key] for key in ("task", "modality", "organ", "data_source")}
    words = [f"{number} {name.replace('_', ' ')}" for number, name in enumerate(names)]
    return {
        **metadata,
        **kept,
        "image_classes": f"{len(channels)} channel(s): {description['image']}",
        "label_classes": ", ".join(words),
        "pred_classes": f"{len(names)} channels: {', '.join(words)}",
        **extra,
        "network_data_format": {
            **form,
            "inputs": {**form["inputs"], "image": {**image, "spatial_shape": shape}},
            "outputs": {**form["outputs"], "pred": {**pred, "spatial_shape": shape}},
        },
    }


def _numbered(names: Sequence[str]) -> dict[str, str]:
    return {str(number): name for number, name in enumerate(names)}


def _extents(declared: Sequence, patch: Sequence[int] | None) -> list:
    """``16*n`` on every axis of the patch if the bundle declares that and the patch agrees, else the patch."""
    if patch is None:
        return list(declared)
    multiples = {re.fullmatch(r"(\d+)\*n", str(extent)) for extent in declared}
    factors = {int(match[1]) for match in multiples if match}
    if None not in multiples and len(factors) == 1 and all(extent % max(factors) == 0 for extent in patch):
        return [declared[0]] * len(patch)
    return list(patch)
