"""Results next to each other in one folder, named after their cases: NIfTI files and pictures."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path

import nibabel
import numpy as np
from monai.config import KeysCollection
from monai.data.utils import to_affine_nd
from monai.transforms import SaveImaged
from PIL import Image

from ..files import atomic_path


class SaveImageOfCased(SaveImaged):
    """Write ``<output_dir>/<case>[_<postfix>].nii.gz`` in the geometry of the tensor; whole or not at all.

    Labels of pictures become ``.png`` pictures of the class numbers.

    Args:
        keys: what to write.
        output_dir: the folder.
        postfix: end of the name.
        dtype: of the voxels in the file.
    """

    def __init__(self, keys: KeysCollection, output_dir: str, postfix: str = "", dtype: str = "uint8") -> None:
        super().__init__(keys, output_dir=output_dir, output_dtype=np.dtype(dtype), resample=False, print_log=False)
        self.folder, self.ending, self.dtype = Path(output_dir), f"_{postfix}" if postfix else "", np.dtype(dtype)

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        result = dict(data)
        for key in self.key_iterator(result):
            values = result[key]
            source = str(values.meta.get("filename_or_obj", ""))
            picture = values.ndim == 3 and self.dtype == np.uint8 and not source.endswith((".nii", ".nii.gz"))
            with atomic_path(self.folder / f"{result['case']}{self.ending}{'.png' if picture else '.nii.gz'}") as path:
                if picture:
                    Image.fromarray(np.asarray(values[0].cpu(), self.dtype).T).save(path)
                elif values.ndim == 3:  # MONAI's writer takes two dimensions for one
                    affine = to_affine_nd(3, values.affine.cpu().numpy())
                    nibabel.save(nibabel.Nifti1Image(np.asarray(values[0].cpu(), self.dtype), affine), path)
                else:
                    self.saver(values, filename=str(path).removesuffix(".nii.gz"))
        return result
