"""Volumes written as DICOM series."""

from pathlib import Path

import nibabel
import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid


def write_series(folder: Path, image: nibabel.Nifti1Image) -> list[Path]:
    """Write the slices of ``image`` (integers, RAS affine) as an MR series; the names of the files say nothing."""
    folder.mkdir(parents=True)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    series = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    frame, voxels = generate_uid(), np.asarray(image.dataobj).astype(np.int16)
    paths = []
    for k in range(voxels.shape[2]):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MRImageStorage, generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        slice_ = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        slice_.SOPClassUID, slice_.SOPInstanceUID = MRImageStorage, meta.MediaStorageSOPInstanceUID
        slice_.StudyInstanceUID, slice_.SeriesInstanceUID = series.values()
        slice_.FrameOfReferenceUID, slice_.PositionReferenceIndicator = frame, ""
        slice_.PatientName, slice_.PatientID, slice_.PatientBirthDate, slice_.PatientSex = "Test^Volume", "1", "", "O"
        slice_.StudyDate, slice_.StudyTime, slice_.StudyID, slice_.AccessionNumber = "20240101", "000000", "1", ""
        slice_.ReferringPhysicianName, slice_.Manufacturer, slice_.Modality = "", "", "MR"
        slice_.SeriesNumber, slice_.InstanceNumber = 1, k + 1
        slice_.ImagePositionPatient = [f"{x:.8g}" for x in (affine @ [0, 0, k, 1])[:3]]
        slice_.ImageOrientationPatient = [f"{x:.8g}" for x in (affine[:3, :2] / spacing[:2]).T.ravel()]
        slice_.PixelSpacing, slice_.SliceThickness = [float(spacing[1]), float(spacing[0])], float(spacing[2])
        slice_.Columns, slice_.Rows = voxels.shape[:2]
        slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
        slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit, slice_.PixelRepresentation = 16, 16, 15, 1
        slice_.PixelData = np.ascontiguousarray(voxels[:, :, k].T).tobytes()
        paths.append(folder / f"IM{(7 * k) % 97:04d}")
        pydicom.dcmwrite(paths[-1], slice_, enforce_file_format=True)
    return paths


def change(path: Path, **values: object) -> None:
    """Set attributes of a slice that was written."""
    slice_ = pydicom.dcmread(path)
    for name, value in values.items():
        setattr(slice_, name, value)
    slice_.save_as(path)
