from .cache import CachedDataset, CheckedDataset
from .datalist import find_images, load_datalist, require_cases
from .phantom import Phantom, write_phantoms
from .two_stream import TwoStreamLoader

__all__ = [
    "CachedDataset",
    "CheckedDataset",
    "Phantom",
    "TwoStreamLoader",
    "find_images",
    "load_datalist",
    "require_cases",
    "write_phantoms",
]
