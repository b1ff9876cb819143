from .cache import CachedDataset, CheckedDataset, unlabeled_of
from .dicom_outputs import SaveDicomSegd
from .expected import SaveExpectedDiced, read_expected
from .h5 import H5Reader
from .inputs import ReadableCases
from .masks import ENCODINGS, DecodeMaskd
from .outputs import SaveImageOfCased
from .phantom import Phantom, write_phantom_domains, write_phantoms
from .preprocessing import PicturePreprocessing, VolumePreprocessing
from .readers import LoadImageOrSeriesd
from .segmentations import ClassesForDice, WriteSegmentation
from .staged import StagedLoader
from .two_stream import TwoStreamLoader

__all__ = [
    "ENCODINGS",
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
    "SaveExpectedDiced",
    "SaveImageOfCased",
    "StagedLoader",
    "TwoStreamLoader",
    "VolumePreprocessing",
    "WriteSegmentation",
    "read_expected",
    "unlabeled_of",
    "write_phantom_domains",
    "write_phantoms",
]
