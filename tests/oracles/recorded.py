"""Recorded results of published code, and what the tests that reproduce them share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from monai.bundle import ConfigParser
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LRScheduler

from tools.run import BUNDLES

HERE = Path(__file__).resolve().parent
EVERY = 4  # of the elements of large results, the fixtures hold each fourth

Row = tuple[str, float, float]  # what is compared, largest absolute difference, tolerance


class Record:
    """One file of ``tests/oracles/<method>``: inputs ``in_*`` and results ``out_*``, see ``README_3d.md`` there.

    Whole numbers may be multiples of a step: ``step_logits`` for all names with ``logits`` in them, and so on.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.read = path, set()  # what was asked for
        with np.load(path) as arrays:
            self.arrays = dict(arrays)

    def names(self, start: str) -> list[str]:
        """Names of what begins with ``start``, without it."""
        held = [name for name in self.arrays if not name.startswith(("shape_", "step_"))]
        names = [name.removeprefix("some_").removeprefix("bits_") for name in held]
        return [name.removeprefix(start) for name in names if name.startswith(start)]

    def __getitem__(self, name: str) -> Tensor:
        """A tensor: float32, double for results, or whole numbers."""
        self.read.add(name)
        if f"bits_{name}" in self.arrays:
            shape = self.arrays[f"shape_{name}"]
            return torch.from_numpy(np.unpackbits(self.arrays[f"bits_{name}"])[: shape.prod()].reshape(shape))
        values = torch.from_numpy(self.arrays[name if name in self.arrays else f"some_{name}"])
        for kind in ("logits", "grad", "blend"):
            if kind in name and f"step_{kind}" in self.arrays and not values.is_floating_point():
                values = values.double() * float(self.arrays[f"step_{kind}"])
        if not values.is_floating_point():
            return values
        return values.double() if name.startswith("out_") else values.float()

    def difference(self, name: str, found: Tensor | float | list[float]) -> float:
        """Largest absolute difference of ``found`` from the result ``out_<name>``."""
        found = found.detach().double() if torch.is_tensor(found) else torch.tensor(found, dtype=torch.double)
        recorded = self[f"out_{name}"].double()
        if f"some_out_{name}" in self.arrays:
            found = found.flatten()[::EVERY]
        assert found.shape == recorded.shape, (name, found.shape, recorded.shape)
        return float((found - recorded).abs().max()) if found.numel() else 0.0

    def worst(self, start: str, found: dict[str, Tensor]) -> float:
        """``difference``, largest over the results ``out_<start><name>`` of all ``found``."""
        return max(self.difference(start + name, value) for name, value in found.items())


def records(method: str, topic: str) -> Iterator[Record]:
    """The files of a topic."""
    return map(Record, sorted((HERE / method).glob(f"{topic}_[0-9].npz")))


def preset(bundle: str, *layers: str, **options: object) -> ConfigParser:
    """The training configuration of a bundle with layers and options on top, in double-free float32 on the CPU."""
    config, folder = ConfigParser(), BUNDLES / f"{bundle}_segmentation" / "configs"
    config.read_config([str(folder / f"{layer}.yaml") for layer in ("train", *layers)])
    config.update({"device": "cpu", **options})
    return config


class TinyNetwork(nn.Module):
    """Convolution of kernel 3, batch norm, ReLU (the feature), convolution of kernel 1."""

    def __init__(self, dims: int, channels: int, classes: int) -> None:
        super().__init__()
        convolution, norm = getattr(nn, f"Conv{dims}d"), getattr(nn, f"BatchNorm{dims}d")
        self.conv, self.norm = convolution(1, channels, 3, padding=1), norm(channels)
        self.head = convolution(channels, classes, 1)

    def forward_features(self, x: Tensor, post_dropout: bool = True) -> tuple[Tensor, Tensor]:
        feature = F.relu(self.norm(self.conv(x)))
        return self.head(feature), feature

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_features(x)[0]

    def named(self) -> dict[str, Tensor]:
        """Parameters and statistics by their recorded names."""
        parts = {"conv": self.conv, "norm": self.norm, "head": self.head}
        state = {f"{part}_{n}": p for part, module in parts.items() for n, p in module.named_parameters()}
        return {**state, "norm_mean": self.norm.running_mean, "norm_var": self.norm.running_var}


def tiny_definition(dims: int, channels: int, classes: int) -> dict:
    """Configuration of a ``TinyNetwork``."""
    target = f"{TinyNetwork.__module__}.{TinyNetwork.__name__}"
    return {"_target_": target, "dims": dims, "channels": channels, "classes": classes}


@torch.no_grad()
def fill(named: dict[str, Tensor], record: Record, start: str = "in_") -> None:
    """Set tensors to the recorded ``<start><name>``."""
    for name, tensor in named.items():
        tensor.copy_(record[start + name])


def gradient(loss: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    """Of a scalar with respect to inputs; zero where it does not depend on them."""
    grads = torch.autograd.grad(loss, inputs, allow_unused=True, retain_graph=True)
    return tuple(torch.zeros_like(x) if g is None else g for g, x in zip(grads, inputs))


def rates_at(steps: list[int], optimizer: torch.optim.Optimizer, scheduler: LRScheduler) -> list[float]:
    """Learning rates in these iterations, counted from 1 and in increasing order."""
    optimizer.step()
    rates = [optimizer.param_groups[0]["lr"]]
    for _ in range(steps[-1]):
        scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
    return [rates[step - 1] for step in steps]
