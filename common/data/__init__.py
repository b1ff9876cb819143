from .cache import CachedDataset, CheckedDataset, unlabeled_of
from .datalist import load_datalist, require_cases
from .dicom_outputs import SaveDicomSegd
from .domains import load_domains
from .draws import draw_lists
from .h5 import H5Reader
from .inputs import ReadableCases, find_images
from .layouts import LAYOUTS
from .masks import ENCODINGS, DecodeMaskd
from .outputs import SaveImageOfCased
from .phantom import Phantom, write_phantom_domains, write_phantoms
from .preprocessing import PicturePreprocessing, VolumePreprocessing
from .ratios import ratio_counts
from .readers import LoadImageOrSeriesd
from .segmentations import ClassesForDice, WriteSegmentation
from .staged import StagedLoader
from .two_stream import TwoStreamLoader

__all__ = [
    "ENCODINGS",
    "LAYOUTS",
    "CachedDataset",
    "CheckedDataset",
    "ClassesForDice",
    "DecodeMaskd",
    "H5Reader",
    "LoadImageOrSeriesd",
    "Phantom",
    "PicturePreprocessing",
    "ReadableCases",
    "SaveDicomSegd",
    "SaveImageOfCased",
    "StagedLoader",
    "TwoStreamLoader",
    "VolumePreprocessing",
    "WriteSegmentation",
    "draw_lists",
    "find_images",
    "load_datalist",
    "load_domains",
    "ratio_counts",
    "require_cases",
    "unlabeled_of",
    "write_phantom_domains",
    "write_phantoms",
]
