"""The evaluator of a training run."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from ignite.metrics import Metric
from monai.data import DataLoader
from monai.engines import SupervisedEvaluator
from monai.handlers import MeanDice, from_engine
from monai.inferers import Inferer
from torch import nn
from torch.utils.data import Dataset

from ..data import ClassesForDice


def make_evaluator(
    device: torch.device | str,
    dataset: Dataset,
    network: nn.Module,
    inferer: Inferer,
    num_classes: int,
    val_handlers: Sequence = (),
    size: Sequence[int] | None = None,
    score: Metric | None = None,
) -> SupervisedEvaluator:
    """MONAI's evaluator of whole cases; its key metric is called ``val_mean_dice``.

    Args:
        device: where the network runs.
        dataset: cases with ``image`` and ``label``.
        network: what is evaluated.
        inferer: from a case to its class probabilities.
        num_classes: background included.
        val_handlers: MONAI or Ignite handlers with ``attach``.
        size: extents at which maps are compared; ``None``: those of the case.
        score: the key metric; ``None``: MONAI's mean Dice over cases and classes but the background.
    """
    dice = MeanDice(include_background=False, output_transform=from_engine(["pred", "label"]))
    return SupervisedEvaluator(
        device=device,
        val_data_loader=DataLoader(dataset, batch_size=1),
        network=network,
        inferer=inferer,
        postprocessing=ClassesForDice(num_classes, size=size),
        key_val_metric={"val_mean_dice": dice if score is None else score},
        val_handlers=list(val_handlers),
    )
