"""Fine-tuning of a box-prompted SAM on labels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import require_choice
from ..losses.jaccard import jaccard_binary
from ..losses.reductions import masked_mean
from .lora import inject_lora
from .preprocess import Frame
from .promptable import BoxRefiner
from .prompts import group_masks

TUNED = ("none", "decoder", "lora_decoder", "full")
JITTER = 20 / 1024  # of the sides of training boxes, outward from the object: MedSAM's rule


def choose_trained(sam: nn.Module, tuned: str, lora_rank: int = 4) -> nn.Module:
    """Freeze ``sam`` but for the decoder, the decoder and a LoRA of the encoder, or both networks (``full``).

    Of the decoder, what its answer to a box does not pass through stays as it is: the quality head, and the
    perceptrons of all mask tokens but the first.
    """
    require_choice(tuned=(tuned, TUNED))
    sam.requires_grad_(False)
    if tuned == "none":
        return sam
    if tuned == "lora_decoder":
        inject_lora(sam, lora_rank)
    elif tuned == "full":
        sam.image_encoder.requires_grad_(True)
    sam.mask_decoder.requires_grad_(True)
    sam.mask_decoder.iou_prediction_head.requires_grad_(False)
    sam.mask_decoder.output_hypernetworks_mlps[1:].requires_grad_(False)
    return sam


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


def _drop_frozen(module: nn.Module, state: dict, prefix: str, _: object) -> None:
    for name in _frozen(module):
        state.pop(prefix + name, None)


def _fill_frozen(module: nn.Module, state: dict, prefix: str, *_: object) -> None:
    for name, parameter in _frozen(module).items():
        state.setdefault(prefix + name, parameter)
