from .command import plan

__all__ = ["plan"]
