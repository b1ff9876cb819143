"""Plan, train, predict and score from Python: each call is the verb of the command line, on arrays or files.

```python
from tools.api import Model, Plan, score

plan = Plan.of("my_data", method="ssnet_segmentation")
model = plan.train("runs/mine")
result = model.predict(volume, spacing=(1.0, 1.0, 2.5))
score(result.labels, label, spacing=(1.0, 1.0, 2.5))["dice"]
```

A wrong use raises ``common.errors.InputError``, in one line, before any work.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nibabel
import numpy as np
from PIL import Image

from common.datasets import find_images
from common.errors import InputError, find_explained, require_file
from common.options.layers import read_layer

from .folds import planned_for
from .plan import plan as write_plan
from .run import configuration, run
from .runs import require_run
from .score import score as score_folders
from .score import score_arrays

STORED = ("u1", "i2", "u2", "i4", "f4")  # kinds of voxels that are kept; others become float32
OFFERED = ("probabilities", "uncertainty")


class Plan:
    """A training that ``tools plan`` has planned: options, as ``plan.yaml`` holds them, and the method that takes them.

    Args:
        path: the file, or any other layer of options.
        method: the bundle, by name or as a folder; by default the one that the plan is for.

    Raises:
        InputError: for a file, a bundle or an option that does not exist, or a value out of its range.
    """

    def __init__(self, path: str | PathLike, method: str | None = None) -> None:
        self.path = require_file(path, "expected the plan.yaml of tools plan")
        self.method = method or planned_for(Path(self.path))
        self.options = dict(read_layer(self.path).content)
        configuration(self.method, [self.path], {})

    @classmethod
    def of(cls, folder: str | PathLike, method: str = "meanteacher_segmentation", **wishes: Any) -> Plan:
        """Plan a training on the images and fewer labels of ``folder``; wishes are the options of ``tools plan``."""
        with redirect_stdout(io.StringIO()):
            write_plan(str(folder), method, **wishes)
        return cls(Path(str(wishes.get("output") or folder)) / "plan.yaml", method)

    def train(self, output_dir: str | PathLike, **options: Any) -> Model:
        """Train into the folder ``output_dir``; options are those of ``tools run <method> --help``."""
        with _explained():
            run(self.method, self.path, output_dir=str(output_dir), **options)
        return Model(output_dir)


@dataclass(frozen=True)
class Prediction:
    """What a model says of one image.

    Attributes:
        labels: class of each voxel, in the values of the labels that were trained with: ``x, y, z`` of a volume, rows
            and columns of a picture; the extents of the image.
        affine: ``4, 4``, from voxels to RAS in mm; of a picture ``None``.
        probabilities: the same extents and one more axis of classes, background first; where asked for.
        uncertainty: 0 (certain) to 1 of each voxel; where asked for.
    """

    labels: np.ndarray
    affine: np.ndarray | None
    probabilities: np.ndarray | None = None
    uncertainty: np.ndarray | None = None


class Model:
    """A trained run, used with the settings it was trained with.

    Args:
        folder: of the run, or its weights.

    Raises:
        InputError: where there is no run.
    """

    def __init__(self, folder: str | PathLike) -> None:
        self.run = require_run(str(folder))
        self.settings = self.run.settings

    def predict(
        self,
        image: np.ndarray | str | PathLike,
        spacing: Sequence[float] | None = None,
        affine: np.ndarray | None = None,
        **options: Any,
    ) -> Prediction:
        """Segment one image.

        Args:
            image: a file or DICOM series; or an array, ``x, y, z[, channels]`` of a volume, in the intensities of the
                training's files, or rows and columns (and 3 colors) of a picture, uint8 or uint16.
            spacing: of an array's voxels in mm; its axes then run to the right, to the front and to the top (RAS).
            affine: ``4, 4``, from an array's voxels to RAS in mm, instead of ``spacing``.
            options: of inference: ``probabilities=True``, ``uncertainty="entropy"``, ``largest_component=True``,
                ``stride="fast"``, ``device="cpu"`` and others of ``tools run <method> --help``.

        Raises:
            InputError: for an array or a file that cannot be segmented, and for options that contradict the training.
        """
        with TemporaryDirectory() as place:
            if isinstance(image, np.ndarray):
                source = self._store(image, spacing, affine, Path(place) / "image.nii")
            elif spacing is not None or affine is not None:
                raise InputError(f"{image}: a file has its own geometry; spacing and affine are for arrays")
            elif (count := len(find_images(str(image)))) > 1:
                raise InputError(f"{image}: {count} images; predict takes one, predict_files a folder of them")
            else:
                source = Path(image)
            try:
                (written,) = self.predict_files(source, Path(place) / "out", **options)
            except InputError as error:
                name = "the array" if isinstance(image, np.ndarray) else str(image)
                raise InputError(str(error).replace(str(source), name)) from None
            return _read(written)

    def predict_files(
        self, inputs: str | PathLike | Sequence[str | PathLike], output_dir: str | PathLike, **options: Any
    ) -> list[Path]:
        """Segment files into the folder ``output_dir``; returns the written segmentations in the order of the images.

        Args:
            inputs: an image, a DICOM series, a folder of either, or a list of these.
            output_dir: another folder than that of the images.
            options: as those of ``predict``, and ``dicom_seg=True``.
        """
        sources = str(inputs) if isinstance(inputs, (str, PathLike)) else [str(path) for path in inputs]
        places = {"checkpoint": str(self.run.weights), "inputs": sources, "output_dir": str(output_dir)}
        with _explained(), _quiet():
            run(str(self.run.bundle), "inference", **{**options, **places})
        stems = [Path(output_dir) / str(case["case"]) for case in find_images(sources)]
        return [next(file for e in (".nii.gz", ".png") if (file := Path(f"{stem}{e}")).is_file()) for stem in stems]

    def _store(self, image: np.ndarray, spacing: Sequence[float] | None, affine: np.ndarray | None, path: Path) -> Path:
        """The file of an array."""
        channels = self.settings["in_channels"]
        if image.ndim == 2 or (image.ndim == 3 and channels == 3 == image.shape[-1]):
            if image.dtype not in (np.uint8, np.uint16) or (image.ndim == 3 and image.dtype != np.uint8):
                raise InputError(f"image: a picture of {image.dtype}; expected uint8, or uint16 without colors")
            if spacing is not None or affine is not None:
                raise InputError("image: a picture has no geometry; spacing and affine are for volumes")
            Image.fromarray(np.ascontiguousarray(image)).save(path.with_suffix(".png"))
            return path.with_suffix(".png")
        if image.ndim != (3 if channels == 1 else 4) or (image.ndim == 4 and image.shape[-1] != channels):
            wanted = "x, y, z" if channels == 1 else f"x, y, z, {channels} channels"
            raise InputError(f"image: an array of shape {image.shape}; the model takes {wanted}, or rows and columns")
        voxels = image.astype(np.uint8) if image.dtype == bool else image
        voxels = voxels if voxels.dtype.str[1:] in STORED else voxels.astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(voxels, _geometry(spacing, affine)), path)
        return path


def score(
    predictions: np.ndarray | str | PathLike,
    labels: np.ndarray | str | PathLike,
    spacing: Sequence[float] | None = None,
    **options: Any,
) -> dict:
    """Measure segmentations against labels as ``tools score`` does: two arrays, or two folders.

    Args:
        predictions: class of each voxel; or a folder of files.
        labels: the same extents; or a folder of files of the same names.
        spacing: of arrays in mm; ``None``: distances are in voxels.
        options: ``classes`` and ``tolerance``; for folders also the others of ``tools score``.

    Returns:
        ``dice`` over all classes, ``classes`` with Dice, Jaccard, 95HD, ASD and surface Dice of each, ``failures``.
    """
    if isinstance(predictions, np.ndarray) and isinstance(labels, np.ndarray):
        return score_arrays(predictions, labels, spacing, **options)
    if isinstance(predictions, np.ndarray) or isinstance(labels, np.ndarray):
        raise InputError("score: an array and a folder; expected two arrays or two folders")
    if spacing is not None:
        raise InputError("score: files have their own spacing; spacing is for arrays")
    with redirect_stdout(io.StringIO()):
        return score_folders(str(predictions), str(labels), **options)


def _geometry(spacing: Sequence[float] | None, affine: np.ndarray | None) -> np.ndarray:
    """The affine of a volume, from whichever of the two was given."""
    if (spacing is None) == (affine is None):
        raise InputError("image: expected either the spacing of its voxels in mm or their affine")
    if spacing is not None:
        if np.shape(spacing) != (3,) or not np.all(np.isfinite(spacing)) or min(spacing) <= 0:
            raise InputError(f"spacing {spacing}: expected three lengths in mm above 0")
        return np.diag([*map(float, spacing), 1.0])
    matrix = np.asarray(affine, dtype=float)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) == 0:
        raise InputError(f"affine: expected an invertible matrix 4 x 4, got {matrix.shape}")
    return matrix


def _read(path: Path) -> Prediction:
    """What inference wrote of one image."""
    picture, stem = path.suffix == ".png", path.name.partition(".")[0]
    maps = {}
    for name in OFFERED:
        file = path.with_name(f"{stem}_{name}.nii.gz")
        if file.is_file():
            values, _ = _volume(file)
            if picture:  # x, y[, 1, classes]
                values = (np.squeeze(values, 2) if values.ndim > 2 else values).swapaxes(0, 1)
            maps[name] = values
    if picture:
        with Image.open(path) as stored:
            return Prediction(np.array(stored), None, **maps)
    labels, affine = _volume(path)
    return Prediction(labels, affine, **maps)


def _volume(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Voxels and affine of a NIfTI file that inference wrote."""
    stored = nibabel.Nifti1Image.from_filename(path)
    return np.asarray(stored.dataobj), np.asarray(stored.affine)


@contextmanager
def _explained() -> Iterator[None]:
    """Raise what explains itself in the place of what libraries have wrapped it into."""
    try:
        yield
    except Exception as error:
        if (found := find_explained(error)) is None or found is error:
            raise
        raise found from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the log to warnings."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.INFO))
    try:
        yield
    finally:
        logging.disable(before)
