from .command import check, examine
from .compare import check_copies, check_sides

__all__ = ["check", "check_copies", "check_sides", "examine"]
