from .make import make_inferer
from .slicewise import SliceWiseInferer
from .sliding_window import SlidingWindowInferer

__all__ = ["SliceWiseInferer", "SlidingWindowInferer", "make_inferer"]
