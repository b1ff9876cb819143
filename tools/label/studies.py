"""The studies that a server offers and the labels they get: originals are read, everything else is kept apart."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from fastapi import HTTPException
from monailabel.datastore.local import LocalDatastore

from common.errors import InputError
from common.files import atomic_path

from .features import body_share, described, standardized
from .labels import Labels, by_model
from .requests import LABEL_TAGS, READ_ONLY

ENDINGS = ("*.nii.gz", "*.nii", "*.nrrd", "*.mha")
CHILD = "monailabel.interfaces.utils.app"  # the process that the server starts for a training
OFFERED = "offered"  # of an image's facts: the model that it was last to be labeled for
GRID_TOLERANCE = 1e-3  # of a voxel's edge


class Studies(LocalDatastore):
    """Images of a folder that is never written to; labels by model in a folder of the server's own.

    Tag ``final`` holds each file as a viewer saved it; the tag of a model's name holds its classes of it.

    Args:
        base: the server's folder.
        images: the clinic's.
        models: names and classes of all that are served, in order.
    """

    def __init__(self, base: Path, images: Path, models: Sequence[Labels]) -> None:
        self.models, self.base = models, base
        super().__init__(
            str(base), images_dir=str(images), extensions=ENDINGS, auto_reload=False,
            read_only=CHILD in getattr(sys, "orig_argv", ()),
        )  # fmt: skip
        stored = self._datastore.image_path()
        if Path(stored).resolve() != images.resolve():
            raise InputError(f"{base}: belongs to the studies in {stored}; give another folder (work)")

    def _to_id(self, file: str) -> tuple[str, str]:
        """Name without its ending, which is removed at the end alone."""
        ending = next((e[1:] for e in (*ENDINGS, "*.seg.nrrd") if file.endswith(e[1:])), Path(file).suffix)
        return file[: len(file) - len(ending)], ending

    def add_image(self, image_id: str, image_filename: str, image_info: dict) -> str:
        raise HTTPException(403, READ_ONLY)

    def remove_image(self, image_id: str) -> None:
        raise HTTPException(403, READ_ONLY)

    def get_labeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        return [id for id, entry in self._datastore.objects.items() if entry.labels.get(label_tag or "final")]

    def get_unlabeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        return [id for id, entry in self._datastore.objects.items() if not entry.labels.get(label_tag or "final")]

    def label_files(self, tag: str) -> dict[str, dict[str, str]]:
        """Image and label of every image that a model has a label of."""
        ids = self.get_labeled_images(tag)
        return {id: {"image": self.get_image_uri(id), "label": self.get_label_uri(id, tag)} for id in ids}

    def served(self) -> dict[str, float]:
        """When each image was last given to somebody, in seconds since 1970."""
        found = {}
        for id, entry in self._datastore.objects.items():
            times = [given.get("ts", 0) for given in entry.image.info.get("strategy", {}).values()]
            found[id] = float(max(times, default=0))
        return found

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict) -> str:
        """Keep a file as it came, and for each model the classes of its own in it; see ``by_model``."""
        known = [model.model for model in self.models]
        if image_id not in self._datastore.objects:
            raise HTTPException(404, f"{image_id}: no such image among the studies")
        if label_tag not in (*LABEL_TAGS, *known):
            raise HTTPException(422, f"tag {label_tag}: expected final, or a model: {', '.join(known)}")
        meant = label_tag if label_tag in known else (label_info or {}).get("model")
        try:
            values, grid = read_label(label_filename, self.get_image_uri(image_id))
            if not values.any() and (offered := self.get_image_info(image_id).get(OFFERED)) in known:
                meant = meant or offered  # viewers do not say whose classes are not there
            labels = by_model(values, (label_info or {}).get("label_info"), self.models, meant)
        except InputError as error:
            raise HTTPException(422, str(error)) from None
        with tempfile.TemporaryDirectory() as folder:
            for model, map in labels.items():
                file = Path(folder) / f"{model}.nii.gz"
                write_label(map, grid, file)
                super().save_label(image_id, str(file), model, {"from": label_tag})
        return super().save_label(image_id, label_filename, "final", {**(label_info or {}), "models": sorted(labels)})

    def keep_map(self, image_id: str, file: Path, tag: str) -> None:
        """Keep a map of an image that is no label, such as its uncertainty."""
        super().save_label(image_id, str(file), tag, {"kind": "map"})

    def features(self) -> dict[str, np.ndarray]:
        """What each image looks like, standardized over all; kept, so that each image is read once."""
        return standardized({id: np.array(entry["features"]) for id, entry in self._looked_at().items()})

    def body_shares(self) -> dict[str, float]:
        """Share of each image that is more than background."""
        return {id: entry["body"] for id, entry in self._looked_at().items()}

    def _looked_at(self) -> dict[str, dict]:
        file = self.base / "features.json"
        known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        entries = {}
        for id in self.list_images():
            state = Path(self.get_image_uri(id)).stat()
            version = [state.st_size, state.st_mtime_ns]
            entries[id] = (
                known[id] if known.get(id, {}).get("version") == version else _look(self.get_image_uri(id), version)
            )
        if entries != known:
            with atomic_path(file) as temporary:
                temporary.write_text(json.dumps(entries), encoding="utf-8")
        return {id: entry for id, entry in entries.items() if entry["features"]}


def _look(path: str, version: list[int]) -> dict:
    try:
        image = sitk.ReadImage(path)
        values = (
            sitk.GetArrayFromImage(image)[..., 0]
            if image.GetNumberOfComponentsPerPixel() > 1
            else sitk.GetArrayFromImage(image)
        )
        found = described(values, image.GetSpacing()[::-1])
    except (RuntimeError, ValueError):
        return {"version": version, "features": [], "body": 0.0}  # told by whoever segments it
    return {"version": version, "features": np.round(found, 4).tolist(), "body": round(body_share(values), 4)}


def read_label(file: str, image: str) -> tuple[np.ndarray, sitk.Image]:
    """Voxels of a label ``z, y, x`` and the grid of its image.

    Raises:
        InputError: for a file that cannot be read, of other than whole numbers, or on another grid than the image.
    """
    try:
        label = sitk.ReadImage(file)
    except RuntimeError:
        raise InputError("the label is no NIfTI or NRRD file that can be read") from None
    grid = header(image)
    if label.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(
            "the label has several layers (overlapping segments); expected one, where segments do not overlap"
        )
    if label.GetSize() != grid.GetSize()[:3]:
        raise InputError(f"the label has {label.GetSize()} voxels, the image {grid.GetSize()[:3]}")
    if not _same_place(label, grid):
        raise InputError("the label lies elsewhere than its image: origin, spacing or axes differ")
    values = sitk.GetArrayFromImage(label)
    if not np.array_equal(values, np.round(values)) or values.min() < 0 or values.max() > 255:
        raise InputError("the label must hold whole numbers from 0 to 255")
    return values.astype(np.uint8), label


def header(image: str) -> sitk.ImageFileReader:
    """Size and place of an image, whose voxels are not read."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(image)
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        raise InputError(f"{Path(image).name}: the image cannot be read") from None
    return reader


def _same_place(label: sitk.Image, grid: sitk.ImageFileReader) -> bool:
    spacing = np.array(grid.GetSpacing()[:3])
    close = [
        np.abs(np.array(label.GetSpacing()) - spacing).max() <= GRID_TOLERANCE * spacing.max(),
        np.abs(np.array(label.GetOrigin()) - np.array(grid.GetOrigin()[:3])).max() <= 0.05 * spacing.max(),
    ]
    axes = np.array(grid.GetDirection())
    side = int(np.sqrt(len(axes)))
    return all(close) and np.allclose(
        np.array(label.GetDirection()), axes.reshape(side, side)[:3, :3].ravel(), atol=1e-3
    )


def write_label(values: np.ndarray, grid: sitk.Image, file: Path, segments: Mapping[str, int] | None = None) -> None:
    """Write class numbers ``z, y, x`` as uint8 in the place of ``grid``."""
    image = sitk.GetImageFromArray(values.astype(np.uint8))
    image.CopyInformation(grid)
    for number, (name, value) in enumerate((segments or {}).items()):
        image.SetMetaData(f"Segment{number}_Name", name)
        image.SetMetaData(f"Segment{number}_LabelValue", str(value))
    sitk.WriteImage(image, str(file), useCompression=True)
