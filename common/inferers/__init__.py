from .case_by_case import CaseByCaseEvaluator
from .make import make_inferer
from .slicewise import SliceWiseInferer
from .sliding_window import SlidingWindowInferer, WindowsOfSlices
from .statistics import AdaptStatistics, adapt_statistics

__all__ = [
    "AdaptStatistics",
    "CaseByCaseEvaluator",
    "SliceWiseInferer",
    "SlidingWindowInferer",
    "WindowsOfSlices",
    "adapt_statistics",
    "make_inferer",
]
