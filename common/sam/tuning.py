"""Fine-tuning of a box-prompted SAM on labels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError, require_choice
from ..losses.jaccard import jaccard_binary
from ..losses.reductions import masked_mean
from .lora import inject_lora
from .preprocess import Frame
from .promptable import BoxRefiner
from .prompts import group_masks

TUNED = ("none", "decoder", "lora_decoder", "full")
JITTER = 20 / 1024  # of the sides of training boxes, outward from the object: MedSAM's rule


def choose_trained(sam: nn.Module, tuned: str, lora_rank: int = 4, last_blocks: int | None = None) -> nn.Module:
    """Freeze ``sam`` but for the decoder, the decoder and a LoRA of the encoder, or both networks (``full``).

    Of the encoder, only the ``last_blocks`` learn or are adapted, see ``late_blocks``. Of the decoder, what its answer
    to a box does not pass through stays as it is: the quality head, and the perceptrons of all mask tokens but the
    first.
    """
    require_choice(tuned=(tuned, TUNED))
    sam.requires_grad_(False)
    if tuned == "none":
        return sam
    if tuned == "lora_decoder":
        inject_lora(sam, lora_rank, blocks=late_blocks(sam, last_blocks))
    elif tuned == "full":
        let_encoder_learn(sam, last_blocks)
    sam.mask_decoder.requires_grad_(True)
    sam.mask_decoder.iou_prediction_head.requires_grad_(False)
    sam.mask_decoder.output_hypernetworks_mlps[1:].requires_grad_(False)
    return sam


def late_blocks(sam: nn.Module, last: int | None) -> range:
    """Numbers of the last blocks with attention of the encoder, ``None`` for all of them.

    Before them no gradient flows and nothing is kept for it: of LiteMedSAM's ten the last two are stage 3, the last
    eight leave out the two that see the most tokens.

    Raises:
        InputError: for more blocks than there are, or none.
    """
    depth = len(sam.image_encoder.blocks)
    if last is not None and not (isinstance(last, int) and 1 <= last <= depth):
        raise InputError(f"last_blocks={last}: the encoder has {depth} blocks with attention; expected 1 to {depth}")
    return range(0 if last is None else depth - last, depth)


def let_encoder_learn(sam: nn.Module, last: int | None = None) -> None:
    """Give the whole encoder gradients, or its ``late_blocks`` and its neck."""
    sam.image_encoder.requires_grad_(last is None)
    for part in (sam.image_encoder.neck, *(sam.image_encoder.blocks[number] for number in late_blocks(sam, last))):
        part.requires_grad_(True)


def box_loss(refiner: BoxRefiner, embeddings: Tensor, frame: Frame, labels: Tensor) -> Tensor:
    """Soft Jaccard loss of the masks that answer the randomly widened boxes of labels, averaged over present groups.

    Args:
        refiner: brings SAM and the groups of classes; one box per group.
        embeddings: of the images, ``B, C, h, w``.
        frame: of the images.
        labels: ``B, H, W``.
    """
    boxes, _ = refiner.prompts(labels, frame, JITTER)
    truth = group_masks(labels, refiner.groups).flatten(0, 1)
    owner = torch.arange(len(labels), device=labels.device).repeat_interleave(len(truth) // len(labels))
    logits = refiner.masks(embeddings, boxes.flatten(0, 2), owner).float()
    logits = frame.masks_to_image(logits[:, None])[:, 0]
    return masked_mean(jaccard_binary(logits, truth), truth.flatten(1).any(dim=1))


def keep_frozen_out_of_state(module: nn.Module) -> nn.Module:
    """Leave parameters that do not learn out of ``state_dict``; loading one leaves them as they are."""
    module.register_state_dict_post_hook(_drop_frozen)
    module.register_load_state_dict_pre_hook(_fill_frozen)
    return module


def _frozen(module: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach() for name, parameter in module.named_parameters() if not parameter.requires_grad}


def _drop_frozen(module: nn.Module, state: dict, prefix: str, _: Any) -> None:
    for name in _frozen(module):
        state.pop(prefix + name, None)


def _fill_frozen(module: nn.Module, state: dict, prefix: str, *_: Any) -> None:
    for name, parameter in _frozen(module).items():
        state.setdefault(prefix + name, parameter)
