"""Choices of SynFoC's step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from common.errors import require_choice
from common.transforms.resize import NEAREST, RESAMPLES


@dataclass(frozen=True)
class SynFoCSettings:
    """Choices of a step.

    Attributes:
        tau: pixels of a higher blended confidence are supervised.
        tau_inclusive: or of an equal one (paper; the code takes higher ones only).
        mask_background: see ``masked_loss``.
        update_statistics: the U-Net student's pass on weak unlabeled images, which only SMC needs, updates its
            batch-norm statistics, as it does in the published code.
        joint_batch: networks that see labeled and mixed images in one pass. It is exact, and faster, for a network
            without batch norm.
        resample: of images to a network's input size, see ``common.transforms.resize_image``; ``nearest_corners`` in
            the published code.
        resample_labels: of labels, a rule of ``common.transforms.resize_nearest``; ``nearest_corners`` there.
        resample_maps: of class and agreement maps, probabilities and boxes within the step; ``nearest_floor`` there.
        dice_eps: smoothing of the Dice losses; 1e-10 there.
        sam_batch: the foundation network learns from so many labeled and unlabeled images of a batch, its first;
            ``None``: from all. Its teacher sees all unlabeled ones.
    """

    tau: float = 0.95
    tau_inclusive: bool = True
    mask_background: bool = True
    update_statistics: bool = False
    joint_batch: Sequence[str] = ("sam",)
    resample: str = "antialias"
    resample_labels: str = "nearest"
    resample_maps: str = "nearest"
    dice_eps: float = 1e-5
    sam_batch: int | None = None

    def __post_init__(self) -> None:
        require_choice(resample=(self.resample, RESAMPLES))
        require_choice(resample_labels=(self.resample_labels, NEAREST), resample_maps=(self.resample_maps, NEAREST))
