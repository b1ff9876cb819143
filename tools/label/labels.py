"""Which model a label belongs to, and which of its classes a segment is: by name, never by number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from common.errors import InputError

UNCERTAIN = "uncertain"  # a segment that is shown and never learned


@dataclass(frozen=True)
class Labels:
    """Names and numbers of a model's classes.

    Attributes:
        model: its name.
        classes: number of each foreground class by name.
    """

    model: str
    classes: Mapping[str, int]

    def number(self, name: str) -> int | None:
        """Of the class that a segment of this name is; ``None`` where it is none."""
        return {plain(known): number for known, number in self.classes.items()}.get(plain(name))


def plain(name: str) -> str:
    """A name as it is compared: ``Left_Atrium`` is ``left atrium``."""
    return " ".join(name.lower().replace("_", " ").split())


def by_model(
    values: np.ndarray, segments: Sequence[Mapping] | None, models: Sequence[Labels], meant: str | None = None
) -> dict[str, np.ndarray]:
    """Label maps by model, of the file that a viewer saved.

    A viewer makes a segment for every class of every model and numbers those it exports in their order, whatever the
    models call them. So a value says nothing by itself: the k-th entry of ``segments`` is value k. A model gets a label
    if one of its classes has voxels; an empty file goes to the model that is meant, or the only one.

    Args:
        values: whole numbers, the voxels of the file.
        segments: what the viewer says of them, ``{"name": ...}`` each; ``None`` for files whose values are already
            class numbers of the model that is meant, or of the only one.
        models: all that are served.
        meant: name of the model that the label is for, where it is known.

    Returns:
        uint8 maps of the shape of ``values``; none for a file in which everything is uncertain.

    Raises:
        InputError: for values that no segment or class has, for segments that are no class of any model, or where
            nothing tells which model is meant.
    """
    present = [int(value) for value in np.unique(values) if value != 0]
    targets = [model for model in models if model.model == meant] or (list(models) if len(models) == 1 else [])
    if meant is not None and not targets:
        raise InputError(f"{meant}: no such model; there are {', '.join(model.model for model in models)}")
    if segments is None:
        return _of_numbers(values, present, models, targets)
    names = {position: str(segment.get("name", "")) for position, segment in enumerate(segments, start=1)}
    if unknown := [value for value in present if value not in names]:
        raise InputError(f"the label has the value {unknown[0]}, but label_info names {len(names)} segments")
    found = {}
    for model in models:
        table = np.zeros(max([0, *present]) + 1, np.uint8)
        for value in present:
            table[value] = model.number(names[value]) or 0
        if table.any():
            found[model.model] = table[values]
    if found or present and all(plain(names[value]) == UNCERTAIN for value in present):
        return found
    if present:
        drawn = ", ".join(names[value] or "one without a name" for value in present)
        raise InputError(f"no segment is a class of a model: {drawn}; the classes are {', '.join(merged(models))}")
    if not targets:
        raise InputError(
            f"the label is empty: say which model it is for (tag), one of {', '.join(model.model for model in models)}"
        )
    return {targets[0].model: np.zeros(values.shape, np.uint8)}


def _of_numbers(
    values: np.ndarray, present: Sequence[int], models: Sequence[Labels], targets: Sequence[Labels]
) -> dict[str, np.ndarray]:
    if not targets:
        raise InputError(
            "the label does not say what its values are: give label_info with the names of the segments, or the model "
            f"(tag), one of {', '.join(model.model for model in models)}"
        )
    known = sorted(targets[0].classes.values())
    if wrong := [value for value in present if value not in known]:
        raise InputError(f"the label has the value {wrong[0]}; the classes of {targets[0].model} are {known}")
    return {targets[0].model: values.astype(np.uint8)}


def merged(models: Sequence[Labels]) -> list[str]:
    """Names of all classes of all models, those of the first model first, each once."""
    return list(dict.fromkeys(name for model in models for name in sorted(model.classes, key=model.classes.get)))


def colors(names: Sequence[str]) -> dict[str, list[int]]:
    """A color for each name, 0 to 255: the same for the same list, and far apart on the circle of hues."""
    return {name: _hue((0.02 + number * 0.618034) % 1.0) for number, name in enumerate(names)}


def _hue(hue: float, low: float = 70, high: float = 235) -> list[int]:
    rise = [abs(((hue * 6 + shift) % 6) - 3) - 1 for shift in (0, 4, 2)]
    return [round(low + (high - low) * min(1.0, max(0.0, part))) for part in rise]
