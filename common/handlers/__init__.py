from .case_metrics import CaseMetrics
from .collapse import CollapseWarning
from .ema import EMAHandler
from .history import History
from .progress import Progress

__all__ = ["CaseMetrics", "CollapseWarning", "EMAHandler", "History", "Progress"]
