"""Volumes written as DICOM, in the forms that scanners and archives use."""

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_series(folder: Path, image: nibabel.Nifti1Image, edit: Callable = lambda data, k: None) -> list[Path]:
    """Write the slices of ``image`` (integers, RAS affine) as an MR series; the names of the files say nothing.

    ``edit`` may change the data set of slice ``k`` before it is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    affine = LPS @ image.affine
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    series = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    frame, voxels = generate_uid(), np.asarray(image.dataobj).astype(np.int16)
    paths = []
    for k in range(voxels.shape[2]):
        slice_ = _dataset(MRImageStorage, series, frame)
        slice_.InstanceNumber = k + 1
        slice_.ImagePositionPatient = _numbers((affine @ [0, 0, k, 1])[:3])
        slice_.ImageOrientationPatient = _numbers((affine[:3, :2] / spacing[:2]).T.ravel())
        slice_.PixelSpacing, slice_.SliceThickness = [float(spacing[1]), float(spacing[0])], float(spacing[2])
        slice_.Columns, slice_.Rows = voxels.shape[:2]
        slice_.PixelData = np.ascontiguousarray(voxels[:, :, k].T).tobytes()
        edit(slice_, k)
        paths.append(folder / f"IM{(7 * k) % 97:04d}")
        pydicom.dcmwrite(paths[-1], slice_, enforce_file_format=True)
    return paths


def write_frames(
    path: Path, image: nibabel.Nifti1Image, order: list[int], rescale: Callable = lambda k: (1.0, 0.0)
) -> Path:
    """Write ``image`` as one enhanced multi-frame file, its slices in ``order``, each with a rescaling of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = LPS @ image.affine
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    voxels = np.asarray(image.dataobj).astype(np.int16)
    series = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    data = _dataset(EnhancedMRImageStorage, series, generate_uid())
    data.Columns, data.Rows, data.NumberOfFrames = *voxels.shape[:2], len(order)
    data.InstanceNumber, data.ContentDate, data.ContentTime = 1, "20240101", "000000"
    data.ImageType = ["ORIGINAL", "PRIMARY", "OTHER", "NONE"]
    measures = _items(PixelSpacing=[float(spacing[1]), float(spacing[0])], SliceThickness=float(spacing[2]))
    turned = _items(ImageOrientationPatient=_numbers((affine[:3, :2] / spacing[:2]).T.ravel()))
    data.SharedFunctionalGroupsSequence = _items(PixelMeasuresSequence=measures, PlaneOrientationSequence=turned)
    frames = []
    for k in order:
        slope, intercept = rescale(k)
        frame = Dataset()
        frame.PlanePositionSequence = _items(ImagePositionPatient=_numbers((affine @ [0, 0, k, 1])[:3]))
        frame.PixelValueTransformationSequence = _items(
            RescaleSlope=slope, RescaleIntercept=intercept, RescaleType="US"
        )
        frame.FrameContentSequence = _items(StackID="1", InStackPositionNumber=k + 1)
        frames.append(frame)
    data.PerFrameFunctionalGroupsSequence = Sequence(frames)
    data.PixelData = np.ascontiguousarray(voxels[..., order].T).tobytes()
    pydicom.dcmwrite(path, data, enforce_file_format=True)
    return path


def write_picture(path: Path, values: np.ndarray, kind: str, **attributes: object) -> Path:
    """Write ``values`` (``y, x`` or ``y, x, 3``; with frames first, a film) of 8 bits without any position."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = _dataset(kind, {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}, "")
    color = values.shape[-1] == 3
    data.Rows, data.Columns = values.shape[-3:-1] if color else values.shape[-2:]
    data.SamplesPerPixel, data.PhotometricInterpretation = (3, "RGB") if color else (1, "MONOCHROME2")
    if color:
        data.PlanarConfiguration = 0
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    if values.ndim - color == 3:
        data.NumberOfFrames = len(values)
    data.PixelData = values.astype(np.uint8).tobytes()
    for name, value in attributes.items():
        setattr(data, name, value)
    pydicom.dcmwrite(path, data, enforce_file_format=True)
    return path


def write_report(path: Path, kind: str) -> Path:
    """Write an object of the class ``kind`` without pixels: a report, a presentation state, ..."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = _dataset(kind, {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}, "")
    for name in ("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel"):
        delattr(data, name)
    pydicom.dcmwrite(path, data, enforce_file_format=True)
    return path


def change(path: Path, **values: object) -> None:
    """Set attributes of a slice that was written; ``None`` removes one."""
    slice_ = pydicom.dcmread(path)
    for name, value in values.items():
        if value is None:
            delattr(slice_, name)
        else:
            setattr(slice_, name, value)
    slice_.save_as(path)


def compress_by_itk(path: Path, compressor: str) -> None:
    """Replace the pixels of a slice by those of a file that ITK compressed: ``JPEG`` (lossless) or ``JPEG2000``."""
    slice_ = pydicom.dcmread(path)
    values = slice_.pixel_array
    writer = sitk.ImageFileWriter()
    writer.SetFileName(str(path.with_suffix(".tmp.dcm")))
    writer.SetUseCompression(True)
    writer.SetCompressor(compressor)
    writer.Execute(sitk.GetImageFromArray(values[None]))
    other = pydicom.dcmread(path.with_suffix(".tmp.dcm"))
    path.with_suffix(".tmp.dcm").unlink()
    slice_.file_meta.TransferSyntaxUID = other.file_meta.TransferSyntaxUID
    slice_.PixelData = other.PixelData
    slice_["PixelData"].VR = "OB"
    slice_["PixelData"].is_undefined_length = True
    slice_.save_as(path)


def _dataset(kind: str, series: dict, frame: str) -> FileDataset:
    """What every object has; 16 signed bits of gray."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = kind, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = kind, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID = series["StudyInstanceUID"], series["SeriesInstanceUID"]
    if frame:
        data.FrameOfReferenceUID, data.PositionReferenceIndicator = frame, ""
    data.PatientName, data.PatientID, data.PatientBirthDate, data.PatientSex = "Test^Volume", "1", "", "O"
    data.StudyDate, data.StudyTime, data.StudyID, data.AccessionNumber = "20240101", "000000", "1", ""
    data.ReferringPhysicianName, data.Manufacturer, data.Modality, data.SeriesNumber = "", "", "MR", 1
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
    return data


def _numbers(values: np.ndarray) -> list[str]:
    return [f"{x:.8g}" for x in values]


def _items(**values: object) -> Sequence:
    item = Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return Sequence([item])
