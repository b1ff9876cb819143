from .command import check, examine
from .compare import check_coded, check_copies, check_labels, check_sides, check_spacings, coding_of

__all__ = [
    "check",
    "check_coded",
    "check_copies",
    "check_labels",
    "check_sides",
    "check_spacings",
    "coding_of",
    "examine",
]
