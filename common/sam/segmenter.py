"""SAM without prompts: one mask token per class."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from ..errors import require_choice
from .build import build_sam
from .decode import decode
from .lora import inject_lora, merge_lora
from .preprocess import CONVENTIONS, prepare

TRAINED = ("lora", "decoder", "full")


class SamSegmenter(nn.Module):
    """Multi-class segmentation by SAM: the decoder's mask token k is class k, no prompt is given.

    What learns: LoRA in the image encoder, the whole mask decoder but its quality head (which no loss reaches), and
    the embedding that says "no mask". Everything else is frozen.

    Shapes: images ``B, C, H, W`` of any size, in the range of ``preprocess``; logits ``B, K, img_size / 4``.

    Args:
        arch: architecture, see ``build_sam``.
        img_size: side, or height and width, of SAM's input; multiples of 16. 448 needs no padding of windows.
        num_classes: K, background included.
        in_channels: C, 1 or 3; SAM sees three.
        checkpoint: of SAM or MedSAM; ``None`` for a random start, or weights loaded later.
        decoder_init: see ``load_checkpoint``; ``match_shapes`` is what SAMed and SynFoC get.
        preprocess: range and resizing of images, see ``prepare``.
        lora_rank: rank of the adaptation; 0 for none.
        lora_targets: parts of the projection that are adapted.
        train: ``lora`` (as above), ``decoder`` (the encoder stays as it is) or ``full`` (the whole encoder too).

    Raises:
        ValueError: for an unknown choice.
        InputError: for a size or checkpoint that does not fit.

    Source: Zhang and Liu, SAMed, 2023; SynFoC (Ma et al., CVPR 2025), section 3.
    """

    def __init__(
        self,
        arch: str = "vit_b",
        img_size: int | Sequence[int] = 512,
        num_classes: int = 2,
        in_channels: int = 1,
        checkpoint: str | Path | None = None,
        decoder_init: str = "match_shapes",
        preprocess: str = "unit",
        lora_rank: int = 4,
        lora_targets: Sequence[str] = ("q", "v"),
        train: str = "lora",
    ) -> None:
        super().__init__()
        require_choice(preprocess=(preprocess, CONVENTIONS), train=(train, TRAINED), in_channels=(in_channels, (1, 3)))
        self.preprocess, self.unchecked = preprocess, True
        self.sam = build_sam(arch, img_size, num_classes - 1, checkpoint, decoder_init)
        self.requires_grad_(False)
        if train == "full":
            self.sam.image_encoder.requires_grad_(True)
        elif train == "lora" and lora_rank:
            inject_lora(self.sam, lora_rank, lora_targets)
        self.sam.mask_decoder.requires_grad_(True)
        self.sam.mask_decoder.iou_prediction_head.requires_grad_(False)
        self.sam.prompt_encoder.no_mask_embed.requires_grad_(True)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of all classes at a quarter of the input's resolution."""
        x, _ = prepare(images, self.sam.img_size, self.preprocess, check=self.unchecked)
        self.unchecked = False  # the first batch tells whether the range is right
        embeddings = self.sam.encode(x)
        nothing = embeddings.new_zeros(embeddings.shape[0], 0, embeddings.shape[1])
        return decode(self.sam, embeddings, nothing)[0]

    def trainable_state_dict(self) -> dict[str, Tensor]:
        """The tensors that learn, by name."""
        return {name: p.detach() for name, p in self.named_parameters() if p.requires_grad}

    def merged(self) -> SamSegmenter:
        """A copy without LoRA and with the same output: its weights load without the base checkpoint."""
        plain = copy.deepcopy(self)
        merge_lora(plain.sam)
        return plain
