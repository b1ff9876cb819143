from .check import label_check

__all__ = ["label_check"]
