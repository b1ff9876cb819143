"""SAM of any size: the three published architectures and two small ones."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as recompute

from ..errors import InputError, require_choice
from ._load import modeling
from .attention import fuse_attention
from .checkpoint import load_checkpoint

PATCH = 16  # pixels per token side
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Architecture:
    """Sizes of a SAM.

    Attributes:
        width: channels of a token in the encoder.
        depth: blocks of the encoder.
        heads: attention heads of the encoder.
        global_blocks: blocks whose attention spans the image; the others see windows.
        window: side of a window in tokens.
        prompt: channels of the embedding, the prompts and the decoder.
        mask_channels: hidden channels of the mask prompt.
        decoder_heads: attention heads of the decoder.
        decoder_mlp: hidden channels of the decoder's perceptrons.
    """

    width: int
    depth: int
    heads: int
    global_blocks: tuple[int, ...]
    window: int = 14
    prompt: int = 256
    mask_channels: int = 16
    decoder_heads: int = 8
    decoder_mlp: int = 2048


ARCHITECTURES = {
    "vit_b": Architecture(768, 12, 12, (2, 5, 8, 11)),
    "vit_l": Architecture(1024, 24, 16, (5, 11, 17, 23)),
    "vit_h": Architecture(1280, 32, 16, (7, 15, 23, 31)),
    "tiny": Architecture(32, 2, 2, (1,), window=3, prompt=32, mask_channels=4, decoder_heads=2, decoder_mlp=64),
    "small": Architecture(96, 4, 4, (1, 3), window=4, prompt=64, mask_channels=8, decoder_heads=4, decoder_mlp=256),
}


class Sam(nn.Module):
    """Image encoder, prompt encoder and mask decoder of SAM, under the parameter names of its checkpoints.

    Args:
        arch: one of ``ARCHITECTURES``: ``vit_b``, ``vit_l``, ``vit_h``, or ``tiny`` and ``small`` for tests and CPUs.
        img_size: side of the square input, or its height and width, in pixels; multiples of 16.
        num_multimask_outputs: mask tokens beside the single-mask token.
        use_checkpoint: recompute the blocks in the backward pass, which trades a forward pass for their activations.

    Raises:
        InputError: for a size that is not a multiple of 16.
        ValueError: for an unknown architecture.

    Source: Kirillov et al., Segment Anything, ICCV 2023.
    """

    def __init__(
        self,
        arch: str = "vit_b",
        img_size: int | Sequence[int] = 1024,
        num_multimask_outputs: int = 3,
        use_checkpoint: bool = False,
    ) -> None:
        super().__init__()
        require_choice(arch=(arch, ARCHITECTURES))
        self.arch, self.img_size, self.use_checkpoint = arch, _extents(img_size), use_checkpoint
        self.grid = (self.img_size[0] // PATCH, self.img_size[1] // PATCH)
        sizes, parts = ARCHITECTURES[arch], modeling()
        self.image_encoder = _encoder(sizes, self.grid)
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
        """Embeddings ``B, C, H / 16, W / 16`` of prepared images ``B, 3, H, W``."""
        encoder = self.image_encoder
        x = encoder.patch_embed(images) + encoder.pos_embed
        for block in encoder.blocks:
            again = self.use_checkpoint and torch.is_grad_enabled()
            x = recompute(block, x, use_reentrant=False) if again else block(x)
        return encoder.neck(x.permute(0, 3, 1, 2))


def build_sam(
    arch: str = "vit_b",
    img_size: int | Sequence[int] = 1024,
    num_multimask_outputs: int = 3,
    checkpoint: str | Path | None = None,
    decoder_init: str = "match_shapes",
    use_checkpoint: bool = False,
) -> Sam:
    """A ``Sam`` with the weights of ``checkpoint`` fitted to its size; without one, from a random start.

    See ``Sam`` for the sizes and ``load_checkpoint`` for the rest.
    """
    sam = Sam(arch, img_size, num_multimask_outputs, use_checkpoint)
    if checkpoint is not None:
        _LOG.info(f"{checkpoint}: {load_checkpoint(sam, checkpoint, decoder_init)}")
    return sam


def _extents(size: int | Sequence[int]) -> tuple[int, int]:
    sides = tuple(size) if isinstance(size, Sequence) else (size, size)
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 and side % PATCH == 0 for side in sides):
        raise InputError(f"img_size={size}: SAM needs a positive multiple of {PATCH} per side")
    return sides


def _encoder(sizes: Architecture, grid: tuple[int, int]) -> nn.Module:
    encoder = modeling().ImageEncoderViT(
        img_size=max(grid) * PATCH,
        patch_size=PATCH,
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


def _after_loading(module: Sam, _: object) -> None:
    module.refresh_position_encoding()
