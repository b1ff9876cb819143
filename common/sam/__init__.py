"""Segment Anything for few labels: any input size, LoRA, class tokens without prompts, boxes from pseudo-labels."""

from .architectures import ARCHITECTURES
from .build import Sam, build_sam
from .checkpoint import LoadReport, load_checkpoint, read_checkpoint
from .decode import decode, embed_boxes, no_mask
from .embeddings import EmbeddingCache
from .lora import LoraLinear, inject_lora, merge_lora
from .preprocess import CONVENTIONS, Frame, prepare
from .promptable import BoxRefiner, Refined, overlap
from .prompts import Group, adjust_boxes, boxes_from_masks, class_groups, compose, group_masks, move_boxes
from .segmenter import SamSegmenter
from .trust import MeasuredTrust, expected_dice, take_trusted
from .volumes import refine_volume

__all__ = [
    "ARCHITECTURES",
    "BoxRefiner",
    "CONVENTIONS",
    "EmbeddingCache",
    "Frame",
    "Group",
    "LoadReport",
    "LoraLinear",
    "MeasuredTrust",
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
    "expected_dice",
    "group_masks",
    "inject_lora",
    "load_checkpoint",
    "merge_lora",
    "move_boxes",
    "no_mask",
    "overlap",
    "prepare",
    "read_checkpoint",
    "refine_volume",
    "take_trusted",
]
