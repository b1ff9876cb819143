"""Segment Anything: attention, boxes, embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

import torch
from torch import Tensor, nn

from common.sam import BoxRefiner, EmbeddingCache, build_sam, decode, embed_boxes
from common.sam._load import modeling
from common.sam.attention import FusedAttention

from . import references
from .contest import Contest, without_gradient


def attention(device: str, grid: int = 32, width: int = 768, heads: int = 12) -> Contest:
    """A global block of SAM's frozen encoder: materialised attention of segment-anything -> fused"""
    encoder = import_module(f"{modeling().__name__}.image_encoder")
    slow = encoder.Attention(width, heads, use_rel_pos=True, input_size=(grid, grid))
    for table in (slow.rel_pos_h, slow.rel_pos_w):
        nn.init.normal_(table, std=0.02)
    slow, tokens = slow.to(device), torch.randn(1, grid, grid, width, device=device)
    fast = FusedAttention(slow)
    return Contest(
        f"{grid} x {grid} tokens of {width}, {heads} heads",
        without_gradient(lambda: [slow(tokens)]),
        without_gradient(lambda: [fast(tokens)]),
    )


def boxes(device: str, images: int = 8, per_image: int = 2, size: int = 512, arch: str = "small") -> Contest:
    """SAM's masks for boxes: segment-anything image by image -> all boxes of all images at once"""
    sam = build_sam(arch, size).eval().to(device)
    channels = sam.image_pe.shape[1]
    embeddings = torch.randn(images, channels, *sam.grid, device=device)
    corners = size * torch.rand(images * per_image, 2, 2, device=device).sort(dim=1).values.flatten(1)
    index = torch.arange(images, device=device).repeat_interleave(per_image)
    by_image = corners.split(per_image)
    return Contest(
        f"{images} embeddings {channels} x {sam.grid[0]} x {sam.grid[1]}, {per_image} boxes each",
        without_gradient(lambda: [references.decode_one_image(sam, e, b)[0] for e, b in zip(embeddings, by_image)]),
        without_gradient(lambda: decode(sam, embeddings, embed_boxes(sam, corners), index)[0][:, :1].split(per_image)),
    )


def embeddings(device: str, images: int = 4, size: int = 256, arch: str = "small") -> Contest:
    """SAM's embeddings of unchanged images: encoded every time -> kept in half precision"""
    refiner = BoxRefiner(build_sam(arch, size).eval().to(device), convention="unit")
    pictures, cache = torch.rand(images, 1, size, size, device=device), EmbeddingCache("ram")
    keys = [str(number) for number in range(images)]

    def encode(wanted: Sequence[int] = range(images)) -> Tensor:
        return refiner.embed(pictures[list(wanted)])[0]

    return Contest(
        f"{images} images of {size} x {size}, SAM '{arch}'",
        without_gradient(lambda: [encode()]),
        without_gradient(lambda: [cache.get(keys, encode, device)]),
        tolerance=1e-3,
    )


CONTESTS = (attention, boxes, embeddings)
