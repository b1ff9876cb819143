"""Recorded numbers of published code, and the objects of a bundle's presets that must reproduce them."""

from pathlib import Path

import numpy as np
import torch
from monai.bundle import ConfigParser
from torch import nn

HERE = Path(__file__).resolve().parent
BUNDLES = HERE.parents[1] / "bundles"
TERM, TOTAL, GRADIENT = 2e-6, 5e-6, 1.3e-7  # float32; stored gradients are rounded to 3e-8


def read(method, name):
    """The arrays of a file as tensors; an array with a step beside it was stored in whole steps."""
    with np.load(HERE / method / f"{name}.npz", allow_pickle=False) as file:
        stored = {key: file[key] for key in file.files}
    steps = {key.removesuffix("__step"): stored.pop(key) for key in list(stored) if key.endswith("__step")}
    for key, step in steps.items():
        stored[key] = (stored[key] * float(step)).astype(np.float32)
    return {key: torch.from_numpy(np.array(value)) for key, value in stored.items()}


def preset(bundle, *layers, **options):
    """Parser of ``train.yaml`` under presets and options; its components are built where they are asked for."""
    files = [BUNDLES / bundle / "configs" / f"{layer}.yaml" for layer in ("train", *layers)]
    parser = ConfigParser(ConfigParser.load_config_files(files))
    for name, value in {"bundle_root": str(BUNDLES / bundle), "device": "cpu", **options}.items():
        parser[name] = value
    return parser


class Recorded(nn.Module):
    """A network that gives the recorded answers one after the other, and keeps what it was shown."""

    def __init__(self, *answers):
        super().__init__()
        self.answers, self.seen = nn.ParameterList(nn.Parameter(answer.float()) for answer in answers), []

    def forward(self, x):
        given = sum(len(seen) for seen in self.seen)
        self.seen.append(x.detach())
        flat = torch.cat(list(self.answers))
        return flat[given : given + len(x)]


def near(found, expected, tolerance):
    """Largest absolute difference; an error above the tolerance."""
    found, expected = (torch.as_tensor(value, dtype=torch.float64).detach() for value in (found, expected))
    difference = float((found - expected).abs().max())
    assert difference <= tolerance, difference
    return difference


def same(found, expected):
    """Equal in shape and value, whatever the types."""
    found, expected = torch.as_tensor(found), torch.as_tensor(expected)
    assert found.shape == expected.shape, (found.shape, expected.shape)
    assert torch.equal(found.long(), expected.long()), float((found.long() != expected.long()).float().mean())
