"""Published data sets as folders of empty files, in their sizes: enough to see which cases play which part."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path

from tools.prepare.lists import published


def touch(paths: Iterable[Path]) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def volumes(root: Path, name: str, frames: tuple[str, ...] = ("",)) -> None:
    """``images``, ``labels`` and ``splits.json`` of a benchmark's published lists."""
    lists = {key: [case + frame for case in cases for frame in frames] for key, cases in published(name).items()}
    cases = [case for names in lists.values() for case in names]
    touch(root / folder / f"{case}.nii.gz" for folder in ("images", "labels") for case in cases)
    (root / "splits.json").write_text(json.dumps(lists), encoding="utf-8")


def acdc(root: Path) -> None:
    """Two volumes of each of 100 patients."""
    volumes(root, "acdc", ("_frame01", "_frame12"))


def acdc_slices(root: Path) -> None:
    """The same as SSL4MIS lists them, nine slices of each volume for training."""
    for key, patients in published("acdc").items():
        names = [patient + frame for patient in patients for frame in ("_frame01", "_frame12")]
        if key == "train":
            names = [f"{name}_slice_{z}" for name in names for z in range(9)]
        file, folder = ("train_slices.list", "data/slices") if key == "train" else (f"{key}.list", "data")
        touch(root / folder / f"{name}.h5" for name in names)
        (root / file).write_text("\n".join(names), encoding="utf-8")


def domains(root: Path, counts: dict[str, tuple[int, int]], inner: str = "") -> None:
    """``<domain>/{train,test}/{image,mask}`` of so many pictures."""
    for domain, sizes in counts.items():
        for split, count in zip(("train", "test"), sizes):
            for kind in ("image", "mask"):
                touch(root / domain / split / inner / kind / f"{n:05d}.png" for n in range(count))


def busi(root: Path) -> None:
    """437 benign and 210 malignant images; some have several masks."""
    for domain, count in (("benign", 437), ("malignant", 210)):
        for n in range(1, count + 1):
            touch(root / domain / f"{domain} ({n}){end}.png" for end in ("", "_mask", *(["_mask_1"] if n < 9 else ())))


def mscmr(root: Path) -> None:
    """A volume of each sequence of 45 patients: 35 are training."""
    columns = ("path", "label", "domain", "patient", "slice", "split")
    with open(root / "manifest.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for sequence in ("C0", "LGE"):
            for n in range(1, 46):
                files = [f"{folder}/patient{n}_{sequence}.nii.gz" for folder in ("images", "labels")]
                touch(root / file for file in files)
                writer.writerow((*files, sequence, f"patient{n}", "", "train" if n <= 35 else "test"))


def manifest(root: Path, patients: dict[str, int]) -> None:
    """A table of two slices of each of so many patients per domain."""
    columns = ("path", "label", "domain", "patient", "slice", "split")
    with open(root / "manifest.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for domain, count in patients.items():
            for patient in range(count):
                for z in range(2):
                    image, label = (f"{kind}/{domain}_{patient:03d}_{z}.png" for kind in ("images", "masks"))
                    touch([root / image, root / label])
                    writer.writerow((image, label, domain, patient, z, "train"))


SITES = {
    "BIDMC": (225, 60),
    "BMC": (305, 60),
    "HK": (136, 60),
    "I2CVB": (373, 60),
    "RUNMC": (338, 60),
    "UCL": (133, 57),
}
WRITERS = {
    "la": lambda root: volumes(root, "la2018"),
    "brats": lambda root: volumes(root, "brats2019"),
    "pancreas_mcf": lambda root: volumes(root, "pancreas_mcf"),
    "pancreas_mcnet": lambda root: volumes(root, "pancreas_mcnet"),
    "acdc": acdc,
    "acdc_slices": acdc_slices,
    "prostate": lambda root: domains(root, SITES),
    "fundus": lambda root: domains(
        root, {"Domain1": (50, 51), "Domain2": (99, 60), "Domain3": (320, 80), "Domain4": (320, 80)}, "ROIs"
    ),
    "mnms_slices": lambda root: domains(
        root, {"vendorA": (1030, 200), "vendorB": (1342, 300), "vendorC": (525, 180), "vendorD": (550, 183)}
    ),
    "busi": busi,
    "mscmr": mscmr,
    "nci_isbi": lambda root: manifest(root, {"runmc": 30, "bmc": 30}),
    "mnms": lambda root: manifest(root, {"A": 95, "B": 125, "C": 50, "D": 50}),
}
