from .bootstrap import Interval, bootstrap_mean
from .expected import Calibration, confidence_of, held_out, how_well
from .overlap import dice, jaccard
from .segmentation import METRICS, case_metrics, summarize, summarize_domains
from .surface import surface_dice, surface_distances

__all__ = [
    "METRICS",
    "Calibration",
    "Interval",
    "bootstrap_mean",
    "case_metrics",
    "confidence_of",
    "dice",
    "held_out",
    "how_well",
    "jaccard",
    "summarize",
    "summarize_domains",
    "surface_dice",
    "surface_distances",
]
