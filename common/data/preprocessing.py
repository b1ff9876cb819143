"""From files to the image that a network sees: one chain for volumes, one for pictures and slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monai.transforms import (
    Compose,
    EnsureTyped,
    NormalizeIntensityd,
    Orientationd,
    ScaleIntensityd,
    ScaleIntensityRanged,
    ScaleIntensityRangePercentilesd,
)

from ..errors import require_choice
from ..transforms.spacing import SpacingOfKeysd
from .checks import CheckImaged, CheckScaledd, MatchGridd
from .masks import DecodeMaskd
from .readers import LoadImageOrSeriesd

KEYS = ("image", "label")
ANATOMY = (("L", "R"), ("P", "A"), ("I", "S"))  # letters of the axes; stated, as MONAI would ask the file
INTENSITIES = ("unit", "byte", "zscore", "none")
ENDS = ("minmax", "percentiles")


class VolumePreprocessing(Compose):
    """Decode a volume and its label, if there is one, let the gate judge them, turn them to RAS, resample and scale.

    Images become ``C, x, y, z`` float32, interpolated linearly; labels become class numbers. Invertible.

    Args:
        spacing: voxel size in mm; ``None``, also along one axis, keeps the file's.
        window: range of intensities that becomes 0 to 1, values outside clipped; ``None`` leaves them.
        normalize: then give each channel zero mean and unit variance.
        in_channels: of the network; pictures become gray (1) or color (3), other volumes are refused; ``None``: any.
        patch_size: of the network, whose extents say whether images must be volumes; ``None``: either.
        label_grid: ``refuse`` labels on another grid than their image, or ``resample`` them to it.
        encoding: how labels are stored, see ``common.data.ENCODINGS``.
        from_viewer: labels come from MONAI Label, which stores class numbers whatever the data set does.
    """

    def __init__(
        self,
        spacing: Sequence[float | None] | None = None,
        window: Sequence[float] | None = None,
        normalize: bool = False,
        in_channels: int | None = None,
        patch_size: Sequence[int] | None = None,
        label_grid: str = "refuse",
        encoding: str | Mapping = "index",
        from_viewer: bool = False,
    ) -> None:
        volumes = patch_size is not None and len(patch_size) == 3
        chain = [
            LoadImageOrSeriesd("image", picture_channels=in_channels),
            DecodeMaskd("label", "index" if from_viewer else encoding, allow_missing_keys=True),
            CheckImaged(channels=in_channels, dims=(3,) if volumes else (2, 3)),
            Orientationd(KEYS, axcodes="RAS", labels=ANATOMY, allow_missing_keys=True),
            MatchGridd(other=label_grid),
        ]
        if spacing is not None:
            sizes = [-1.0 if size is None else size for size in spacing]  # which MONAI reads as the file's own
            chain.append(SpacingOfKeysd(KEYS, sizes, mode=("bilinear", "nearest"), allow_missing_keys=True))
        if window is not None:
            chain += [ScaleIntensityRanged("image", *window, b_min=0.0, b_max=1.0, clip=True), CheckScaledd("image")]
        if normalize:
            chain.append(NormalizeIntensityd("image", channel_wise=True))
        super().__init__([*chain, EnsureTyped("image")])


class PicturePreprocessing(Compose):
    """Decode a picture, or a volume of slices, and its masks, if there are any, and let the gate judge them.

    Images become ``C, x, y[, z]`` float32, labels one map of class numbers. Invertible.

    Args:
        in_channels: of the image; pictures become gray (1) or color (3), however they are stored.
        encoding: how masks are stored, see ``common.data.ENCODINGS``.
        from_viewer: labels come from MONAI Label, which stores class numbers whatever the data set does.
        orientation: turn volumes to these axes, e.g. ``RAS``; ``None`` leaves them as stored.
        intensity: images in [0, 1] (``unit``), in [0, 255] (``byte``), z-scored, or as stored (``none``).
        intensity_range: stored values that become the ends of that range, values outside clipped; ``None`` takes each
            image's own ``ends``.
        ends: least and greatest value (``minmax``), or the percentiles 0.5 and 99.5.
        label_grid: ``refuse`` labels on another grid than their image, or ``resample`` them to it.
    """

    def __init__(
        self,
        in_channels: int = 1,
        encoding: str | Mapping = "index",
        from_viewer: bool = False,
        orientation: str | None = None,
        intensity: str = "unit",
        intensity_range: Sequence[float] | None = None,
        ends: str = "minmax",
        label_grid: str = "refuse",
    ) -> None:
        require_choice(intensity=(intensity, INTENSITIES), ends=(ends, ENDS))
        chain = [
            LoadImageOrSeriesd("image", picture_channels=in_channels),
            DecodeMaskd("label", "index" if from_viewer else encoding, allow_missing_keys=True),
            CheckImaged(channels=in_channels, stored=None if intensity == "none" else intensity_range),
        ]
        if orientation is not None:
            chain.append(Orientationd(KEYS, axcodes=orientation, labels=ANATOMY, allow_missing_keys=True))
        chain.append(MatchGridd(other=label_grid))
        if intensity == "zscore":
            chain.append(NormalizeIntensityd("image"))
        elif intensity != "none":
            chain += [_scaling(1.0 if intensity == "unit" else 255.0, intensity_range, ends), CheckScaledd("image")]
        super().__init__([*chain, EnsureTyped("image")])


def _scaling(most: float, stored: Sequence[float] | None, ends: str) -> Any:
    """To the range 0 to ``most``."""
    if stored is not None:
        return ScaleIntensityRanged("image", *stored, b_min=0.0, b_max=most, clip=True)
    if ends == "minmax":
        return ScaleIntensityd("image", minv=0.0, maxv=most)
    return ScaleIntensityRangePercentilesd("image", 0.5, 99.5, b_min=0.0, b_max=most, clip=True)
