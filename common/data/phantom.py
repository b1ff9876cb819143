"""Synthetic organs in a synthetic body: data for demonstrations and tests, of any dimension."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image
from scipy import ndimage

from ..errors import InputError


@dataclass(frozen=True)
class Phantom:
    """A family of random images; every case draws its own anatomy, contrast and texture.

    A case is a body of smooth tissue with one bent ellipsoid per foreground class, brighter lures of the wrong
    texture, partial-volume edges, a bias field and noise. Few labeled cases do not cover the variation of contrast
    and shape, which is what unlabeled cases can teach.

    Attributes:
        size: extents in voxels, two or three of them.
        classes: label values, background included (at least 2).
        difficulty: 0 (clean, uniform contrast) to 1 (weak and varying contrast, strong noise, many lures).
        domain: 0 is the reference scanner; every further number shifts contrast, noise and blur in its own way.
        separation: contrast between the organs of one class and the next; those of the first are 0.27 above tissue.
            At 0.1 networks tell organs from tissue long before they tell them from each other.
    """

    size: tuple[int, ...] = (64, 64, 32)
    classes: int = 2
    difficulty: float = 0.5
    domain: int = 0
    separation: float = 0.1

    def __post_init__(self) -> None:
        if len(self.size) not in (2, 3) or min(self.size) < 16:
            raise InputError(f"size must be two or three extents of at least 16, got {self.size}")
        if self.classes < 2 or not 0 <= self.difficulty <= 1:
            raise InputError(f"need classes >= 2 and difficulty in [0, 1], got {self.classes} and {self.difficulty}")
        if not 0 <= self.separation <= 1:
            raise InputError(f"separation must be in [0, 1], got {self.separation}")

    def sample(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Image (float32, zero mean and unit variance) and label (uint8) of the case with this seed."""
        rng = np.random.default_rng([seed, 977])
        grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in self.size], indexing="ij"))
        warped = grid + 0.12 * np.stack([self._smooth(rng, 0.15) for _ in self.size])
        body = self._ellipsoid(warped, np.zeros(len(self.size)), rng.uniform(0.8, 0.95, len(self.size)))
        image = 0.35 * body * (1 + 0.25 * self._smooth(rng, 0.06))
        label = np.zeros(self.size, np.uint8)
        image = self._add_lures(rng, warped, image)
        for organ in range(1, self.classes):
            image = self._add_organ(rng, warped, image, label, organ)
        image = ndimage.gaussian_filter(image, 0.8)
        return self._acquire(rng, image), label

    def _add_organ(self, rng, grid, image, label, organ: int) -> np.ndarray:
        """Paint one organ into ``image`` (returned) and ``label`` (in place)."""
        dims = len(self.size)
        angle = 2 * np.pi * (organ - 1) / max(self.classes - 1, 1)
        center = np.zeros(dims)
        if self.classes > 2:
            center[:2] = 0.42 * np.cos(angle), 0.42 * np.sin(angle)
        center += rng.uniform(-0.18, 0.18, dims)
        radius = rng.uniform(0.28, 0.46, dims) * (1.0 if self.classes == 2 else 0.7)
        mask = self._ellipsoid(grid + 0.1 * np.stack([self._smooth(rng, 0.08) for _ in self.size]), center, radius)
        spread = 0.1 + 0.2 * self.difficulty
        level = 0.62 + self.separation * ((organ - 1) % 3) + rng.uniform(-spread, spread) * 0.6
        texture = 1 + (0.1 + 0.25 * self.difficulty) * self._smooth(rng, 0.035)
        label[mask] = organ
        return np.where(mask, level * texture, image)

    def _add_lures(self, rng, grid, image) -> np.ndarray:
        """Small smooth blobs as bright as organs, which are background."""
        for _ in range(round(8 * self.difficulty)):
            center = rng.uniform(-0.75, 0.75, len(self.size))
            mask = self._ellipsoid(grid, center, rng.uniform(0.08, 0.2, len(self.size)))
            image = np.where(mask, rng.uniform(0.5, 0.95), image)
        return image

    def _acquire(self, rng, image) -> np.ndarray:
        """Bias field, contrast curve, blur and noise of the scanner; then z-scoring."""
        shift = np.random.default_rng([self.domain, 31])
        gamma = 1.0 if self.domain == 0 else shift.uniform(0.5, 1.8)
        blur = 0.0 if self.domain == 0 else shift.uniform(0.0, 1.0)
        noisier = 1.0 if self.domain == 0 else shift.uniform(0.8, 1.8)
        image = image * (1 + 0.3 * self.difficulty * self._smooth(rng, 0.3))
        image = np.clip(image, 0, None) ** (gamma * np.exp(self.difficulty * rng.uniform(-0.35, 0.35)))
        image = ndimage.gaussian_filter(image, blur) if blur else image
        noise = noisier * (0.03 + 0.12 * self.difficulty)
        image = image + noise * rng.standard_normal(self.size)
        return ((image - image.mean()) / image.std()).astype(np.float32)

    def _smooth(self, rng, scale: float) -> np.ndarray:
        """Random field of unit variance with a correlation length of ``scale`` of the image."""
        noise = rng.standard_normal(self.size)
        field = ndimage.gaussian_filter(noise, [max(scale * n, 0.5) for n in self.size], mode="nearest")
        return (field - field.mean()) / field.std()

    @staticmethod
    def _ellipsoid(grid, center, radius) -> np.ndarray:
        shape = (-1, *[1] * (grid.ndim - 1))
        return (((grid - center.reshape(shape)) / np.asarray(radius).reshape(shape)) ** 2).sum(0) < 1


def write_phantoms(
    folder: str | Path,
    phantom: Phantom = Phantom(),
    labeled: int = 2,
    unlabeled: int = 16,
    validation: int = 2,
    test: int = 8,
    seed: int = 0,
    spacing: Sequence[float] | None = None,
) -> Path:
    """Write a phantom data set (NIfTI images and labels, ``splits.json``) that ``load_datalist`` reads.

    Unlabeled cases get no label file at all. Case ``i`` has seed ``seed * 10000 + i``.
    """
    folder = Path(folder)
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    counts = {"labeled": labeled, "unlabeled": unlabeled, "validation": validation, "test": test}
    affine = np.diag([*(spacing or []), 1.0, 1.0, 1.0, 1.0][:3] + [1.0])
    lists: dict[str, list[str]] = {role: [] for role in counts}
    for number, role in enumerate(role for role, count in counts.items() for _ in range(count)):
        case = f"phantom_{number:03d}"
        image, label = phantom.sample(seed * 10000 + number)
        nibabel.save(nibabel.Nifti1Image(image, affine), folder / "images" / f"{case}.nii.gz")
        if role != "unlabeled":
            nibabel.save(nibabel.Nifti1Image(label, affine), folder / "labels" / f"{case}.nii.gz")
        lists[role].append(case)
    (folder / "splits.json").write_text(json.dumps({**lists, "seed": seed}, indent=1) + "\n", encoding="utf-8")
    return folder


def write_phantom_domains(
    folder: str | Path,
    phantom: Phantom = Phantom(size=(128, 128)),
    domains: int = 3,
    train: int = 12,
    validation: int = 2,
    test: int = 4,
    seed: int = 0,
) -> Path:
    """Write 2D phantoms of several domains as PNG, in the layout ``domain_lists`` with masks of class indices.

    The domains ``site_0``, ``site_1``, ... are those of ``Phantom.domain`` and hold different cases.

    Raises:
        InputError: for a phantom that is not 2D.
    """
    if len(phantom.size) != 2:
        raise InputError(f"domains are written as pictures: the size must have two extents, got {phantom.size}")
    folder, lists = Path(folder), {"train": train, "val": validation, "test": test}
    splits: dict[str, dict[str, list[str]]] = {name: {} for name in lists}
    for domain in range(domains):
        site = f"site_{domain}"
        for name in ("images", "masks"):
            (folder / site / name).mkdir(parents=True, exist_ok=True)
        roles = [name for name, count in lists.items() for _ in range(count)]
        for number, role in enumerate(roles):
            image, label = replace(phantom, domain=domain).sample(seed * 10000 + domain * 1000 + number)
            low, high = np.percentile(image, (0.5, 99.5))
            gray = (255 * np.clip((image - low) / (high - low), 0, 1)).astype(np.uint8)
            case = f"phantom_{number:03d}"
            for name, array in (("images", gray), ("masks", label)):
                Image.fromarray(array.T).save(folder / site / name / f"{case}.png")  # readers swap the axes back
            splits[role].setdefault(site, []).append(case)
    (folder / "splits.json").write_text(json.dumps({**splits, "seed": seed}, indent=1) + "\n", encoding="utf-8")
    return folder
