"""Objectives, data sets and batches so small that what the engine does to them is known in closed form."""

import torch
from torch import nn

from common.engines import Objective
from common.transforms import Batch


def batches(count, labeled=1.0, unlabeled=3.0):
    """A loader of equal batches: one labeled and one unlabeled image of constant value."""
    image = torch.tensor([labeled, unlabeled]).view(2, 1, 1, 1).expand(2, 1, 2, 2).clone()
    return [Batch(image, torch.ones(1, 1, 2, 2, dtype=torch.uint8)) for _ in range(count)]


class LinearObjective(Objective):
    """Terms ``w * mean(x_l)`` and ``w * mean(x_u)``: their gradients are the mean images themselves."""

    TERMS = ("supervised", "consistency")

    def __init__(self, weights=None, start=2.0):
        super().__init__(weights)
        self.w = nn.Parameter(torch.tensor(start))

    def forward(self, batch, step):
        n = batch.labeled
        return {
            "supervised": self.w * batch.image[:n].mean(),
            "consistency": self.w * batch.image[n:].mean(),
            "weight": self.w.detach().clone(),
        }


class FailingObjective(LinearObjective):
    """``LinearObjective`` with NaN in the term ``consistency`` from iteration ``fails_at`` on."""

    def __init__(self, fails_at):
        super().__init__()
        self.fails_at = fails_at

    def forward(self, batch, step):
        terms = super().forward(batch, step)
        if step >= self.fails_at:
            terms["consistency"] = terms["consistency"] * float("nan")
        return terms


class TwoWeights(Objective):
    """One term, ``3 a + 4 b``."""

    TERMS = ("supervised",)

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.tensor(1.0)), nn.Parameter(torch.tensor(1.0))

    def forward(self, batch, step):
        return {"supervised": 3 * self.a + 4 * self.b}


class CaseList(torch.utils.data.Dataset):
    """Cases of random images; each image holds its own number in its first voxel."""

    def __init__(self, count, shape=(4, 4), labeled=True, first=0):
        self.cases = []
        for number in range(first, first + count):
            image = torch.rand(1, *shape)
            image.view(-1)[0] = number
            case = {"image": image, "case": f"case_{number}"}
            if labeled:
                case["label"] = (torch.rand(1, *shape) > 0.5).to(torch.uint8)
            self.cases.append(case)

    def __len__(self):
        return len(self.cases)

    def __getitem__(self, index):
        return self.cases[index]


def whole(case, generator):
    """A ``sample`` for the loader that keeps the whole case."""
    return {key: value for key, value in case.items() if isinstance(value, torch.Tensor)}


class Recorder(nn.Module):
    """A pointwise network that keeps its inputs."""

    def __init__(self):
        super().__init__()
        self.layer, self.inputs = nn.Conv2d(1, 2, 1), []

    def forward(self, x):
        self.inputs.append(x.detach())
        return self.layer(x)
