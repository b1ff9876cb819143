from .overlap import dice, jaccard
from .segmentation import METRICS, case_metrics, summarise
from .surface import surface_distances

__all__ = ["METRICS", "case_metrics", "dice", "jaccard", "summarise", "surface_distances"]
