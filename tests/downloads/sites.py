"""Downloads with several sites, vendors or sequences of volumes: prostates, hearts of four vendors, three sequences."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from tests.tools.archives import to_image, volume, write, write_series

from .volumes import _heart, text

SITES = {"Prostate3T": "Prostate-3T", "ProstateDx": "PROSTATE-DIAGNOSIS"}  # prefix of the patients and collection


def nci_isbi(root: Path) -> Path:
    """Series as the retriever leaves them and the labels of three archives, two zones each."""
    for s, (prefix, collection) in enumerate(SITES.items()):
        patients = [f"{prefix}-01-{n:04d}" for n in range(1, 7)] + [f"{prefix}-03-0001", f"{prefix}-02-0001"]
        for n, patient in enumerate(patients):
            image, label = volume(100 * s + n, (32, 32, 6))
            folder = root / "manifest-1677266397028" / collection / patient
            series = folder / "07-07-2008-MRI PROSTATE-42697" / "4.000000-t2spcrstaxialoblProstate-90858"
            write_series(image, series, (0.6, 0.6, 3.6), series=f"1.3.{s}.{n}")
            zones = (label * (1 + (np.arange(32) > 15))[:, None, None]).astype(np.uint8)
            part, end = {"01": ("Training", ""), "02": ("Leaderboard", ""), "03": ("Test", "_truth")}[patient[11:13]]
            end = "_correctedLabels" if patient == "ProstateDx-01-0006" else end
            write(zones, root / part / f"{patient}{end}.nrrd", spacing=(0.6, 0.6, 3.6), origin=(-10.0, -20.0, 5.0))
    return root


def mnms(root: Path) -> Path:
    """The challenge's open data: a cine and its labels, drawn in two frames that a table names (counted from 0)."""
    top = root / "OpenDataset"
    rows = []
    places = [("Training/Labeled", "A", 4), ("Training/Labeled", "B", 1), ("Training/Unlabeled", "C", 1),
              ("Validation", "C", 1), ("Validation", "D", 1), ("Testing", "A", 2)]  # fmt: skip
    for part, vendor, count in places:
        for _ in range(count):
            n = len(rows)
            code = f"{'ABCDEFG'[n % 7]}{n:02d}Q{vendor}{n % 9}"
            frames = [_heart(10 * n + t, (30, 28, 3)) for t in range(3)]
            swap = np.array([0, 3, 2, 1], np.uint8)  # left ventricle 1, myocardium 2, right ventricle 3
            labels = [swap[label] * (t in (0, 2)) for t, (_, label) in enumerate(frames)]
            folder = top / part / code
            folder.mkdir(parents=True)
            parts = {"sa": [image for image, _ in frames]} | ({} if "Unl" in part else {"sa_gt": labels})
            for end, times in parts.items():
                joined = sitk.JoinSeries([to_image(values, (1.3, 1.3, 9.6)) for values in times])
                sitk.WriteImage(joined, str(folder / f"{code}_{end}.nii.gz"))
            name = {"A": "Siemens", "B": "Philips", "C": "GE", "D": "Canon"}[vendor]
            rows.append([n, code, name, vendor, 1 + n % 5, 0, 2, 50, "NOR", "F", "", ""])
    header = ["", "External code", "VendorName", "Vendor", "Centre", "ED", "ES", "Age", "Pathology", "Sex", "Height",
              "Weight"]  # fmt: skip
    with open(
        top / "211230_M&Ms_Dataset_information_diagnosis_opendataset.csv", "w", encoding="utf-8", newline=""
    ) as f:
        csv.writer(f).writerows([header, *rows])
    return root


def _sequence(seed: int) -> tuple[np.ndarray, np.ndarray]:
    image, label = _heart(seed, (32, 30, 4))
    return image, np.array([0, 600, 200, 500], np.int16)[label]  # right ventricle, myocardium, left ventricle


def mscmr(root: Path) -> Path:
    """The challenge's archives: images of three sequences in one folder, labels of few, and the others' apart."""
    images = root / "C0LET2_nii45_for_challenge19"
    apart = root / "C0LET2_gt_for_challenge19"
    for n in (1, 2, 3, 5, 6, 7, 34, 36, 40, 45):
        for s, sequence in enumerate(("C0", "LGE", "T2")):
            image, label = _sequence(10 * n + s)
            geometry = {"spacing": (1.25, 1.25, 8.0)}
            write(image, images / "c0t2lge" / f"patient{n}_{sequence}.nii.gz", **geometry)
            last = {"C0": 35, "LGE": 5, "T2": 35}[sequence]
            folder = {"C0": ("c0gt", "C0_manual_10"), "LGE": ("lgegt", "LGE_manual_35_TestData"),
                      "T2": ("t2gt", "T2_manual_10")}[sequence]  # fmt: skip
            where = images / folder[0] if n <= last else apart / folder[1]
            write(label, where / f"patient{n}_{sequence}_manual.nii.gz", **geometry)
    text(images / "readme.txt", "200 left ventricular myocardium, 500 left ventricle, 600 right ventricle")
    return root


def mscmr_folders(root: Path) -> Path:
    """The same in folders of sequence and split, image and label side by side, as the published code reads it."""
    for s, domain in enumerate(("C0", "LGE")):
        for split, numbers in (("train", (1, 2, 3, 5)), ("test", (36, 40))):
            for n in numbers:
                for end, values in zip(("", "_manual"), _sequence(10 * n + s)):
                    path = root / "MS-CMRSeg" / domain / split / f"patient{n}_{domain}{end}.nii.gz"
                    write(values, path, spacing=(1.25, 1.25, 8.0))
    return root
