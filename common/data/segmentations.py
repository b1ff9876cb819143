"""From a network's probabilities to the files a user gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from monai.transforms import (
    AsDiscreted,
    CastToTyped,
    Compose,
    Invertd,
    Orientationd,
    Resized,
    Spacingd,
)

from ..transforms.components import KeepLargestComponentd
from ..transforms.confidence import ConfidenceSumsd
from ..transforms.uncertainty import AnswerInPercentd, UncertaintyMapd
from .dicom_outputs import SaveDicomSegd
from .expected import SaveExpectedDiced
from .masks import stored_values
from .outputs import SaveImageOfCased


class WriteSegmentation(Compose):
    """Bring the probabilities of a case back to the geometry of its file, take classes of them and write those.

    MONAI Label takes the chain without the transforms that write.

    Args:
        preprocessing: of the image, which is inverted.
        output_dir: folder of what is written, see ``SaveImageOfCased``.
        num_classes: background included.
        largest_component: keep only the largest component of each class.
        uncertainty: write a second map, 0 certain to 1; see ``UncertaintyMapd``; ``None``: none.
        offered: the kinds of uncertainty that the network has.
        answer_uncertainty: return that map, in percent, instead of the classes.
        dicom_seg: also write a DICOM segmentation of DICOM series.
        class_names: of the foreground, in the DICOM segmentation; ``None`` numbers them.
        encoding: of the training's labels, see ``common.data.ENCODINGS``: files hold the values that those did. The
            prediction itself stays class numbers.
        probabilities: also write those of all classes, background first.
        checkpoint: of the network; where it is calibrated, a table of expected Dice is written, see
            ``SaveExpectedDiced``.
    """

    def __init__(
        self,
        preprocessing: Compose,
        output_dir: str,
        num_classes: int = 2,
        largest_component: bool = False,
        uncertainty: str | None = None,
        offered: Sequence[str] = ("entropy",),
        answer_uncertainty: bool = False,
        dicom_seg: bool = False,
        class_names: Sequence[str] | None = None,
        encoding: str | Mapping = "index",
        probabilities: bool = False,
        checkpoint: str | None = None,
    ) -> None:
        chain: list = []
        if any(isinstance(transform, (Orientationd, Spacingd)) for transform in preprocessing.transforms):
            chain.append(Invertd("pred", preprocessing, orig_keys="image", nearest_interp=False, to_tensor=True))
        if uncertainty or answer_uncertainty:
            chain.append(UncertaintyMapd("pred", kind=uncertainty or "entropy", offered=offered))
        if checkpoint is not None:
            chain.append(SaveExpectedDiced("pred", output_dir, checkpoint))
        if probabilities:
            chain.append(SaveImageOfCased("pred", output_dir, "probabilities", "float32", channels=True))
        chain.append(AsDiscreted("pred", argmax=True))
        if largest_component:
            chain.append(KeepLargestComponentd("pred"))
        values = stored_values(encoding, num_classes)
        chain += [CastToTyped("pred", dtype=torch.uint8), SaveImageOfCased("pred", output_dir, values=values)]
        if uncertainty:
            chain.append(SaveImageOfCased("uncertainty", output_dir, postfix="uncertainty", dtype="float32"))
        if dicom_seg:
            chain.append(SaveDicomSegd("pred", output_dir, names=class_names, classes=num_classes))
        if answer_uncertainty:
            chain.append(AnswerInPercentd("uncertainty"))
        super().__init__(chain)


class ClassesForDice(Compose):
    """Prediction and label as one-hot maps of classes, as MONAI's metrics take them.

    Args:
        num_classes: background included.
        largest_component: keep only the largest component of each class of the prediction.
        size: resize both to these extents first, by nearest neighbors; ``None`` leaves them.
        confidence: add what the probabilities promise, see ``ConfidenceSumsd``.
    """

    def __init__(
        self,
        num_classes: int,
        largest_component: bool = False,
        size: Sequence[int] | None = None,
        confidence: bool = False,
    ) -> None:
        super().__init__(
            [
                *([ConfidenceSumsd("pred")] if confidence else []),
                AsDiscreted("pred", argmax=True),
                *([KeepLargestComponentd("pred")] if largest_component else []),
                *([Resized(("pred", "label"), size, mode="nearest-exact")] if size is not None else []),
                AsDiscreted(("pred", "label"), to_onehot=num_classes),
            ]
        )
