"""Segment Anything for few labels: any input size, LoRA, class tokens without prompts, boxes from pseudo-labels."""

from .architectures import ARCHITECTURES
from .build import Sam, build_sam
from .checkpoint import LoadReport, load_checkpoint, read_checkpoint
from .decode import decode, embed_boxes, no_mask
from .embeddings import EmbeddingCache, case_name
from .io import load_segmenter, save_segmenter
from .lora import LoraLinear, add_set, inject_lora, lora_state_dict, merge_lora, set_active
from .preprocess import CONVENTIONS, Frame, prepare
from .promptable import BoxRefiner, Refined
from .prompts import Group, adjust_boxes, boxes_from_masks, class_groups, compose, group_masks, move_boxes
from .segmenter import SamSegmenter
from .trust import MeasuredTrust, take_trusted
from .volumes import refine_volume
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
    "MeasuredTrust",
    "Refined",
    "Sam",
    "SamSegmenter",
    "add_set",
    "adjust_boxes",
    "boxes_from_masks",
    "build_sam",
    "case_name",
    "class_groups",
    "compose",
    "decode",
    "embed_boxes",
    "file_hash",
    "group_masks",
    "inject_lora",
    "installed",
    "load_checkpoint",
    "load_segmenter",
    "locate",
    "lora_state_dict",
    "merge_lora",
    "move_boxes",
    "no_mask",
    "prepare",
    "read_checkpoint",
    "refine_volume",
    "save_segmenter",
    "set_active",
    "take_trusted",
]
