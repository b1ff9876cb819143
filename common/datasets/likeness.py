"""Images that occur twice, or nearly so."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

GRID = 32  # cells along each axis of the largest image
NEAR = 0.6  # correlation of fine structure; unrelated images stay below 0.55, a re-cropped copy is above 0.8
SHIFTED_PAIRS = 30_000  # beyond so many pairs only unshifted images are compared


@dataclass(frozen=True)
class Signature:
    """What is compared of an image: a checksum of its voxels, and its fine structure on a coarse grid."""

    voxels: str
    structure: np.ndarray


@dataclass(frozen=True)
class Pair:
    """Two images that are alike; ``score`` 1 with ``identical`` for equal voxels."""

    first: str
    second: str
    identical: bool
    score: float


def grid_step(shapes: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Edge lengths in voxels of the cells, the same for all images, so that a crop keeps its structure."""
    dims = max(len(shape) for shape in shapes)
    largest = np.max([shape for shape in shapes if len(shape) == dims], axis=0)
    return tuple(max(1, round(extent / GRID)) for extent in largest)


def signature(values: np.ndarray, step: Sequence[int]) -> Signature:
    """Signature of an image ``x, y(, z)``: cell means, less their blurred version, of zero mean and unit norm."""
    voxels = hashlib.sha256(str(values.shape).encode() + np.ascontiguousarray(values, np.float32).tobytes()).hexdigest()
    if values.ndim != len(step):
        return Signature(voxels, np.zeros((1,) * len(step)))
    extents = [max(n // k, 1) * min(k, n) for n, k in zip(values.shape, step)]
    cells = [part for n, k in zip(extents, step) for part in (max(n // k, 1), min(k, n))]
    kept = values[tuple(slice(n) for n in extents)].astype(np.float32)
    means = kept.reshape(cells).mean(axis=tuple(range(1, 2 * values.ndim, 2)))
    fine = means - ndimage.gaussian_filter(means, 2.0)
    fine -= fine.mean()
    norm = np.linalg.norm(fine)
    return Signature(voxels, fine / norm if norm > 1e-6 * max(np.abs(means).max(), 1e-6) else np.zeros_like(fine))


def find_pairs(signatures: dict[str, Signature], same_owner: Callable[[str, str], bool]) -> list[Pair]:
    """Pairs of identical images, and of nearly identical ones unless they belong to one patient.

    Nearly identical means that the fine structures correlate by ``NEAR`` at the best shift: copies in another crop or
    scale of intensities, and often two scans of one patient.
    """
    names = list(signatures)
    pairs = []
    for i, j, score in _correlations([signatures[name].structure for name in names]):
        first, second = names[i], names[j]
        identical = signatures[first].voxels == signatures[second].voxels
        if identical or (score >= NEAR and not same_owner(first, second)):
            pairs.append(Pair(first, second, identical, 1.0 if identical else round(float(score), 3)))
    return sorted(pairs, key=lambda pair: -pair.score)


def _correlations(structures: Sequence[np.ndarray]) -> Iterator[tuple[int, int, float]]:
    """First, second, and the highest correlation over shifts, of every pair whose correlation is not far below NEAR."""
    if len(structures) < 2:
        return
    size = np.max([s.shape for s in structures], axis=0)
    if len(structures) * (len(structures) - 1) / 2 > SHIFTED_PAIRS:
        flat = np.stack([np.pad(s, [(0, n - m) for n, m in zip(size, s.shape)]).ravel() for s in structures])
        for i in range(len(flat) - 1):
            scores = flat[i + 1 :] @ flat[i]
            yield from ((i, i + 1 + j, scores[j]) for j in np.flatnonzero(scores > 0.9 * NEAR))
        return
    padded = [fft.next_fast_len(int(1.4 * n), real=True) for n in size]  # room for shifts by 40 %
    axes = tuple(range(1, 1 + len(size)))
    spectra = np.stack([fft.rfftn(s, padded) for s in structures]).astype(np.complex64)
    for i in range(len(spectra) - 1):
        peaks = fft.irfftn(spectra[i + 1 :] * spectra[i].conj(), padded, axes=axes).max(axis=axes)
        yield from ((i, i + 1 + j, peaks[j]) for j in np.flatnonzero(peaks > 0.9 * NEAR))
