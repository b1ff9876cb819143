from .average import LastAverage
from .case_metrics import CaseMetrics
from .collapse import CollapseWarning
from .ema import EMAHandler
from .history import History

__all__ = ["CaseMetrics", "CollapseWarning", "EMAHandler", "History", "LastAverage"]
