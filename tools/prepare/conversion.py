"""What a data set is to the runner: cases, each with its source files and a function that converts them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import SimpleITK as sitk


@dataclass(frozen=True)
class Converted:
    """One image of the prepared data set, with its label where there is one; both carry their geometry."""

    name: str
    image: sitk.Image
    label: sitk.Image | None = None
    slice: int | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Conversion:
    """One unit of work: ``convert`` reads ``sources`` (files, or folders of files) and gives one image or several."""

    name: str
    sources: Sequence[Path]
    convert: Callable[[], Sequence[Converted]]
    split: str | None = None  # train, validation or test, where the source or a published list says so
    domain: str = ""
    patient: str = ""

    @property
    def owner(self) -> str:
        """The patient, or the case itself where no patient is known."""
        return self.patient or self.name


@dataclass(frozen=True)
class Dataset:
    """All cases found in a source folder, in the order of the published lists where there are any.

    Attributes:
        cases: to convert.
        classes: number of classes, or ``None`` to take labels as they are.
        broken: name and reason of cases that cannot be converted: an image without its label, and the like.
        missing: cases that the published lists name and the source lacks.
        origin: where the splits come from, for ``splits.json``; ``None`` if they are still to be drawn.
        group: template of the images' names such as ``{patient}_*``.
        labeled: cases of the list ``labeled``; ``None`` for all training cases with a label.
        left_out: what of the source is not taken, in words.
    """

    cases: Sequence[Conversion]
    classes: int | None
    broken: Mapping[str, str] = field(default_factory=dict)
    missing: Sequence[str] = ()
    origin: str | None = None
    group: str | None = None
    labeled: Collection[str] | None = None
    left_out: Sequence[str] = ()
