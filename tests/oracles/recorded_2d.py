"""What the tests of the 2D methods' recorded results share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .recorded import Record

TERM, TOTAL, GRADIENT = 2e-6, 5e-6, 1.3e-7  # of float32; gradients were rounded to 3e-8 when they were stored


class Recorded(nn.Module):
    """A network that gives recorded answers one after the other, and keeps what it was shown."""

    def __init__(self, *answers: Tensor) -> None:
        super().__init__()
        self.answers, self.seen = nn.ParameterList(nn.Parameter(answer.float()) for answer in answers), []

    def forward(self, x: Tensor) -> Tensor:
        given = sum(len(seen) for seen in self.seen)
        self.seen.append(x.detach())
        return torch.cat(list(self.answers))[given : given + len(x)]


def levels(image: Tensor) -> Tensor:
    """Whole levels of 255 of an image in [0, 1]."""
    return (255 * image).round()


def part(record: Record, prefix: str) -> dict[str, Tensor]:
    """The inputs ``in_<prefix><name>`` by their names."""
    return {name: record[f"in_{prefix}{name}"] for name in record.names(f"in_{prefix}")}
