"""Options of a SAM, for bundles that take one."""

from __future__ import annotations

from ..wheels import WHEELS
from .containers import Optional
from .types import Boolean, Integer, Option, Path

ENCODERS = ("vit_b", "vit_l", "vit_h", "vit_t", "litemedsam", "tiny", "small", "tiny_t")
WEIGHTS = Optional(Path("file", read=True, named=WHEELS, unless=("kind", "none")))
LAST_BLOCKS = Option("last_blocks", Optional(Integer(1, 64)), "of the encoder, the only ones that learn; null: all")
RECOMPUTE = Option("recompute", Boolean(), "the encoder's blocks in the backward pass: less memory, more time")
