from .command import prepare

__all__ = ["prepare"]
