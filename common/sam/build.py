"""SAM of any size: image encoder, prompt encoder and mask decoder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as run_again

from ..errors import require_choice
from ..wheels import origin
from ._load import modeling
from .architectures import ARCHITECTURES, Plain, extents
from .attention import fuse_attention
from .checkpoint import load_checkpoint
from .tiny_vit import TinyViT

_LOG = logging.getLogger(__name__)


class Sam(nn.Module):
    """Image encoder, prompt encoder and mask decoder of SAM, under the parameter names of its checkpoints.

    Args:
        arch: one of ``ARCHITECTURES``: ``vit_b``, ``vit_l``, ``vit_h``; ``vit_t`` (MobileSAM), ``litemedsam``; or
            ``tiny``, ``small`` and ``tiny_t`` for tests and CPUs.
        img_size: side of the square input, or its height and width, in pixels; multiples of the stride, 16, or 4 of
            ``litemedsam`` and ``tiny_t``.
        num_multimask_outputs: mask tokens beside the single-mask token.
        recompute: compute the blocks of the encoder again in the backward pass instead of keeping what is inside them:
            a forward pass more for the largest part of the memory of training.

    Raises:
        InputError: for a size that is no multiple of the stride.
        ValueError: for an unknown architecture.

    Source: Kirillov et al., Segment Anything, ICCV 2023.
    """

    def __init__(
        self,
        arch: str = "vit_b",
        img_size: int | Sequence[int] = 1024,
        num_multimask_outputs: int = 3,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        require_choice(arch=(arch, ARCHITECTURES))
        sizes, parts = ARCHITECTURES[arch], modeling()
        self.arch, self.img_size, self.recompute = arch, extents(img_size, arch), recompute
        self.grid = (self.img_size[0] // sizes.stride, self.img_size[1] // sizes.stride)
        self.image_encoder = _plain_encoder(sizes, self.grid) if isinstance(sizes, Plain) else TinyViT(sizes)
        self.prompt_encoder = parts.PromptEncoder(
            embed_dim=sizes.prompt,
            image_embedding_size=self.grid,
            input_image_size=self.img_size,
            mask_in_chans=sizes.mask_channels,
        )
        self.mask_decoder = parts.MaskDecoder(
            transformer_dim=sizes.prompt,
            transformer=parts.TwoWayTransformer(
                depth=2, embedding_dim=sizes.prompt, num_heads=sizes.decoder_heads, mlp_dim=sizes.decoder_mlp
            ),
            num_multimask_outputs=num_multimask_outputs,
            iou_head_depth=3,
            iou_head_hidden_dim=sizes.prompt,
        )
        self.image_pe: Tensor
        self.register_buffer("image_pe", torch.zeros(1, sizes.prompt, *self.grid), persistent=False)
        self.refresh_position_encoding()
        self.register_load_state_dict_post_hook(_after_loading)

    def refresh_position_encoding(self) -> None:
        """Recompute the encoding of the token grid, after the Fourier matrix of the prompt encoder has changed."""
        device = self.image_pe.device.type
        whole = torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()
        with torch.no_grad(), whole:  # half precision would spoil it for good
            self.image_pe = self.prompt_encoder.get_dense_pe()

    def encode(self, images: Tensor) -> Tensor:
        """Embeddings ``B, C, H / stride, W / stride`` of prepared images ``B, 3, H, W``."""
        encoder = self.image_encoder
        if isinstance(encoder, TinyViT):
            return encoder(images, self._run)
        x = encoder.patch_embed(images) + encoder.pos_embed
        for block in encoder.blocks:
            x = self._run(block, x)
        return encoder.neck(x.permute(0, 3, 1, 2))

    def _run(self, block: nn.Module, x: Tensor) -> Tensor:
        """What a block makes of ``x``; computed again in the backward pass, if that is wanted and there will be one."""
        again = self.recompute and torch.is_grad_enabled()
        if again and (x.requires_grad or any(parameter.requires_grad for parameter in block.parameters())):
            return run_again(block, x, use_reentrant=False)
        return block(x)


def build_sam(
    arch: str = "vit_b",
    img_size: int | Sequence[int] = 1024,
    num_multimask_outputs: int = 3,
    checkpoint: str | Path | None = None,
    decoder_init: str = "match_shapes",
    recompute: bool = False,
) -> Sam:
    """A ``Sam`` with the weights of ``checkpoint`` fitted to its size; without one, from a random start.

    See ``Sam`` for the sizes and ``load_checkpoint`` for the rest.
    """
    sam = Sam(arch, img_size, num_multimask_outputs, recompute)
    if checkpoint is not None:
        report, (height, width) = load_checkpoint(sam, checkpoint, decoder_init), sam.img_size
        _LOG.info(f"SAM {arch}, {height} x {width} pixels, weights of {origin(checkpoint)}: {report}")
    return sam


def _plain_encoder(sizes: Plain, grid: tuple[int, int]) -> nn.Module:
    encoder = modeling().ImageEncoderViT(
        img_size=max(grid) * sizes.stride,
        patch_size=sizes.stride,
        embed_dim=sizes.width,
        depth=sizes.depth,
        num_heads=sizes.heads,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        out_chans=sizes.prompt,
        use_rel_pos=True,
        window_size=sizes.window,
        global_attn_indexes=sizes.global_blocks,
    )
    if grid[0] != grid[1]:  # the package knows squares only
        encoder.pos_embed = nn.Parameter(torch.zeros(1, *grid, sizes.width))
        for index in sizes.global_blocks:
            attention, head = encoder.blocks[index].attn, sizes.width // sizes.heads
            attention.rel_pos_h = nn.Parameter(torch.zeros(2 * grid[0] - 1, head))
            attention.rel_pos_w = nn.Parameter(torch.zeros(2 * grid[1] - 1, head))
    return fuse_attention(encoder)


def _after_loading(module: Sam, _: Any) -> None:
    module.refresh_position_encoding()
