"""The gate as transforms: what stands between decoded files and the rest of a chain."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.data.utils import to_affine_nd
from monai.transforms import MapTransform, ResampleToMatch
from monai.utils import ImageMetaKey

from ..datasets import gate
from ..datasets.endings import PICTURES, ending_of
from ..errors import InputError, require_choice

GRIDS = ("refuse", "resample")  # what becomes of a label on another grid than its image


class CheckImaged(MapTransform):
    """Refuse an image that the network cannot take: wrong axes or channels, nothing in it, no numbers.

    Args:
        keys: entries with a decoded image, channels first.
        channels: that the network takes; ``None``: any.
        dims: numbers of spatial axes that it takes.
        stored: range of stored values that scaling will expect, see ``PicturePreprocessing``.

    Raises:
        InputError: naming the file.
    """

    def __init__(
        self,
        keys: Hashable | Sequence[Hashable] = "image",
        channels: int | None = None,
        dims: Sequence[int] = (2, 3),
        stored: Sequence[float] | None = None,
    ) -> None:
        super().__init__(keys)
        self.channels, self.dims, self.stored = channels, tuple(dims), stored

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        for key in self.keys:
            image = data[key]
            path = file_of(image)
            low, high = map(float, torch.aminmax(image.detach().as_subclass(torch.Tensor))) if image.numel() else (0, 0)
            gate.check_image(image.shape, low, high, path)
            gate.check_shape(image.shape, self.dims, self.channels, path)
            picture = ending_of(path) in PICTURES
            if isinstance(image, MetaTensor) and not picture:
                gate.check_affine(to_affine_nd(image.dim() - 1, image.affine.numpy()), path)
            if self.stored is not None and picture and high > 2 * self.stored[1]:
                raise InputError(
                    f"{path}: values up to {high:g}, and intensity_range ends at {self.stored[1]:g}; give the range of "
                    "these pictures, or null for each picture's own"
                )
        return dict(data)


class CheckScaledd(MapTransform):
    """Refuse an image of which scaling to a range leaves one value everywhere.

    Args:
        keys: entries with an image.

    Raises:
        InputError: naming the file.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        for key in self.keys:
            image = data[key].detach().as_subclass(torch.Tensor)
            low, high = torch.aminmax(image)
            if low == high:
                raise InputError(
                    f"{file_of(data[key])}: scaling leaves {low:g} everywhere: its values lie outside the "
                    "range (window, intensity_range)"
                )
        return dict(data)


class MatchGridd(MapTransform):
    """Let a label pass that lies on the grid of its image; files without a geometry are compared by their extents.

    Differences of up to ``gate.NOISE`` of a voxel are said, once, and tolerated.

    Args:
        keys: entries with a decoded label, channels first; cases without one pass.
        image: entry with its image, turned to the same axes.
        other: ``refuse`` a label on another grid, or ``resample`` it to that of its image (nearest neighbor).

    Raises:
        InputError: naming the file of the label and what differs.
    """

    def __init__(self, keys: Hashable | Sequence[Hashable] = "label", image: Hashable = "image", other: str = "refuse"):
        super().__init__(keys, allow_missing_keys=True)
        require_choice(label_grid=(other, GRIDS))
        self.image, self.other, self.said = image, other, False
        self.resample = ResampleToMatch(mode="nearest", padding_mode="zeros")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.matched(result[self.image], result[key])
        return result

    def matched(self, image: MetaTensor, label: MetaTensor) -> MetaTensor:
        """The label, on the image's grid."""
        path = file_of(label)
        placed = all(_is_placed(part) for part in (image, label))
        may_differ = placed and self.other == "resample" and image.dim() == label.dim() == 4
        if image.shape[1:] != label.shape[1:] and not may_differ:
            raise InputError(
                f"{path}: label of shape {tuple(label.shape[1:])} for an image of shape {tuple(image.shape[1:])}"
            )
        if not placed:
            return label
        affines = [to_affine_nd(3, part.affine.numpy()) for part in (image, label)]
        if image.shape[1:] == label.shape[1:]:
            apart = gate.grid_difference(image.shape[1:], *affines)
            if apart <= gate.NOISE:
                self.say(path, apart)
                return label
        if self.other == "refuse":
            raise InputError(f"{path}: {gate.how_grids_differ(*affines)} (label_grid: resample)")
        moved = self.resample(label, image)
        if label.any() and not moved.any():
            raise InputError(f"{path}: {gate.how_grids_differ(*affines)}; no foreground falls into the image")
        return moved

    def say(self, path: str, apart: float) -> None:
        """A line about the first difference that is more than rounding."""
        if apart > gate.SAME and not self.said:
            self.said = True
            logging.getLogger(type(self).__name__).warning(
                f"{path}: its grid is {apart:.2g} of a voxel off the image's; up to {gate.NOISE} is tolerated, "
                "without a word from now on"
            )


def _is_placed(image: MetaTensor) -> bool:
    """Whether the file says where in space its voxels lie; a reader may know better than the ending."""
    return image.meta.get(gate.PLACED, ending_of(file_of(image)) not in ("", *PICTURES))


def file_of(image: Any) -> str:
    """Path that a decoded image was read from; ``image`` where it does not say."""
    return str(getattr(image, "meta", {}).get(ImageMetaKey.FILENAME_OR_OBJ, "image"))
