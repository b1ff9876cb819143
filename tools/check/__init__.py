from .command import check, examine
from .compare import check_copies, check_labels, check_sides, check_spacings

__all__ = ["check", "check_copies", "check_labels", "check_sides", "check_spacings", "examine"]
