from .slicewise import SliceWiseInferer
from .sliding_window import SlidingWindowInferer

__all__ = ["SliceWiseInferer", "SlidingWindowInferer"]
