from .objective import MeanTeacherObjective

__all__ = ["MeanTeacherObjective"]
