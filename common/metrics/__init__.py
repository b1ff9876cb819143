from .overlap import dice, jaccard
from .segmentation import METRICS, case_metrics, summarise, summarise_domains
from .surface import surface_distances

__all__ = ["METRICS", "case_metrics", "dice", "jaccard", "summarise", "summarise_domains", "surface_distances"]
