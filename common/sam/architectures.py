"""Sizes of SAMs: the published architectures, and small ones for tests and CPUs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from ..errors import InputError

_ENCODER = "image_encoder."


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Sizes of what a SAM has behind its encoder.

    Attributes:
        prompt: channels of the embedding, the prompts and the decoder.
        mask_channels: hidden channels of the mask prompt.
        decoder_heads: attention heads of the decoder.
        decoder_mlp: hidden channels of the decoder's perceptrons.
    """

    prompt: int = 256
    mask_channels: int = 16
    decoder_heads: int = 8
    decoder_mlp: int = 2048


@dataclass(frozen=True)
class Plain(Architecture):
    """A SAM with a plain vision transformer, whose tokens keep their size of 16 pixels.

    Attributes:
        width: channels of a token in the encoder.
        depth: blocks of the encoder.
        heads: attention heads of the encoder.
        global_blocks: blocks whose attention spans the image; the others see windows.
        window: side of a window in tokens.
    """

    width: int
    depth: int
    heads: int
    global_blocks: tuple[int, ...]
    window: int = 14

    @property
    def stride(self) -> int:
        """Pixels per side of a cell of the embedding."""
        return 16

    def fits(self, tensors: Mapping[str, Tensor]) -> bool:
        """Whether a checkpoint has an encoder of this width and depth."""
        table = tensors.get(f"{_ENCODER}pos_embed")
        has = [f"{_ENCODER}blocks.{number}.norm1.weight" in tensors for number in (self.depth - 1, self.depth)]
        return table is not None and table.shape[-1] == self.width and has == [True, False]


@dataclass(frozen=True)
class Hierarchical(Architecture):
    """A SAM with a TinyViT, whose tokens grow from stage to stage: convolutions first, then attention in windows.

    Attributes:
        widths: channels of the four stages.
        depths: their blocks.
        heads: attention heads of stages 1 to 3.
        windows: sides of their windows in tokens.
        fine: the stem keeps the resolution (1 x 1 convolutions, LiteMedSAM) instead of quartering it.
    """

    widths: tuple[int, ...] = (64, 128, 160, 320)
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (4, 5, 10)
    windows: tuple[int, ...] = (7, 14, 7)
    fine: bool = False

    @property
    def stride(self) -> int:
        """Pixels per side of a cell of the embedding: two of three mergings halve what the stem leaves."""
        return 4 if self.fine else 16

    def fits(self, tensors: Mapping[str, Tensor]) -> bool:
        """Whether a checkpoint has an encoder of these widths and this stem."""
        stem, neck = (tensors.get(f"{_ENCODER}{name}.weight") for name in ("patch_embed.seq.0.c", "neck.0"))
        if stem is None or neck is None or stem.dim() != 4 or neck.dim() != 4:
            return False
        return neck.shape[1] == self.widths[-1] and stem.shape[-1] == (1 if self.fine else 3)


ARCHITECTURES: dict[str, Plain | Hierarchical] = {
    "vit_b": Plain(768, 12, 12, (2, 5, 8, 11)),
    "vit_l": Plain(1024, 24, 16, (5, 11, 17, 23)),
    "vit_h": Plain(1280, 32, 16, (7, 15, 23, 31)),
    "vit_t": Hierarchical(),
    "litemedsam": Hierarchical(fine=True),
    "tiny": Plain(32, 2, 2, (1,), window=3, prompt=32, mask_channels=4, decoder_heads=2, decoder_mlp=64),
    "small": Plain(96, 4, 4, (1, 3), window=4, prompt=64, mask_channels=8, decoder_heads=4, decoder_mlp=256),
    "tiny_t": Hierarchical(
        (8, 16, 24, 32), (1, 1, 2, 1), (2, 3, 4), (3, 4, 3), fine=True,
        prompt=32, mask_channels=4, decoder_heads=2, decoder_mlp=64,
    ),
}  # fmt: skip


def recognise(tensors: Mapping[str, Tensor]) -> str | None:
    """The architecture whose encoder a checkpoint holds, if it is a known one."""
    return next((name for name, sizes in ARCHITECTURES.items() if sizes.fits(tensors)), None)


def extents(size: int | Sequence[int], arch: str) -> tuple[int, int]:
    """Height and width of the input; ``InputError`` for sides that are no positive multiples of the stride."""
    stride, sides = ARCHITECTURES[arch].stride, tuple(size) if isinstance(size, Sequence) else (size, size)
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 and side % stride == 0 for side in sides):
        raise InputError(f"img_size={size}: the SAM {arch} needs a positive multiple of {stride} per side")
    return sides
