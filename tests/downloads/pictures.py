"""Downloads of pictures: prostate slices, fundus photographs, cardiac slices, breast ultrasound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def save(path: Path, values: np.ndarray, mode: str | None = None) -> None:
    """A PNG of values by row, column (and channel)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.ascontiguousarray(values, dtype=np.uint8))
    (picture.convert(mode) if mode else picture).save(path)


def scene(seed: int, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Rows by columns: a gray image and nested areas 1 (outer), 2, 3 (inner), brighter than what is around them."""
    rng = np.random.default_rng(seed)
    rows, columns = np.meshgrid(*[np.linspace(-1, 1, n) for n in size], indexing="ij")
    center = rng.uniform(-0.3, 0.3, 2)
    distance = np.hypot(rows - center[0], columns - center[1])
    depth = (distance < 0.6).astype(int) + (distance < 0.4) + (distance < 0.2)
    texture = np.sin(np.hypot(*rng.uniform(-25, 25, (2, 1, 1)) + np.stack([12 * rows, 12 * columns])))
    return (70 + 30 * depth + 40 * texture + 20 * rng.random(size)).astype(np.uint8), depth


def split_folders(
    root: Path, domains: tuple[str, ...], write, names: dict[str, tuple[str, ...]], inner: str = ""
) -> None:
    """``<domain>/{train,test}/[inner/]{image,mask}/<name>.png``."""
    for d, domain in enumerate(domains):
        for split, files in names.items():
            for n, name in enumerate(files):
                folder = root / domain / split / inner
                write(
                    folder / "image" / f"{name}.png",
                    folder / "mask" / f"{name}.png",
                    100 * d + n + 50 * (split == "test"),
                )


def prostate(root: Path) -> Path:
    """Six sites, 8-bit gray of one size; the prostate is 0 in its mask and everything else 255."""

    def write(image: Path, mask: Path, seed: int) -> None:
        gray, depth = scene(seed, (48, 48))
        save(image, gray)
        save(mask, np.where(depth > 1, 0, 255))

    names = {"train": ("00_00", "00_01", "01_00", "02_00"), "test": ("00_00", "00_01")}
    split_folders(root / "ProstateSlice", ("BIDMC", "BMC", "HK", "I2CVB", "RUNMC", "UCL"), write, names)
    return root


def fundus(root: Path) -> Path:
    """Four domains of color photographs; cup 0, rim 128, everything else 255, in three equal channels."""

    def write(image: Path, mask: Path, seed: int) -> None:
        gray, depth = scene(seed, (50, 50))
        save(image, np.stack([gray, gray // 2, gray // 3], axis=-1))
        save(mask, np.repeat(np.choose(np.minimum(depth, 2), [255, 128, 0])[..., None], 3, axis=-1))

    files = [("gdrishtiGS_002", "gdrishtiGS_004", "gdrishtiGS_008"), ("G-1-L", "G-3-R", "N-1-L"),
             ("g0003", "g0004", "n0005"), ("V0001", "V0003", "V0004")]  # fmt: skip
    for number, (one, two, three) in enumerate(files, 1):
        names = {"train": (one, two), "test": (three,)}
        split_folders(root / "Fundus", (f"Domain{number}",), write, names, "ROIs")
    (root / "Fundus" / "readme.md").write_text("four domains\n", encoding="utf-8")
    (root / "Fundus" / "Domain2" / "test_file_list.txt").write_text("N-1-L.png\n", encoding="utf-8")
    return root


def mnms_slices(root: Path) -> Path:
    """Four vendors, gray pictures of many sizes; masks in color, a channel for each class."""

    def write(image: Path, mask: Path, seed: int) -> None:
        gray, depth = scene(seed, (40 + seed % 3, 48))
        save(image, gray)
        rgb = [depth == 3, depth == 2, depth == 1]  # left ventricle, myocardium, right ventricle
        save(mask, 255 * np.stack(rgb, axis=-1))

    names = {"train": ("000003", "000004", "000005"), "test": ("076001",)}
    split_folders(root / "mnms", tuple(f"vendor{letter}" for letter in "ABCD"), write, names)
    return root


def busi(root: Path) -> Path:
    """Two folders that count and one that does not; color images of many sizes, one mask or several in other modes."""
    top = root / "archive" / "Dataset_BUSI_with_GT"
    for domain, count in (("benign", 11), ("malignant", 7), ("normal", 2)):
        for n in range(1, count + 1):
            gray, depth = scene(n, (40 + n, 52))
            save(top / domain / f"{domain} ({n}).png", gray, "RGB")
            mask = 255 * (depth > 1) if domain != "normal" else 0 * depth
            save(top / domain / f"{domain} ({n})_mask.png", mask, {1: "1", 2: "RGBA"}.get(n))
            if n == 3:
                save(top / domain / f"{domain} ({n})_mask_1.png", 255 * (depth == 1))
    return root
