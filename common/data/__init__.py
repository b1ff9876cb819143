from .cache import CachedDataset, CheckedDataset
from .datalist import find_images, load_datalist, require_cases
from .domains import load_domains
from .h5 import H5Reader
from .layouts import LAYOUTS
from .masks import ENCODINGS, DecodeMaskd
from .phantom import Phantom, write_phantom_domains, write_phantoms
from .ratios import ratio_counts
from .two_stream import TwoStreamLoader

__all__ = [
    "ENCODINGS",
    "LAYOUTS",
    "CachedDataset",
    "CheckedDataset",
    "DecodeMaskd",
    "H5Reader",
    "Phantom",
    "TwoStreamLoader",
    "find_images",
    "load_datalist",
    "load_domains",
    "ratio_counts",
    "require_cases",
    "write_phantom_domains",
    "write_phantoms",
]
