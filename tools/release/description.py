"""What a release says of the data that its weights were trained on: a published data set, or a user's own."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from monai.utils import ensure_tuple

from common.datasets.lists import FILE as LISTS
from common.errors import InputError
from common.files import read_json

DATASETS = Path(__file__).with_name("datasets.yaml")
OWN = "dataset.json"  # of nnU-Net and of the Medical Segmentation Decathlon, in the folder of the data
CLASS_NAME = re.compile(r"\w[\w .()/+-]{0,59}")
NAME = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")
BACKGROUND = "background"
LICENSES = ("data_license.txt", "LICENSE", "LICENSE.txt")  # in the folder of the data


def published(layers: Sequence[str]) -> dict | None:
    """Description of the data set that the last describing layer belongs to, if one does."""
    known = yaml.safe_load(DATASETS.read_text(encoding="utf-8"))
    for layer in reversed(layers):
        for name, description in known.items():
            if layer == name or layer.startswith(f"{name}_"):
                return description
    return None


def own(
    settings: Mapping[str, Any], classes: str | Sequence[str] | None = None, **stated: str | None
) -> dict[str, Any]:
    """Description of a user's own data set, in the form of ``datasets.yaml``.

    Args:
        settings: of the training.
        classes: names of the foreground classes in the order of their numbers; by default those that a
            ``dataset.json`` in the folder of the data gives, else ``class_1`` and so on.
        stated: ``modality`` and ``organ``; by default what is known of them.

    Raises:
        InputError: for names that are no names, or not as many as the network has classes.
    """
    folder = data_folder(settings)
    names = class_names(settings, classes)
    channels = _channels(folder, int(str(settings.get("in_channels", 1))))
    modality = stated.get("modality") or _modality(settings, channels)
    said = ", ".join(name.replace("_", " ") for name in names[1:])
    return {
        "task": f"Semi-supervised segmentation of {said}",
        "modality": modality,
        "organ": stated.get("organ") or said,
        "data_source": f"own data ({folder.name})",
        "image": "image",
        "channels": channels,
        "classes": names,
    }


def data_folder(settings: Mapping[str, Any]) -> Path:
    """Folder of a training's data: ``dataset_dir``, or where all images lie if that holds nothing but lists."""
    root = Path(str(settings["dataset_dir"]))
    files = _read(root / LISTS).get("files")
    if (root / "images").is_dir() or not isinstance(files, Mapping) or not files:
        return root
    entries = [entry.get("image", "") if isinstance(entry, Mapping) else "" for entry in files.values()]
    places = {(root / str(ensure_tuple(image)[0])).resolve().parent for image in entries}
    return _common({place.parent if place.name == "images" else place for place in places}, root)


def _common(places: Collection[Path], other: Path) -> Path:
    """The folder that all places are in; ``other`` where that is the root of a file system, or there is none."""
    try:
        found = Path(os.path.commonpath(places))
    except ValueError:  # on several drives
        return other
    return found if found.name else other


def class_names(settings: Mapping[str, Any], given: str | Sequence[str] | None = None) -> list[str]:
    """Names of all classes of a training, background first; see ``own``."""
    count = int(str(settings["num_classes"]))
    source = data_folder(settings) / OWN
    if given:
        words = given.split(",") if isinstance(given, str) else ensure_tuple(given)
        names, what = [str(word).strip() for word in words], "classes"
    elif found := _listed(source):
        names, what = found, str(source)
    else:
        return [BACKGROUND, *(f"class_{number}" for number in range(1, count))]
    names = names if names[0].lower() == BACKGROUND else [BACKGROUND, *names]
    if len(names) != count:
        raise InputError(
            f"{what}: names {len(names) - 1} foreground classes, the network has {count - 1}; give classes"
        )
    if wrong := [name for name in names if not CLASS_NAME.fullmatch(name)]:
        raise InputError(f"{what}: {wrong[0]!r} is no name of a class: expected up to 60 letters, digits and spaces")
    if len({name.lower() for name in names}) < count:
        raise InputError(f"{what}: two classes have one name: {', '.join(names)}")
    return names


def _listed(file: Path) -> list[str]:
    """Names that a ``dataset.json`` gives to label values, in the order of the values; empty where it gives none."""
    labels = _read(file).get("labels")
    if not isinstance(labels, Mapping):
        return []
    pairs = [(value, key) if str(value).isdecimal() else (key, value) for key, value in labels.items()]
    return [str(name) for value, name in sorted((int(v), n) for v, n in pairs if str(v).isdecimal())]


def _channels(folder: Path, count: int) -> list[str]:
    content = _read(folder / OWN)
    listed = content.get("channel_names") or content.get("modality")
    if isinstance(listed, Mapping) and len(listed) == count:
        return [str(listed[key]) for key in sorted(listed, key=str)]
    return ["image"] if count == 1 else [f"image_{number}" for number in range(count)]


def _modality(settings: Mapping[str, Any], channels: Sequence[str]) -> str:
    known = [name for name in ("CT", "MR", "US", "PET") if any(name in channel.upper() for channel in channels)]
    return known[0] if known else "CT" if settings.get("window") else "unknown"


def _read(file: Path) -> dict:
    return read_json(file, "it should describe the data", dict) if file.is_file() else {}


def own_name(settings: Mapping[str, Any], method: str) -> str:
    """Name of a release of own data: the data's folder and the method's bundle."""
    words = re.sub(r"[^a-z0-9]+", "_", data_folder(settings).name.lower()).strip("_")
    return f"{words}_{method}" if words else method


def license_text(given: str | None, settings: Mapping[str, Any]) -> str:
    """Terms of own data and of the weights: a file, a line of text, or a file that lies with the data.

    Raises:
        InputError: when there are none.
    """
    places = [Path(given)] if given else [data_folder(settings) / name for name in LICENSES]
    for place in places:
        if len(str(place)) < 1000 and place.is_file():
            text = place.read_text(encoding="utf-8", errors="replace").strip()
            if not text:
                raise InputError(f"{place}: empty; expected the terms of the data and the weights")
            return text + "\n"
    if given and (Path(given).suffix in (".txt", ".md") or "/" in given):
        raise InputError(f"{given}: no such file (license)")
    if not given:
        raise InputError(
            "license: say on what terms others may use these weights and what is known of the data's own: a line "
            "(--license 'CC BY 4.0; data: ...'), a file, or data_license.txt in the folder of the data"
        )
    return given.strip() + "\n"
