from .cache import CachedDataset, CheckedDataset
from .datalist import load_datalist, require_cases, without
from .domains import load_domains
from .h5 import H5Reader
from .inputs import ReadableCases, find_images
from .layouts import LAYOUTS
from .masks import ENCODINGS, DecodeMaskd
from .outputs import SaveDicomSegd, SaveImageOfCased
from .phantom import Phantom, write_phantom_domains, write_phantoms
from .ratios import ratio_counts
from .readers import LoadImageOrSeriesd
from .two_stream import TwoStreamLoader

__all__ = [
    "ENCODINGS",
    "LAYOUTS",
    "CachedDataset",
    "CheckedDataset",
    "DecodeMaskd",
    "H5Reader",
    "LoadImageOrSeriesd",
    "Phantom",
    "ReadableCases",
    "SaveDicomSegd",
    "SaveImageOfCased",
    "TwoStreamLoader",
    "find_images",
    "load_datalist",
    "load_domains",
    "ratio_counts",
    "require_cases",
    "without",
    "write_phantom_domains",
    "write_phantoms",
]
