"""Small archives in the forms in which the data sets are distributed."""

import locale
from pathlib import Path

import h5py
import numpy as np
import SimpleITK as sitk
from PIL import Image


def volume(seed, size=(24, 20, 12), low=0.0, high=100.0):
    """Smooth random image and the label of its brightest corner region, as arrays x, y, z."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in size], indexing="ij"))
    center = rng.uniform(-0.2, 0.2, (3, 1, 1, 1))
    label = ((grid - center) ** 2).sum(0) < 0.25
    image = low + (high - low) * (0.2 + 0.5 * label + 0.3 * rng.random(size))
    return image, label.astype(np.uint8)


def to_image(values, spacing=(1.0, 1.0, 1.0), direction=None, origin=None):
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.T))
    image.SetSpacing(spacing)
    if direction is not None:
        image.SetDirection(direction)
    if origin is not None:
        image.SetOrigin(origin)
    return image


def write(values, path, **geometry):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(to_image(values, **geometry), str(path), useCompression=True)
    return path


def write_series(
    values, folder, spacing=(1.0, 1.0, 1.0), origin=(-10.0, -20.0, 5.0), series="1.2.3.1", skip=(), z=None
):
    """A CT series, one file per slice; ``values`` are Hounsfield units x, y, z and ``z`` other slice positions."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    depths = [origin[2] + k * spacing[2] for k in range(values.shape[2])] if z is None else z
    for k, depth in enumerate(depths):
        if k in skip:
            continue
        part = sitk.GetImageFromArray(values[:, :, k].T.round().astype(np.int16))
        part.SetSpacing(spacing[:2])
        uid = f"{series}.{k + 1}"
        tags = {"0008|0060": "CT", "0008|0016": "1.2.840.10008.5.1.4.1.1.2", "0008|0018": uid, "0020|000d": "1.2.3",
                "0020|000e": series, "0020|0013": str(k + 1), "0020|0032": f"{origin[0]}\\{origin[1]}\\{depth}",
                "0020|0037": "1\\0\\0\\0\\1\\0", "0028|1052": "-1024", "0028|1053": "1",
                "0018|0050": str(spacing[2])}  # fmt: skip
        for key, value in tags.items():
            part.SetMetaData(key, value)
        writer.SetFileName(str(folder / f"{k:06d}.dcm"))
        spoken = locale.setlocale(locale.LC_ALL)
        writer.Execute(part)  # which leaves the process in the locale C, and so Python reads text as ASCII
        locale.setlocale(locale.LC_ALL, spoken)
    return folder


def left_atria(root, names, size=(130, 126, 6)):
    """LA 2018: ``<name>/lgemri.nrrd`` and ``laendo.nrrd`` with values 0 and 255."""
    for seed, name in enumerate(names):
        image, label = volume(seed, size, low=10, high=900)
        write(image.astype(np.uint8), Path(root) / name / "lgemri.nrrd", spacing=(0.625,) * 3, origin=(3.0, 4.0, 5.0))
        write(label * 255, Path(root) / name / "laendo.nrrd", spacing=(0.625,) * 3, origin=(3.0, 4.0, 5.0))
    return Path(root)


def pancreas(root, numbers, size=(40, 36, 10), spacing=(0.8, 0.8, 2.5)):
    """Pancreas-CT: DICOM series, and labels whose second axis runs the other way and whose origin is zero."""
    root = Path(root)
    for number in numbers:
        image, label = volume(number, size, low=-60, high=240)
        write_series(image, root / "Pancreas-CT" / f"PANCREAS_{number:04d}" / "study" / "series", spacing,
                     series=f"1.2.{number}")  # fmt: skip
        write(label[:, ::-1], root / "labels" / f"label{number:04d}.nii.gz", spacing=spacing,
              direction=(1, 0, 0, 0, -1, 0, 0, 0, 1))  # fmt: skip
    return root


def brats(root, names):
    """BraTS 2019: FLAIR with an empty border, labels 0, 1, 2, 4."""
    for seed, name in enumerate(names):
        image, label = volume(seed, (20, 22, 18))
        image[:3], image[:, -4:], image[..., :2] = 0, 0, 0
        label = label * np.random.default_rng(seed).choice([1, 2, 4], label.shape)
        folder = Path(root) / "HGG" / name
        write(image.astype(np.int16), folder / f"{name}_flair.nii.gz")
        write(label.astype(np.uint8), folder / f"{name}_seg.nii.gz")
    return Path(root)


def acdc(root, patients, frames=(1, 3), cine=4, with_frames=True):
    """ACDC: cine, frames and labels at real spacing; without the frames only the cine holds the images."""
    spacing = (1.5, 1.5, 10.0)
    for seed, patient in enumerate(patients):
        folder = Path(root) / "training" / patient
        times = [volume(100 * seed + t, (20, 16, 6)) for t in range(cine)]
        series = sitk.JoinSeries([to_image(image.astype(np.float32), spacing) for image, _ in times])
        folder.mkdir(parents=True)
        sitk.WriteImage(series, str(folder / f"{patient}_4d.nii.gz"))
        (folder / "Info.cfg").write_text(f"ED: {frames[0]}\nES: {frames[1]}\nGroup: DCM\n", encoding="utf-8")
        for frame in frames:
            image, label = times[frame - 1]
            if with_frames:
                write(image.astype(np.float32), folder / f"{patient}_frame{frame:02d}.nii.gz", spacing=spacing)
            write(label * (1 + seed % 3), folder / f"{patient}_frame{frame:02d}_gt.nii.gz", spacing=spacing)
    return Path(root)


def isbi(root, patients, size=(30, 30, 8)):
    """NCI-ISBI 2013: DICOM series and NRRD labels of two zones."""
    for seed, patient in enumerate(patients):
        image, label = volume(seed, size)
        zones = label * (1 + (np.arange(size[0]) > size[0] // 2))[:, None, None]
        write_series(image, Path(root) / patient / "study" / "t2", (0.6, 0.6, 4.0), series=f"1.9.{seed}")
        write(zones.astype(np.uint8), Path(root) / "labels" / f"{patient}.nrrd", spacing=(0.6, 0.6, 4.0),
              origin=(-10.0, -20.0, 5.0))  # fmt: skip
    return Path(root)


def picture(path, seed, size=(20, 16), color=False, values=None):
    """A PNG of random gray or color values, or of the given array (x, y[, 3])."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if values is None:
        values = np.random.default_rng(seed).integers(0, 256, (*size, 3) if color else size).astype(np.uint8)
    Image.fromarray(np.ascontiguousarray(values.swapaxes(0, 1))).save(path)
    return values


def h5(path, image, **arrays):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for key, values in {"image": image, **arrays}.items():
            file[key] = values
    return path
