"""Downloads of one volume per case: the left atrium, the pancreas, brain tumours, the short axis of the heart.

Sizes are small and values drawn; everything else is as distributed. Counts: a few cases of each published list.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from tests.tools.archives import h5, to_image, volume, write, write_series
from tools.prepare.lists import published

FEW = {"train": 4, "val": 1, "test": 1}


def few(benchmark: str) -> dict[str, list[str]]:
    """The first names of each published list."""
    return {key: names[: FEW[key]] for key, names in published(benchmark).items()}


def text(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def left_atria(root: Path) -> Path:
    """Folders of the challenge's two archives; cavity and wall are 0 and 255. The testing set is in no list."""
    top = root / "2018 Left Atrial Segmentation Challenge COMPLETE DATASET"
    names = few("la2018")
    placed = [("Training Set", name) for name in names["train"] + names["test"]] + [
        ("Testing Set", "4URSJYI2QUH1T5S5PP47")
    ]
    for seed, (folder, name) in enumerate(placed):
        image, label = volume(seed, (40, 36, 24), low=0, high=250)
        for file, values in (("lgemri", image), ("laendo", label * 255), ("lawall", (1 - label) * 255)):
            write(values.astype(np.uint8), top / folder / name / f"{file}.nrrd", spacing=(0.625,) * 3)
    text(top / "Training Set" / "data_readme.txt", "lgemri.nrrd: late gadolinium enhancement")
    return root


def left_atria_h5(root: Path) -> Path:
    """UA-MT's files, one folder per case, axes x, y, z."""
    for seed, name in enumerate(sum(few("la2018").values(), [])):
        image, label = volume(seed, (36, 34, 24), low=-1, high=3)
        folder = root / "2018LA_Seg_Training Set" / name
        h5(folder / "mri_norm2.h5", image.astype(np.float32), label=label)
    for key, names in few("la2018").items():
        text(root / f"{key}.list", *names)
    return root


def _scan(number: int) -> tuple[np.ndarray, np.ndarray]:
    return volume(number, (36, 32, 14), low=-60, high=240)


def _numbers() -> list[int]:
    """Cases of both published conventions: the first training and test cases of each."""
    lists = [few(f"pancreas_{convention}") for convention in ("mcnet", "mcf")]
    return sorted({int(name[-4:]) for names in lists for key in names for name in names[key]})


def _pancreas_label(root: Path, number: int, label: np.ndarray) -> None:
    """Axes of the label: its second runs the other way, which its header says; its origin is zero."""
    path = root / "TCIA_pancreas_labels-02-05-2017" / f"label{number:04d}.nii.gz"
    write(label[:, ::-1], path, spacing=(0.9, 0.9, 2.0), direction=(1, 0, 0, 0, -1, 0, 0, 0, 1))


def pancreas(root: Path) -> Path:
    """What the archive's retriever leaves: a manifest's folder, study and series below each patient."""
    top = root / "manifest-1599750808610"
    for number in _numbers():
        image, label = _scan(number)
        study = f"11-24-2015-PANCREAS{number:04d}-Pancreas-{18956 + number}"
        series = top / "Pancreas-CT" / f"PANCREAS_{number:04d}" / study / f"Pancreas-{99666 + number}"
        write_series(image, series, (0.9, 0.9, 2.0), series=f"1.2.826.{number}")
        for k, path in enumerate(sorted(series.iterdir())):
            path.rename(path.with_name(f"1-{k + 1:03d}.dcm"))
        _pancreas_label(root, number, label)
    text(top / "metadata.csv", "Series UID,Collection")
    text(top / "Pancreas-CT" / "LICENSE", "CC BY 3.0")
    return root


def pancreas_nifti(root: Path) -> Path:
    """The same scans converted to NIfTI, as many keep them."""
    for number in _numbers():
        image, label = _scan(number)
        path = root / "Pancreas-CT" / f"PANCREAS_{number:04d}.nii.gz"
        write(image.round().astype(np.int16), path, spacing=(0.9, 0.9, 2.0), origin=(-10.0, -20.0, 5.0))
        _pancreas_label(root, number, label)
    return root


def pancreas_h5(root: Path) -> Path:
    """MC-Net's files."""
    for number in sorted({int(name[-4:]) for names in few("pancreas_mcnet").values() for name in names}):
        image, label = volume(number, (32, 30, 28), low=-1, high=2)
        h5(root / "Pancreas_h5" / f"image{number:04d}_norm.h5", image.astype(np.float32), label=label)
    return root


def brats(root: Path) -> Path:
    """Four sequences and the labels 0, 1, 2, 4 of each case; the head does not fill the box."""
    top = root / "MICCAI_BraTS_2019_Data_Training"
    flip = (-1, 0, 0, 0, -1, 0, 0, 0, 1)
    for seed, name in enumerate(sum(few("brats2019").values(), [])):
        image, label = volume(seed, (32, 30, 26))
        image[:3], image[:, -4:], image[..., :2] = 0, 0, 0
        label = label * np.random.default_rng(seed).choice([1, 2, 4], label.shape)
        folder = top / ("HGG" if seed % 2 else "LGG") / name
        for sequence in ("flair", "t1", "t1ce", "t2"):
            write(image.astype(np.int16), folder / f"{name}_{sequence}.nii.gz", direction=flip, origin=(0, 239, 0))
        write(label.astype(np.uint8), folder / f"{name}_seg.nii.gz", direction=flip, origin=(0, 239, 0))
    text(top / "name_mapping.csv", "Grade,BraTS_2017_subject_ID")
    text(top / "survival_data.csv", "BraTS19ID,Age,Survival,ResectionStatus")
    return root


def brats_h5(root: Path) -> Path:
    """SSL4MIS's files, axes z, y, x."""
    for seed, name in enumerate(sum(few("brats2019").values(), [])):
        image, label = volume(seed, (30, 28, 26), low=-1, high=3)
        h5(root / "data" / f"{name}.h5", image.astype(np.float32).T, label=label.T)
    for key, names in few("brats2019").items():
        text(root / f"{key}.txt", *names)
    return root


def _patients() -> dict[str, list[str]]:
    """The first of each list, and normal ones, 61 to 80, among those of training."""
    lists = few("acdc")
    normal = [patient for patient in published("acdc")["train"] if 61 <= int(patient[-3:]) <= 80]
    return {**lists, "train": [*lists["train"], *normal[:5]]}


def _heart(seed: int, size: tuple[int, ...] = (30, 34, 5)) -> tuple[np.ndarray, np.ndarray]:
    """A volume and three rings of labels: right ventricle 1, myocardium 2, left ventricle 3."""
    image, label = volume(seed, size, low=20, high=400)
    label = np.where(label > 0, 2, 0)
    middle = np.linspace(-1, 1, size[0])[:, None, None]
    label = np.where((label > 0) & (middle > 0.2), 1, np.where((label > 0) & (middle < -0.2), 3, label))
    return image.astype(np.int16), label.astype(np.uint8)


def acdc(root: Path) -> Path:
    """The challenge's database: cine, both labeled frames and a text file per patient, and its testing patients."""
    spacing = (1.5625, 1.5625, 10.0)
    places = [("training", patient) for names in _patients().values() for patient in names] + [
        ("testing", "patient101")
    ]
    for seed, (part, patient) in enumerate(places):
        folder = root / "ACDC" / "database" / part / patient
        frames = {number: _heart(10 * seed + number) for number in range(1, 5)}
        folder.mkdir(parents=True)
        cine = sitk.JoinSeries([to_image(image, spacing) for image, _ in frames.values()])
        sitk.WriteImage(cine, str(folder / f"{patient}_4d.nii.gz"))
        for number in (1, 4):
            for end, values in zip(("", "_gt"), frames[number]):
                write(values, folder / f"{patient}_frame{number:02d}{end}.nii.gz", spacing=spacing)
        text(folder / "Info.cfg", "ED: 1", "ES: 4", "Group: DCM", "Height: 184.0", "NbFrame: 4", "Weight: 95.0")
        text(folder / "MANDATORY_CITATION.md", "O. Bernard et al.")
    return root


def acdc_h5(root: Path) -> Path:
    """SSL4MIS's files, axes z, y, x: all volumes, and each slice of the training volumes once more."""
    top, lists = root / "ACDC", _patients()
    names = {key: [f"{patient}_frame{t:02d}" for patient in lists[key] for t in (1, 4)] for key in lists}
    slices = []
    for seed, (key, name) in enumerate((part, name) for part in names for name in names[part]):
        image, label = _heart(seed)
        scaled = ((image - image.min()) / np.ptp(image)).astype(np.float32).T
        h5(top / "data" / f"{name}.h5", scaled, label=label.T)
        for z in range(len(scaled)) if key == "train" else ():
            slices.append(f"{name}_slice_{z + 1}")
            h5(top / "data" / "slices" / f"{slices[-1]}.h5", scaled[z], label=label.T[z], scribble=label.T[z])
    text(top / "train_slices.list", *slices)
    text(top / "all_slices.list", *slices)
    for key in ("train", "val", "test"):
        text(top / f"{key}.list", *names[key])
    return root
