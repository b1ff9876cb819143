from .case_by_case import CaseByCaseEvaluator
from .make import make_inferer
from .slicewise import SliceWiseInferer
from .sliding_window import SlidingWindowInferer

__all__ = ["CaseByCaseEvaluator", "SliceWiseInferer", "SlidingWindowInferer", "make_inferer"]
