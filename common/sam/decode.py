"""SAM's mask decoder over many images and many prompts at once."""

from __future__ import annotations

import torch
from torch import Tensor

from .build import Sam


def embed_boxes(sam: Sam, boxes: Tensor) -> Tensor:
    """Prompt tokens ``N, 2, C`` of boxes ``N, 4`` (x0, y0, x1, y1 in input pixels), in full precision.

    Under autocast the random Fourier features would lose a quarter of what a shift by four pixels changes.
    """
    with torch.autocast(boxes.device.type, enabled=False):
        return sam.prompt_encoder(points=None, boxes=boxes.float(), masks=None)[0]


def no_mask(sam: Sam) -> Tensor:
    """The dense prompt ``1, C, h, w`` that says that there is no mask prompt."""
    return sam.prompt_encoder.no_mask_embed.weight.view(1, -1, 1, 1).expand(-1, -1, *sam.grid)


def decode(
    sam: Sam,
    embeddings: Tensor,
    sparse: Tensor,
    image_index: Tensor | None = None,
    chunk: int | None = None,
    tokens: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Masks of N prompts on B images; the package's decoder knows one image at a time.

    Args:
        sam: brings the decoder, the dense prompt and the position encoding.
        embeddings: ``B, C, h, w`` of the image encoder.
        sparse: prompt tokens ``N, T, C``; T may be 0.
        image_index: image of each prompt, ``N`` integers; ``None`` for prompt i on image i.
        chunk: prompts decoded at once, to bound memory; ``None`` for all.
        tokens: M, to decode the first mask tokens only: 1 for boxes; ``None`` for all.

    Returns:
        Logits ``N, M, 4 h, 4 w`` of the mask tokens (0 is the one for boxes) and their predicted IoU ``N, M``.
    """
    if chunk is not None and sparse.shape[0] > chunk:
        index = torch.arange(sparse.shape[0], device=sparse.device) if image_index is None else image_index
        parts = [decode(sam, embeddings, s, i, tokens=tokens) for s, i in zip(sparse.split(chunk), index.split(chunk))]
        return torch.cat([logits for logits, _ in parts]), torch.cat([iou for _, iou in parts])
    return _decode(sam, embeddings if image_index is None else embeddings[image_index], sparse, tokens)


def _decode(sam: Sam, embeddings: Tensor, sparse: Tensor, count: int | None) -> tuple[Tensor, Tensor]:
    decoder = sam.mask_decoder
    n, c, h, w = embeddings.shape
    own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([own.expand(n, -1, -1), sparse.to(own.dtype)], dim=1)
    hidden, image = decoder.transformer(embeddings + no_mask(sam), sam.image_pe.expand(n, -1, -1, -1), tokens)
    upscaled = decoder.output_upscaling(image.transpose(1, 2).reshape(n, c, h, w))
    mlps = list(decoder.output_hypernetworks_mlps)[:count]
    weights = torch.stack([mlp(hidden[:, 1 + token]) for token, mlp in enumerate(mlps)], dim=1)
    quality = decoder.iou_prediction_head(hidden[:, 0])[:, :count]
    return torch.einsum("nmc,nchw->nmhw", weights, upscaled), quality
