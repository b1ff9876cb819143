"""Results next to each other in one folder, named after their cases: NIfTI files and pictures."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from monai.config import KeysCollection
from monai.data.utils import to_affine_nd
from monai.transforms import MapTransform, SaveImaged
from PIL import Image

from ..files import atomic_path

NIFTI = (".nii", ".nii.gz")
GEOMETRY = ("qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z",
            "srow_x", "srow_y", "srow_z", "xyzt_units")  # fmt: skip
SCANNER = 1  # code of a NIfTI file's geometry: that of the scanner


class SaveImageOfCased(SaveImaged):
    """Write ``<output_dir>/<case>[_<postfix>].nii.gz``; whole or not at all.

    The geometry is that of the image's file, as it stands there, units and codes included, where that is a NIfTI file;
    else that of the tensor, in mm. Nothing else of a header is taken over: texts in it may name the patient. Labels of
    pictures become ``.png`` pictures.

    Args:
        keys: what to write, ``C, x, y[, z]``.
        output_dir: the folder.
        postfix: end of the name.
        dtype: of the voxels in the file; of labels that are given ``values``, the smallest that holds those.
        values: stored value, or RGB triple, of each class; ``None`` stores the numbers as they are.
        channels: write all channels, along a fourth axis, instead of the first one.
    """

    def __init__(
        self,
        keys: KeysCollection,
        output_dir: str,
        postfix: str = "",
        dtype: str = "uint8",
        values: Sequence | None = None,
        channels: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys)  # MONAI's own writer keeps neither codes nor units, and is not built
        self.folder, self.ending, self.dtype = Path(output_dir), f"_{postfix}" if postfix else "", np.dtype(dtype)
        self.values = None if values is None else _smallest(np.asarray(values))
        self.labels, self.channels = self.dtype == np.uint8 and not channels, channels

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            values = result[key]
            source = Path(str(values.meta.get("filename_or_obj", "")))
            array = np.asarray(values.cpu(), self.dtype)
            array = np.moveaxis(array, 0, -1) if self.channels else array[0]
            array = array if self.values is None else self.values[array]
            picture = self.labels and values.ndim == 3 and not source.name.endswith(NIFTI) and _is_picture(array)
            with atomic_path(self.folder / f"{result['case']}{self.ending}{'.png' if picture else '.nii.gz'}") as path:
                if picture:
                    Image.fromarray(np.ascontiguousarray(array.swapaxes(0, 1))).save(path)
                else:
                    if self.channels and values.ndim == 3:
                        array = array[:, :, None]
                    nibabel.save(in_geometry_of(source, array, to_affine_nd(3, values.affine.cpu().numpy())), path)
        return result


def in_geometry_of(source: Path, array: np.ndarray, affine: np.ndarray) -> nibabel.Nifti1Image:
    """A NIfTI image of ``array`` with the geometry that its source's header states.

    Args:
        source: file that the array comes from.
        array: ``x, y[, z[, channels]]``.
        affine: ``4, 4``, to RAS in mm; counts where the source is no NIfTI file, or has another geometry.
    """
    image = nibabel.Nifti1Image(array, affine)
    image.set_sform(affine, SCANNER)
    image.set_qform(affine, SCANNER)
    image.header.set_xyzt_units("mm")
    if not source.name.endswith(NIFTI) or not source.is_file():
        return image
    stated = nibabel.load(source)
    voxel = np.abs(affine[:3, :3]).max()
    same = stated.affine is not None and np.allclose(stated.affine, affine, rtol=1e-4, atol=1e-3 * voxel)
    if array.shape[:3] != stated.shape[: min(array.ndim, 3)] or not same:
        return image
    header = nibabel.Nifti1Header()
    header.set_data_shape(array.shape)
    header.set_data_dtype(array.dtype)
    for name in GEOMETRY:
        header[name] = stated.header[name]
    count = min(len(stated.shape), 3)
    header["pixdim"][: 1 + count] = stated.header["pixdim"][: 1 + count]
    return nibabel.Nifti1Image(array, header.get_best_affine(), header)


def _smallest(values: np.ndarray) -> np.ndarray:
    """The values in the smallest type that holds them all."""
    kinds = (np.uint8, np.int16, np.uint16, np.int32)
    return values.astype(next(k for k in kinds if np.iinfo(k).min <= values.min() and values.max() <= np.iinfo(k).max))


def _is_picture(array: np.ndarray) -> bool:
    return array.dtype in (np.uint8, np.uint16)
