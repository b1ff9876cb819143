"""Data sets as users have them: cases, lists, layouts, and what is found in folders."""

from .case import ROLES, Case
from .datalist import load_datalist
from .domains import load_domains
from .draws import draw_lists
from .endings import ENDINGS
from .find import Listing, find_cases
from .inputs import find_images, require_cases
from .layouts import LAYOUTS
from .ratios import ratio_counts

__all__ = [
    "ENDINGS",
    "LAYOUTS",
    "ROLES",
    "Case",
    "Listing",
    "draw_lists",
    "find_cases",
    "find_images",
    "load_datalist",
    "load_domains",
    "ratio_counts",
    "require_cases",
]
