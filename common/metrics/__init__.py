from .bootstrap import Interval, bootstrap_mean
from .overlap import dice, jaccard
from .segmentation import METRICS, case_metrics, summarise, summarise_domains
from .surface import surface_dice, surface_distances

__all__ = [
    "METRICS",
    "Interval",
    "bootstrap_mean",
    "case_metrics",
    "dice",
    "jaccard",
    "summarise",
    "summarise_domains",
    "surface_dice",
    "surface_distances",
]
