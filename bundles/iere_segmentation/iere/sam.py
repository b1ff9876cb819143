"""SAM as a second teacher: tuned on labeled images, prompted by the boxes of pseudo-labels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.errors import InputError, require_choice
from common.sam import BoxRefiner, EmbeddingCache, Frame, MeasuredTrust, Refined, expected_dice, take_trusted
from common.sam.crops import CropFrame
from common.sam.tuning import box_loss, choose_trained, keep_frozen_out_of_state
from common.wheels import file_hash

from .views import Views


@dataclass(frozen=True)
class SamOptions:
    """How SAM is tuned and used.

    Attributes:
        finetune: on labeled images during pretraining (``pre``), until the end (``joint``), or not (``none``).
        finetune_params: what learns then, see ``common.sam.tuning``.
        lora_rank: of ``lora_decoder``.
        view: image that SAM sees: the ``slice``, whose embedding can be kept, or the augmented ``crop`` (published).
        last_blocks: of the encoder, the only ones that learn; ``None``: all.
        batch: labeled slices per iteration that tune SAM, and that its labels are measured on; ``None``: all.
        use: SAM's labels ``always``, or ``measured``: those of a class in an image where ``MeasuredTrust`` expects
            them to be better than the teacher's, which it learns from the labeled images of the student stage.
        quality: least IoU that SAM expects of a mask that is used then.
        box_from: pseudo-label that prompts: ``filtered`` by its components, ``raw``, ``upsampled``, that of logits at
            the size of SAM's input (published code), or ``soft``: the mean of the boxes at several probabilities.
        empty: label of a class that the teacher does not see: the ``teacher``'s, that is none, or SAM's for a
            ``full_box``; ``ignore`` drops images without any class.
        reject: take the teacher's label where SAM's overlaps it by less than a tenth (IoU) or is not between a quarter
            and four times its size.
        cache: embeddings of unchanged slices: ``ram``, ``disk`` or ``off``.
        cache_dir: of ``disk``.
    """

    finetune: str = "pre"
    finetune_params: str = "lora_decoder"
    lora_rank: int = 4
    last_blocks: int | None = None
    batch: int | None = None
    use: str = "always"
    quality: float = 0.0
    view: str = "slice"
    box_from: str = "filtered"
    empty: str = "teacher"
    reject: bool = False
    cache: str = "ram"
    cache_dir: str | None = None

    def __post_init__(self) -> None:
        require_choice(
            finetune=(self.finetune, ("none", "pre", "joint")),
            view=(self.view, ("slice", "crop")),
            use=(self.use, ("always", "measured")),
            box_from=(self.box_from, ("filtered", "raw", "upsampled", "soft")),
            empty=(self.empty, ("teacher", "full_box", "ignore")),
        )
        if self.moves_encoder and (self.cache == "disk" or (self.cache == "ram" and self.finetune == "joint")):
            raise InputError(
                f"sam.cache={self.cache}: sam.finetune={self.finetune} changes the encoder and with it the embeddings; "
                "take finetune_params: decoder or cache: off (finetune: pre may keep them in ram)"
            )

    @property
    def tuned(self) -> str:
        """What learns of SAM."""
        return "none" if self.finetune == "none" else self.finetune_params

    @property
    def moves_encoder(self) -> bool:
        """Whether embeddings depend on the tuning."""
        return self.tuned not in ("none", "decoder")


class SamTeacher(nn.Module):
    """SAM's labels for crops of unlabeled slices, and its own loss on labeled slices.

    Args:
        refiner: SAM with its groups of classes; what learns of it is chosen here.
        checkpoint: file its weights came from, part of the embeddings' keys; ``None`` for random ones.
        datasets: labeled and unlabeled cases; their names, or contents, and numbers are keys of the embeddings.
        options: everything else.

    Frozen weights are no part of the state: they come from ``checkpoint``.

    Source: IERE (Pattern Recognition 179, 2026), external regularizer.
    """

    def __init__(
        self,
        refiner: BoxRefiner,
        checkpoint: str | None = None,
        datasets: Sequence[Sequence[dict]] = ((), ()),
        options: SamOptions | None = None,
    ) -> None:
        super().__init__()
        self.refiner, self.options = refiner, options or SamOptions()
        refiner.empty = "full_box" if self.options.empty == "full_box" else "skip"
        choose_trained(refiner.sam, self.options.tuned, self.options.lora_rank, self.options.last_blocks)
        about = {"size": refiner.sam.img_size, "convention": refiner.convention, "checkpoint": file_hash(checkpoint)}
        self.cache = EmbeddingCache(self.options.cache, about, self.options.cache_dir)
        self.keys = [[f"{case_name(case)} {number}" for number, case in enumerate(cases)] for cases in datasets]
        self.trust = MeasuredTrust(refiner.groups, quality=self.options.quality)
        if self.options.box_from == "soft" and refiner.components:
            raise InputError("sam.box_from=soft gives one box per group: set sam.components to 0")
        keep_frozen_out_of_state(self)

    def learns(self, step: int, start: int) -> bool:
        """Whether SAM is tuned at iteration ``step``, where the student stage begins at ``start``."""
        return self.options.finetune == "joint" or (self.options.finetune == "pre" and step < start)

    def embeddings(self, image: Tensor, stream: int, index: Sequence[int]) -> Tensor:
        """Embeddings of slices ``B, C, H, W``, places ``index`` of the labeled (0) or unlabeled (1) cases."""
        with torch.no_grad():
            if self.cache.mode == "off":
                return self.refiner.embed(image)[0]
            keys = [f"{image.shape[2:]} {self.keys[stream][i]}" for i in index]
            with torch.autocast(image.device.type, enabled=False):  # kept, they serve every precision
                return self.cache.get(keys, lambda wanted: self.refiner.embed(image[wanted])[0], image.device)

    def loss(self, image: Tensor, label: Tensor, index: Sequence[int]) -> Tensor:
        """Loss of SAM on labeled slices; they are not augmented but for their boxes."""
        image, label, index = (samples[: self.options.batch] for samples in (image, label, index))
        moves = self.options.moves_encoder
        embeddings = self.refiner.embed(image)[0] if moves else self.embeddings(image, 0, index)
        return box_loss(self.refiner, embeddings, self.refiner.frame(image.shape[2:]), label)

    @torch.no_grad()
    def labels(self, views: Views, pseudo: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """SAM's label maps of crops, and how far to trust each crop's.

        Args:
            views: the slices and their crops.
            pseudo: the teacher's label maps of the crops, ``B, h, w``.
            logits: the teacher's logits, ``B, K, h, w``.

        Returns:
            Label maps ``B, h, w`` and weights ``B``, 0 or 1.
        """
        refined = self.refined(*self.embedded(views, 1), pseudo, logits)
        trust = (refined.prompted.any(dim=1) | (self.options.empty != "ignore")).float()
        return self.chosen(refined, pseudo, logits), trust

    def refined(self, embeddings: Tensor, frame: Frame, pseudo: Tensor, logits: Tensor) -> Refined:
        """SAM's masks for the boxes of pseudo-labels ``B, h, w``, or for those of what they were taken from."""
        labels, prompt, soft = pseudo, None, None
        if self.options.box_from in ("raw", "upsampled"):
            labels = logits.argmax(dim=1)
        if self.options.box_from == "upsampled":
            large = F.interpolate(logits.float(), size=frame.content, mode="bilinear")
            prompt = large.argmax(dim=1), replace(frame, image=frame.content)
        elif self.options.box_from == "soft":
            soft = logits.float().softmax(dim=1)
        return self.refiner.refine(embeddings, frame, labels, prompt, soft)

    def chosen(self, refined: Refined, pseudo: Tensor, logits: Tensor) -> Tensor:
        """The label maps that are used: SAM's, and the pseudo-label's where SAM's are not expected to be better."""
        label = refined.label
        if self.options.use == "measured":
            groups = self.refiner.groups
            trusted = self.trust(refined, expected_dice(logits.float().softmax(dim=1), pseudo, groups))
            label = take_trusted(refined, pseudo, groups, trusted)
        return reject(label, pseudo) if self.options.reject else label

    @torch.no_grad()
    def measure(self, views: Views, logits: Tensor, truth: Tensor, label_of: Callable[[Tensor], Tensor]) -> None:
        """Learn how good SAM's labels are, for ``use: measured``, from crops of labeled slices.

        Args:
            views: the slices and their crops.
            logits: of the crops, ``B, K, h, w``.
            truth: their label maps, ``B, h, w``.
            label_of: makes pseudo-labels of logits.
        """
        if self.options.use != "measured":
            return
        some = slice(self.options.batch)
        views, logits, truth = views.part(some), logits[some], truth[some]
        pseudo = label_of(logits)
        expected = expected_dice(logits.float().softmax(dim=1), pseudo, self.refiner.groups)
        self.trust.update(self.refined(*self.embedded(views, 0), pseudo, logits), pseudo, truth, expected)

    def embedded(self, views: Views, stream: int) -> tuple[Tensor, Frame]:
        """Embeddings of what SAM sees of labeled (0) or unlabeled (1) cases, and the frame of the crops in them."""
        if self.options.view == "crop":
            return self.refiner.embed(views.crops)
        whole = self.refiner.frame(views.slices.shape[2:])
        frame = CropFrame(tuple(views.crops.shape[2:]), whole.content, whole.size, views.theta, whole.image)
        return self.embeddings(views.slices, stream, views.index), frame


def reject(label: Tensor, pseudo: Tensor) -> Tensor:
    """``label``, or ``pseudo`` for images where the foregrounds differ too much; see ``SamOptions``."""
    a, b = (label > 0).flatten(1), (pseudo > 0).flatten(1)
    both, either, size, other = (x.sum(dim=1) for x in (a & b, a | b, a, b))
    wrong = (10 * both < either) | (4 * size < other) | (size > 4 * other)
    return torch.where(wrong[:, None, None], pseudo, label)


def case_name(case: Mapping) -> str:
    """Name of a decoded case; a hash of its image where it has none, as the cases that MONAI Label brings."""
    return case.get("case") or hashlib.sha256(case["image"].cpu().numpy().tobytes()).hexdigest()
