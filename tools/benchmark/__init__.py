from .command import benchmark

__all__ = ["benchmark"]
