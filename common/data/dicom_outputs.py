"""Results of DICOM series as DICOM segmentations, beside the other files."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform

from ..datasets.dicom import is_dicom, stack_at
from ..datasets.dicom.segmentation import encode, require_highdicom
from ..errors import InputError
from ..files import atomic_path


class SaveDicomSegd(MapTransform):
    """Write ``<output_dir>/<case>.dcm``, a DICOM segmentation that refers to the images of the case's series.

    A case that was no DICOM series gets none, with a word in the log.

    Args:
        keys: label map ``1, x, y[, z]`` in the geometry of the series.
        output_dir: the folder.
        names: of the classes without background; ``None`` numbers them.
        classes: number of classes, background included.
        image: key of the image, whose metadata name the series.

    Raises:
        InputError: when highdicom is not installed, and when names and classes do not match; of a case, when the
            headers of its images do not suffice.
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
        require_highdicom()
        self.names = list(names or [f"class {number}" for number in range(1, classes)])
        if len(self.names) != classes - 1:
            raise InputError(
                f"class_names={self.names}: expected {classes - 1} names, one per class but the background"
            )
        self.folder, self.image = Path(output_dir), image
        self.logger = logging.getLogger(type(self).__name__)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        source = Path(result[self.image].meta["filename_or_obj"])
        if not source.is_dir() and not is_dicom(source):
            self.logger.warning(f"{source}: no DICOM series, so no DICOM segmentation of it")
            return result
        for key in self.key_iterator(result):
            labels = np.asarray(result[key].cpu(), np.uint8)[0]
            try:
                segmentation = encode(labels, stack_at(source), self.names)
            except Exception as error:  # headers are wrong in many ways
                reason = f"{type(error).__name__}: {error}" if not isinstance(error, InputError) else str(error)
                raise InputError(
                    f"no DICOM segmentation can be made of {source} ({reason}); its other files are written"
                ) from error
            self._write(segmentation, str(result["case"]))
        return result

    def _write(self, segmentation: Any, case: str) -> None:
        with atomic_path(self.folder / f"{case}.dcm") as temporary:
            segmentation.save_as(temporary)
