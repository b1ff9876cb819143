"""A label map as a DICOM segmentation that refers to the images it was made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pydicom
from monai.utils import optional_import
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID, generate_uid
from pydicom.valuerep import DA, TM, PersonName

from ...errors import InputError
from .codes import codes_of, color_of
from .stack import Stack

highdicom, HAS_HIGHDICOM = optional_import("highdicom")

MAKER = "few-label segmentation"
MAY_BE_EMPTY = ("PatientID", "PatientName", "PatientBirthDate", "AccessionNumber", "StudyID", "ReferringPhysicianName")
SEXES = ("M", "F", "O", "")


def require_highdicom() -> None:
    """Raise ``InputError`` unless the package that encodes segmentations is installed."""
    if not HAS_HIGHDICOM:
        raise InputError(
            "dicom_seg needs the package highdicom (the extra dicom): pip install highdicom, or set dicom_seg to false"
        )


def encode(labels: np.ndarray, found: Stack, names: Sequence[str]) -> Dataset:
    """The DICOM segmentation of ``labels``.

    Args:
        labels: class numbers ``x, y, z`` (of a picture ``x, y``) in the grid of ``found``.
        found: the series.
        names: of the classes 1, 2, ...

    Raises:
        InputError: for images that cannot be referred to, having no identifiers of their own.
        ValueError, TypeError, AttributeError: for what highdicom does not accept.
    """
    order = dict.fromkeys(s.path for s in found.slices)  # each file once, in order
    sources = [pydicom.dcmread(path, stop_before_pixels=True, force=True) for path in order]
    complete(sources, found)
    planes = labels[None].transpose(0, 2, 1) if labels.ndim == 2 else labels.transpose(2, 1, 0)
    if len(sources) == 1:  # frames in the order of the file
        planes = planes[np.argsort([s.index for s in found.slices])]
    description = [_segment(number, name) for number, name in enumerate(names, start=1)]
    result = highdicom.seg.Segmentation(
        source_images=sources,
        pixel_array=np.ascontiguousarray(planes, np.uint8),
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=description,
        series_instance_uid=generate_uid(),
        series_number=_free_number(sources),
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name="MONAI bundle",
        software_versions="1",
        device_serial_number="0",
        content_label="SEGMENTATION",
        content_description="Automatic segmentation",
        series_description=f"Segmentation: {', '.join(names)}"[:64],
    )
    _describe(result, sources[0], found)
    return result


def _describe(result: Dataset, source: Dataset, found: Stack) -> None:
    """Add what highdicom leaves to the images: the thickness of the slices, and which way a picture is turned."""
    for group in result.get("SharedFunctionalGroupsSequence", ()):
        for measures in group.get("PixelMeasuresSequence", ()):
            if not measures.get("SliceThickness"):
                measures.SliceThickness = _thickness(found)
    if found.slices[0].frame.position is None:
        result.PatientOrientation = source.get("PatientOrientation", "")


def complete(sources: Sequence[Dataset], found: Stack) -> None:
    """Fill in what anonymization removed from the headers and a segmentation must carry: empty, or a new identifier.

    Raises:
        InputError: for images without identifiers, or with one for all, to which nothing could refer.
    """
    for source in sources:
        if not source.get("SOPInstanceUID"):
            source.SOPInstanceUID = source.file_meta.get("MediaStorageSOPInstanceUID", "")
        if not source.get("SOPClassUID"):
            source.SOPClassUID = source.file_meta.get("MediaStorageSOPClassUID", "")
    instances = {str(source.SOPInstanceUID) for source in sources}
    if "" in instances or len(instances) < len(sources):
        raise InputError("the images have no identifiers of their own (SOPInstanceUID) that it could refer to")
    seed, placed = sorted(instances), found.slices[0].frame.position is not None
    for source in sources:
        for name in ("StudyInstanceUID", "SeriesInstanceUID", *(["FrameOfReferenceUID"] if placed else [])):
            if not UID(str(source.get(name) or "")).is_valid or not source.get(name):
                setattr(source, name, generate_uid(entropy_srcs=[name, *seed]))
        for name in MAY_BE_EMPTY:
            if name not in source:
                setattr(source, name, "")
        source.PatientSex = source.get("PatientSex") if source.get("PatientSex") in SEXES else ""
        for name, kind in (("PatientBirthDate", DA), ("StudyDate", DA), ("StudyTime", TM)):
            setattr(source, name, _valid(source, name, kind))
        source.decode()  # names and texts in any alphabet are written in UTF-8
        for element in source:
            if element.VR == "PN" and element.value:
                element.value = PersonName(str(element.value))
        source.SpecificCharacterSet = "ISO_IR 192"
        source.Modality = source.get("Modality") or "OT"
        if not source.get("SliceThickness"):
            source.SliceThickness = _thickness(found)


def _valid(source: Dataset, name: str, kind: type) -> str:
    value = str(source.get(name) or "")
    try:
        kind(value)
    except ValueError:
        return ""
    return value


def _thickness(found: Stack) -> float:
    across = np.cross(found.axes[:, 0], found.axes[:, 1])
    return round(float(found.axes[:, 2] @ across / np.linalg.norm(across)), 4)


def _free_number(sources: Sequence[Dataset]) -> int:
    """A number for the new series: a hundredfold of that of the images, as scanners number what they derive."""
    return 100 * max(int(sources[0].get("SeriesNumber") or 1), 1)


def _segment(number: int, name: str) -> Dataset:
    category, kind = codes_of(name)
    segment = highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=name[:64],
        segmented_property_category=category,
        segmented_property_type=kind,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            MAKER, codes.DCM.ArtificialIntelligence, "1"
        ),
    )
    segment.RecommendedDisplayCIELabValue = color_of(number)
    return segment
