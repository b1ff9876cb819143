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
from .tuning import late_blocks, let_encoder_learn

TRAINED = ("lora", "lora_only", "decoder", "full")


class SamSegmenter(nn.Module):
    """Multi-class segmentation by SAM: the decoder's mask token k is class k, no prompt is given.

    What learns by default: LoRA in the image encoder, the whole mask decoder but its quality head (which no loss
    reaches), and the embedding that says "no mask". Everything else is frozen.

    Shapes: images ``B, 1 or 3, H, W`` of any size, in the range of ``preprocess``; logits at a quarter of ``img_size``
    (at all of it for ``litemedsam``), of SAM's input with what padding ``preprocess`` gives it, or ``B, K, H, W``.

    Args:
        arch: architecture, see ``build_sam``.
        img_size: side, or height and width, of SAM's input; multiples of 16, or 4 for ``litemedsam``. For ``vit_b`` 448
            needs no padding of windows.
        num_classes: K, background included.
        checkpoint: of SAM, MedSAM, MobileSAM or LiteMedSAM, a path or the name of installed weights; ``None`` for a
            random start, or weights loaded later.
        decoder_init: see ``load_checkpoint``; ``match_shapes`` is what SAMed and SynFoC get.
        preprocess: range and resizing of images, see ``prepare``.
        lora_rank: rank of the adaptation; 0 for none.
        lora_targets: layers that are adapted, see ``inject_lora``; with ``decoder`` its transformer learns by LoRA
            alone and the rest of it, tokens, upscaling and perceptrons, as it is (SAMed_s).
        train: ``lora`` (as above), ``lora_only`` (the decoder stays as it is), ``decoder`` (the encoder stays as it
            is) or ``full`` (the whole encoder too, without LoRA).
        train_prompt: the embedding that says "no mask" learns too; ``False`` keeps the checkpoint's.
        full_size: logits at the size of the images, bilinearly: slower to train on, better for thin structures, and
            all that an exported network needs to be used on its own.
        last_blocks: only so many of the encoder's last blocks adapt or, with its neck, learn; see ``late_blocks``.
        recompute: a forward pass of the encoder more instead of most of the memory of training, see ``Sam``.

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
        checkpoint: str | Path | None = None,
        decoder_init: str = "match_shapes",
        preprocess: str = "unit",
        lora_rank: int = 4,
        lora_targets: Sequence[str] = ("q", "v"),
        train: str = "lora",
        train_prompt: bool = True,
        full_size: bool = False,
        last_blocks: int | None = None,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        require_choice(preprocess=(preprocess, CONVENTIONS), train=(train, TRAINED))
        self.sam = build_sam(arch, img_size, num_classes - 1, checkpoint, decoder_init, recompute)
        self.settings = {
            "arch": arch, "img_size": list(self.sam.img_size), "num_classes": num_classes, "preprocess": preprocess,
            "lora_rank": lora_rank, "lora_targets": list(lora_targets), "train": train, "full_size": full_size,
            "last_blocks": last_blocks, "train_prompt": train_prompt,
        }  # fmt: skip
        self.preprocess, self.full_size, self.unchecked = preprocess, full_size, True
        adapted = late_blocks(self.sam, last_blocks)
        self.requires_grad_(False)
        if train == "full":
            let_encoder_learn(self.sam, last_blocks)
        self.sam.mask_decoder.requires_grad_(train != "lora_only")
        self.sam.mask_decoder.iou_prediction_head.requires_grad_(False)
        self.sam.prompt_encoder.no_mask_embed.requires_grad_(train_prompt)
        if train in ("lora", "lora_only") and lora_rank:
            inject_lora(self.sam, lora_rank, lora_targets, adapted)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of all classes."""
        x, frame = prepare(images, self.sam.img_size, self.preprocess, check=self.unchecked)
        self.unchecked = False  # the first batch tells whether the range is right
        embeddings = self.sam.encode(x)
        nothing = embeddings.new_zeros(embeddings.shape[0], 0, embeddings.shape[1])
        logits = decode(self.sam, embeddings, nothing)[0]
        return frame.masks_to_image(logits.float()) if self.full_size else logits

    def merged(self) -> SamSegmenter:
        """A copy without LoRA and with the same output: its weights load without the base checkpoint."""
        plain = copy.deepcopy(self)
        merge_lora(plain.sam)
        plain.settings["lora_rank"] = 0
        return plain
