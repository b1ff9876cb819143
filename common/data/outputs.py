"""Results next to each other in one folder, named after their cases: NIfTI files and DICOM segmentations."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

import nibabel
import numpy as np
from monai.config import KeysCollection
from monai.data.utils import to_affine_nd
from monai.transforms import MapTransform, SaveImaged
from monai.utils import optional_import
from PIL import Image

from ..datasets.dicom import series_files
from ..errors import InputError
from ..files import atomic_path

highdicom, HAS_HIGHDICOM = optional_import("highdicom")
pydicom, _ = optional_import("pydicom")
codes, _ = optional_import("pydicom.sr.codedict", name="codes")


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


class SaveDicomSegd(MapTransform):
    """Write ``<output_dir>/<case>.dcm``, a DICOM segmentation that refers to the slices of the case's series.

    A case that was no DICOM series gets none, with a word in the log.

    Args:
        keys: label map ``1, x, y, z`` in the geometry of the series.
        output_dir: the folder.
        names: of the classes without background; ``None`` numbers them.
        classes: number of classes, background included.
        image: key of the image, whose metadata name the series.

    Raises:
        InputError: when highdicom is not installed, when names and classes do not match, and for a series whose
            headers do not suffice for a segmentation.
    """

    def __init__(
        self,
        keys: KeysCollection,
        output_dir: str,
        names: Sequence[str] | None = None,
        classes: int = 2,
        image: str = "image",
    ) -> None:
        super().__init__(keys)
        if not HAS_HIGHDICOM:
            raise InputError("dicom_seg needs the package highdicom: pip install highdicom, or set dicom_seg to false")
        self.names = list(names or [f"class {number}" for number in range(1, classes)])
        if len(self.names) != classes - 1:
            raise InputError(
                f"class_names={self.names}: expected {classes - 1} names, one per class but the background"
            )
        self.folder, self.image = Path(output_dir), image
        self.logger = logging.getLogger(type(self).__name__)

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        result = dict(data)
        series = Path(result[self.image].meta["filename_or_obj"])
        if not series.is_dir():
            self.logger.warning(f"{series}: no DICOM series, so no DICOM segmentation of it")
            return result
        for key in self.key_iterator(result):
            labels = np.asarray(result[key].cpu(), np.uint8)[0].T
            try:
                segmentation = self.encode(labels, [pydicom.dcmread(path) for path in series_files(series)])
            except (AttributeError, TypeError, ValueError) as error:
                raise InputError(f"{series}: no DICOM segmentation can be made of it ({error})") from error
            with atomic_path(self.folder / f"{result['case']}.dcm") as temporary:
                segmentation.save_as(temporary)
        return result

    def encode(self, labels: np.ndarray, slices: Sequence) -> object:
        """The DICOM segmentation of ``labels``, ``slice, row, column`` in the order of ``slices``."""
        algorithm = highdicom.AlgorithmIdentificationSequence(
            "few-label segmentation", codes.DCM.ArtificialIntelligence, "1"
        )
        segments = [
            highdicom.seg.SegmentDescription(
                segment_number=number,
                segment_label=name,
                segmented_property_category=codes.SCT.AnatomicalStructure,
                segmented_property_type=codes.SCT.AnatomicalStructure,
                algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
                algorithm_identification=algorithm,
            )
            for number, name in enumerate(self.names, start=1)
        ]
        return highdicom.seg.Segmentation(
            source_images=slices,
            pixel_array=np.ascontiguousarray(labels),
            segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=segments,
            series_instance_uid=highdicom.UID(),
            series_number=1,
            sop_instance_uid=highdicom.UID(),
            instance_number=1,
            manufacturer="few-label segmentation",
            manufacturer_model_name="MONAI bundle",
            software_versions="1",
            device_serial_number="0",
        )
