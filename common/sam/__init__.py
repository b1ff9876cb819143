"""Segment Anything for few labels: any input size, LoRA, class tokens without prompts, boxes from pseudo-labels."""

from .architectures import ARCHITECTURES
from .build import Sam, build_sam
from .checkpoint import LoadReport, load_checkpoint, read_checkpoint
from .decode import decode, embed_boxes, no_mask
from .embeddings import EmbeddingCache
from .lora import LoraLinear, inject_lora, merge_lora
from .preprocess import CONVENTIONS, Frame, prepare
from .promptable import BoxRefiner, Refined
from .prompts import Group, adjust_boxes, boxes_from_masks, class_groups, compose, group_masks
from .segmenter import SamSegmenter
from .weights import WHEELS, file_hash, installed, locate

__all__ = [
    "ARCHITECTURES",
    "CONVENTIONS",
    "WHEELS",
    "BoxRefiner",
    "EmbeddingCache",
    "Frame",
    "Group",
    "LoadReport",
    "LoraLinear",
    "Refined",
    "Sam",
    "SamSegmenter",
    "adjust_boxes",
    "boxes_from_masks",
    "build_sam",
    "class_groups",
    "compose",
    "decode",
    "embed_boxes",
    "file_hash",
    "group_masks",
    "inject_lora",
    "installed",
    "load_checkpoint",
    "locate",
    "merge_lora",
    "no_mask",
    "prepare",
    "read_checkpoint",
]
