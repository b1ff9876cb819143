from .case_metrics import CaseMetrics
from .ema import EMAHandler
from .history import History
from .progress import Progress
from .resume import Resume
from .save_model import SaveModel

__all__ = ["CaseMetrics", "EMAHandler", "History", "Progress", "Resume", "SaveModel"]
