"""The slow ways: written from the description of what they compute, without anything of this repository's fast ones."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
import torch
from monai.transforms import Compose, Flipd, Rotate90d, SpatialCropd
from scipy.spatial.distance import cdist
from torch import Tensor, nn
from torch.nn import functional as F


def pairwise_prototype_distance(features: Tensor, prototypes: Tensor, w: Tensor, wp: Tensor) -> Tensor:
    """Mean of ``w_i w'_j (1 - cos(f_i, v_j))`` over all pairs of features ``M, D`` and prototypes ``K, D``."""
    cosines = F.normalize(features, dim=1) @ F.normalize(prototypes, dim=1).T
    return (w[:, None] * wp[None] * (1 - cosines)).mean()


def decode_one_image(sam: nn.Module, embedding: Tensor, boxes: Tensor, multimask: bool = False) -> tuple[Tensor, ...]:
    """Logits and predicted IoU of boxes ``n, 4`` on one image, through the package's prompt encoder and decoder."""
    sparse, dense = sam.prompt_encoder(points=None, boxes=boxes, masks=None)
    return sam.mask_decoder(
        image_embeddings=embedding[None],
        image_pe=sam.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=multimask,
    )


def all_pairs_surface_distances(a: np.ndarray, b: np.ndarray, spacing: Sequence[float]) -> tuple[float, float]:
    """95 % Hausdorff and average surface distance from the distances of every pair of surface voxels."""

    def surface(mask: np.ndarray) -> np.ndarray:
        padded = np.pad(mask, 1)
        neighbors = [np.roll(padded, step, axis) for axis in range(mask.ndim) for step in (-1, 1)]
        inner = np.logical_and.reduce(neighbors)[tuple([slice(1, -1)] * mask.ndim)]
        return np.argwhere(mask & ~inner) * np.asarray(spacing)

    x, y = surface(a), surface(b)
    distances = cdist(x, y)
    to_b, to_a = distances.min(1), distances.min(0)
    return float(np.percentile(np.concatenate([to_b, to_a]), 95)), float(to_b.mean())


def window_starts(extent: int, window: int, stride: int) -> list[int]:
    """First voxels ``min(i * stride, extent - window)`` of the windows along an axis no shorter than the window."""
    steps = math.ceil((extent - window) / stride)
    return [min(i * stride, extent - window) for i in range(steps + 1)]


def sliding_window(
    image: Tensor, network: Callable[[Tensor], Tensor], window: Sequence[int], stride: Sequence[int]
) -> tuple[Tensor, int]:
    """Inference as the semi-supervised 3D community does it, one window after the other, averaged on the host.

    Where the volume is smaller than the window it is padded with zeros, half of them (rounded down) in front; softmax
    maps are summed, divided by the number of visits, and the padding is cut off.

    Returns:
        Mean softmax maps ``1, K, spatial`` of an image ``1, C, spatial``, and the number of windows.
    """
    shape = image.shape[2:]
    missing = [max(w - s, 0) for s, w in zip(shape, window)]
    before = [m // 2 for m in missing]
    padded = np.pad(image.cpu().numpy(), [(0, 0), (0, 0), *[(b, m - b) for b, m in zip(before, missing)]])
    extents = padded.shape[2:]
    total, visits = None, np.zeros(extents)
    positions = list(itertools.product(*map(window_starts, extents, window, stride)))
    for position in positions:
        place = tuple(slice(p, p + w) for p, w in zip(position, window))
        logits = network(torch.from_numpy(padded[(slice(None), slice(None)) + place]).to(image.device))
        maps = torch.softmax(logits.double(), dim=1)[0].cpu().numpy()
        total = np.zeros((maps.shape[0], *extents)) if total is None else total
        total[(slice(None),) + place] += maps
        visits[place] += 1
    inside = tuple(slice(b, b + s) for b, s in zip(before, shape))
    return torch.from_numpy((total / visits)[(slice(None),) + inside])[None].float(), len(positions)


def turn_then_crop(
    case: Mapping[str, Tensor], turns: int, axis: int, start: Sequence[int], size: Sequence[int]
) -> Mapping[str, Tensor]:
    """One sample by MONAI's dictionary transforms in the usual order: turn and flip the whole volume, then crop it.

    Args:
        case: tensors ``C, H, W, D``.
        turns: quarter turns in the plane of the first two axes.
        axis: to flip, 0 or 1; -1 for none.
        start: of the window in the volume as it is; it is moved along, so that the window shows the same voxels.
        size: extents of the window, square in the first two axes.
    """
    keys, side = list(case), size[0]
    (row, column), (rows, columns) = start[:2], case["image"].shape[1:3]
    for _ in range(turns):
        row, column, rows, columns = columns - side - column, row, columns, rows
    row, column = (rows - side - row if axis == 0 else row), (columns - side - column if axis == 1 else column)
    first = [row, column, *start[2:]]
    flip = [Flipd(keys, axis)] if axis >= 0 else []
    window = SpatialCropd(keys, roi_start=first, roi_end=[f + s for f, s in zip(first, size)])
    return Compose([Rotate90d(keys, turns), *flip, window])(dict(case))


def published_sample(path: Path, size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """A random patch as published loaders make it: the file is read, the volume turned and flipped whole, then cut."""
    with h5py.File(path) as file:
        image, label = file["image"][()], file["label"][()]
    turns, axis = np.random.randint(4), np.random.randint(2)
    image, label = (np.flip(np.rot90(array, turns), axis).copy() for array in (image, label))
    starts = [np.random.randint(extent - side + 1) for extent, side in zip(image.shape, size)]
    place = tuple(slice(start, start + side) for start, side in zip(starts, size))
    return torch.from_numpy(image[place].astype(np.float32))[None], torch.from_numpy(label[place])


class SSNetStep:
    """A training step of SS-Net as its published code goes, written from its description.

    Every voxel passes the heads, all pairs of voxels and prototypes are compared, the search for the perturbation fills
    the gradients of all weights, which are cleared afterwards, and the prototypes go over the host.

    Args:
        network: with ``forward_features``.
        heads: holds ``projector``, ``predictor`` and ``feature_selectors``.
        optimizer: of all of these.
        patch: extents, of whose perturbation ``eps`` is the norm on 112 x 112 x 80 voxels.
        eps: that norm, also the length of the probing step.
    """

    def __init__(
        self, network: nn.Module, heads: nn.Module, optimizer: torch.optim.Optimizer, patch: Sequence[int], eps: float
    ) -> None:
        self.network, self.heads, self.optimizer = network, heads, optimizer
        self.length = eps * math.sqrt(math.prod(patch) / (112 * 112 * 80))
        self.memory: Tensor | None = None

    def __call__(self, image: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Total and supervised loss of images ``4, 1, ...``, the first two with labels ``2, ...``."""
        self.network.train()
        logits, features = self.network.forward_features(image)
        maps, chosen = logits.softmax(dim=1), logits.argmax(dim=1)
        truth = (label == 1).float()
        inner, sums = (maps[:2, 1] * truth).sum(), maps[:2, 1].sum() + truth.sum()
        supervised = 1 - (2 * inner + 1e-8) / (sums + 1e-8)
        self._remember(features[:2].detach(), (label == 1) & (chosen[:2] == 1))
        parts = [self._contrast(features[:2], label), self._contrast(features[2:], chosen[2:])]
        loss = supervised + self._smoothness(image) + 0.1 * sum(parts)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach(), supervised.detach()

    def _remember(self, features: Tensor, right: Tensor) -> None:
        rows = features.permute(0, 2, 3, 4, 1)[right]
        if not len(rows):
            return
        with torch.no_grad():
            projected = self.heads.projector.eval()(rows)
            self.heads.projector.train()
            score = torch.sigmoid(self.heads.feature_selectors[1](projected))[:, 0]
            if len(projected) > 32:
                projected = projected[torch.sort(score).indices[:32]]
        self.memory = torch.from_numpy(projected.cpu().numpy().copy())

    def _contrast(self, features: Tensor, classes: Tensor) -> Tensor:
        rows = features.permute(0, 2, 3, 4, 1).reshape(-1, features.shape[1])
        passed = self.heads.predictor(self.heads.projector(rows))[classes.flatten() == 1]
        if self.memory is None or len(passed) < 2:
            return 0 * rows.sum()
        attention = torch.sigmoid(self.heads.feature_selectors[1](passed.detach()))
        attention = len(passed) * attention / attention.sum()
        cosine = F.normalize(passed, dim=1) @ F.normalize(self.memory.to(passed.device), dim=1).T
        return (attention * (1 - cosine)).mean() / 2

    def _smoothness(self, image: Tensor) -> Tensor:
        with torch.no_grad():
            clean = self.network(image).softmax(dim=1)
        start = torch.rand(image.shape, device=image.device) - 0.5
        self._track(False)
        step = _unit(start).requires_grad_()
        self._distance(image + self.length * step, clean).backward()
        step = _unit(step.grad)
        self.network.zero_grad()
        distance = self._distance(image + self.length * step, clean)
        self._track(True)
        return distance

    def _distance(self, image: Tensor, clean: Tensor) -> Tensor:
        maps = self.network(image).softmax(dim=1)
        return 1 - (2 * (maps * clean).sum() + 1e-8) / (maps.sum() + clean.sum() + 1e-8)

    def _track(self, tracked: bool) -> None:
        for module in self.network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.track_running_stats = tracked


def _unit(steps: Tensor) -> Tensor:
    lengths = steps.flatten(1).norm(dim=1).view(-1, *[1] * (steps.dim() - 1))
    return (steps / (lengths + 1e-8)).detach()
