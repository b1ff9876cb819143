"""Low-rank adaptation of SAM's linear layers."""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Iterator, Sequence

import torch
from torch import Tensor, nn

from ..errors import require_choice
from .tiny_vit import WindowAttention

TARGETS = ("q", "k", "v", "proj", "mlp", "decoder")
_THIRDS = ("q", "k", "v")  # of the fused projection
_WHOLE = ("all",)


class LoraLinear(nn.Module):
    r"""A frozen linear layer with trained low-rank additions to some of the equal parts of its output.

    .. math:: t \leftarrow W_t x + b_t + \frac{\alpha}{r} B_t A_t x,
              \qquad A_t \in R^{r \times D},\; B_t \in R^{D_t \times r}

    B starts at zero, so that the module starts as the layer it wraps; A and B are float32 whatever the layer is.

    Args:
        base: the layer from D channels; it is frozen.
        rank: r.
        targets: parts that are adapted.
        alpha: scale; ``None`` takes the rank, that is a factor of 1.
        parts: names of all parts of the output, in order.
        runs: how many times the parts follow each other in the output, each time with an equal share of their
            channels: 1, or the number of heads where a fused projection gives q, k and v head by head.

    Source: Hu et al., LoRA, ICLR 2022; on q and v as in Zhang and Liu, SAMed, 2023.
    """

    def __init__(
        self,
        base: nn.Linear,
        rank: int,
        targets: Sequence[str] = ("q", "v"),
        alpha: float | None = None,
        parts: Sequence[str] = _THIRDS,
        runs: int = 1,
    ) -> None:
        super().__init__()
        if rank < 1:
            raise ValueError(f"rank must be at least 1, got {rank}")
        for target in targets:
            require_choice(targets=(target, parts))
        self.base, self.parts, self.targets = base.requires_grad_(False), tuple(parts), tuple(targets)
        self.scale, self.width = (rank if alpha is None else alpha) / rank, base.out_features // len(parts)
        self.runs = runs
        where = {"device": base.weight.device, "dtype": torch.float32}
        self.lora_a = nn.ParameterDict({t: torch.empty(rank, base.in_features, **where) for t in targets})
        self.lora_b = nn.ParameterDict({t: torch.zeros(self.width, rank, **where) for t in targets})
        for weight in self.lora_a.values():
            nn.init.kaiming_uniform_(weight, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output ``..., parts * D_t`` for ``..., D``."""
        out = self.base(x)
        additions = [self._addition(x, part).to(out.dtype).unflatten(-1, (self.runs, -1)) for part in self.parts]
        return out + torch.stack(additions, dim=-2).flatten(-3)

    def _addition(self, x: Tensor, part: str) -> Tensor:
        if part not in self.targets:
            return x.new_zeros(*x.shape[:-1], self.width)
        return self.scale * nn.functional.linear(nn.functional.linear(x, self.lora_a[part]), self.lora_b[part])

    def merged(self) -> nn.Linear:
        """A plain layer with the additions in its weights."""
        plain = copy.deepcopy(self.base)
        with torch.no_grad():
            by_part = plain.weight.view(self.runs, len(self.parts), -1, plain.in_features)
            for number, part in enumerate(self.parts):
                if part in self.targets:
                    addition = self.scale * self.lora_b[part] @ self.lora_a[part]
                    by_part[:, number] += addition.unflatten(0, (self.runs, -1))
        return plain


def inject_lora(
    sam: nn.Module,
    rank: int = 4,
    targets: Sequence[str] = ("q", "v"),
    blocks: Collection[int] | None = None,
    alpha: float | None = None,
) -> list[nn.Parameter]:
    """Adapt layers of a SAM in place (after its weights are loaded), and return what is trained.

    The whole encoder is frozen, and the decoder's transformer where that is adapted; the returned parameters are the
    only ones of them that learn.

    Args:
        sam: a ``Sam``.
        rank: see ``LoraLinear``.
        targets: of the encoder's attention ``q``, ``k``, ``v`` and ``proj``, its output; ``mlp``, both layers of the
            encoder's perceptrons; ``decoder``, q and v of every attention in the decoder (SAMed_s).
        blocks: numbers of the adapted blocks of the encoder, of a TinyViT those with attention; ``None`` for all.
        alpha: see ``LoraLinear``.

    Raises:
        ValueError: for an unknown target or block, none at all, or a SAM that is adapted already.
    """
    for target in targets:
        require_choice(lora_targets=(target, TARGETS))
    depth = len(sam.image_encoder.blocks)
    for number in blocks or ():
        require_choice(blocks=(number, range(depth)))
    layers = list(_layers(sam, targets, range(depth) if blocks is None else blocks))
    if not layers or next(_adapted(sam), None):
        raise ValueError("lora_targets: nothing to adapt" if not layers else "this SAM is adapted already")
    sam.image_encoder.requires_grad_(False)
    if "decoder" in targets:
        sam.mask_decoder.transformer.requires_grad_(False)
    trained: list[nn.Parameter] = []
    for parent, name, thirds in layers:
        by_head = thirds and isinstance(parent, WindowAttention)
        parts, runs = _THIRDS if thirds else _WHOLE, parent.heads if by_head else 1
        lora = LoraLinear(getattr(parent, name), rank, thirds or _WHOLE, alpha, parts, runs)
        setattr(parent, name, lora)
        trained += [*lora.lora_a.parameters(), *lora.lora_b.parameters()]
    return trained


def merge_lora(sam: nn.Module) -> nn.Module:
    """Replace, in place, every adapted layer by a plain one with the same output, and return ``sam``."""
    for path, module in list(_adapted(sam)):
        parent, _, name = path.rpartition(".")
        setattr(sam.get_submodule(parent), name, module.merged())
    return sam


def _adapted(sam: nn.Module) -> Iterator[tuple[str, LoraLinear]]:
    return ((path, module) for path, module in sam.named_modules() if isinstance(module, LoraLinear))


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear | LoraLinear)


def _layers(
    sam: nn.Module, targets: Collection[str], blocks: Collection[int]
) -> Iterator[tuple[nn.Module, str, tuple[str, ...]]]:
    """The module, the name in it and the thirds (none: all of it) of every layer that ``targets`` mean."""
    thirds = tuple(third for third in _THIRDS if third in targets)
    for number in blocks:
        block = sam.image_encoder.blocks[number]
        places = [(block.attn, "qkv", thirds)] * bool(thirds)
        places += [(block.attn, "proj", ())] * ("proj" in targets)
        if "mlp" in targets:
            places += [(block.mlp, name, ()) for name, layer in block.mlp.named_children() if _is_linear(layer)]
        yield from places
    if "decoder" in targets:
        attentions = [module for module in sam.mask_decoder.transformer.modules() if hasattr(module, "q_proj")]
        yield from ((attention, name, ()) for attention in attentions for name in ("q_proj", "v_proj"))
