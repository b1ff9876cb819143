from .make import make_inferer
from .slicewise import SliceWiseInferer
from .sliding_window import SlidingWindowInferer
from .statistics import AdaptStatistics, adapt_statistics

__all__ = ["AdaptStatistics", "SliceWiseInferer", "SlidingWindowInferer", "adapt_statistics", "make_inferer"]
