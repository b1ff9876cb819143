"""What a bundle's configurations resolve to: the built training and evaluation, without any data."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import torch
from ignite.engine import Events
from monai.bundle import ConfigParser
from monai.handlers import LrScheduleHandler

from common.handlers import EMAHandler
from tools.run import layer_files

from .conftest import BUNDLES

CASES = [{"case": name, "image": name} for name in "ab"]
NO_WEIGHTS = {"iere_segmentation": {"sam#checkpoint": None}, "synfoc_segmentation": {"sam#checkpoint": None}}
TINY_SAM = {"iere_segmentation": {"sam#kind": "tiny"}, "synfoc_segmentation": {"sam#arch": "tiny"}}


class Cases(list):
    """In the place of a data set: cases of which nothing is ever read."""

    def __init__(self, data: list[dict]) -> None:
        super().__init__(data)
        self.data = data


def parser(bundle: str, *layers: str, base: str = "train", **options: object) -> ConfigParser:
    """Configuration of a bundle with its layers, as ``python -m tools run`` reads it."""
    root, config = BUNDLES / bundle, ConfigParser()
    config.read_config([file for layer in (base, *layers) for file in layer_files(root, layer)])
    config.update({"bundle_root": str(root), "device": "cpu", "progress": False, **options})
    return config


class Built:
    """The objects that ``layers`` make of a bundle, found by the ids that MONAI requires and from there on.

    Args:
        bundle: its folder's name.
        layers: on top of ``train``.
        small: few channels and a tiny SAM, for everything but the sizes of networks.
    """

    def __init__(self, bundle: str, *layers: str, small: bool = True) -> None:
        self.bundle, self.layers = bundle, layers
        sizes = dict(NO_WEIGHTS.get(bundle, {}))
        if small:
            has_sam = bool(sizes) and parser(bundle, *layers)["sam#kind"] != "none"
            sizes |= {"base_channels": 8, **(TINY_SAM[bundle] if has_sam else {})}
        dataset = {"_target_": f"{__name__}.Cases", "data": CASES}
        datasets = dict.fromkeys(("train#dataset", "train#unlabeled_dataset", "validate#dataset"), dataset)
        roles = dict.fromkeys(("labeled", "unlabeled", "validation", "test"), CASES)
        self.options = {**datasets, "datalist": roles, **sizes}
        self.config = parser(bundle, *layers, **self.options)

    def option(self, id: str) -> object:
        """A resolved entry."""
        return self.config.get_parsed_content(id)

    @cached_property
    def trainer(self):
        return self.config.get_parsed_content("train#trainer")

    @property
    def objective(self):
        return self.trainer.terms_of

    @property
    def loader(self):
        return self.trainer.data_loader

    @property
    def iterations(self) -> int:
        return self.trainer.state.max_epochs * self.loader.epoch_length

    @property
    def optimizers(self) -> list:
        return self.trainer.optimizers

    def handlers(self, kind: type) -> list:
        """Handlers of a class that act after every iteration, in their order."""
        owners = [getattr(handler, "__self__", handler) for handler in self.after_iteration()]
        return [owner for owner in owners if isinstance(owner, kind)]

    def after_iteration(self) -> Iterator[object]:
        yield from (handler for handler, *_ in self.trainer._event_handlers[Events.ITERATION_COMPLETED])

    @property
    def averages(self) -> list[EMAHandler]:
        return self.handlers(EMAHandler)

    def rates(self, steps: list[int]) -> list[list[float]]:
        """Learning rate of each optimizer after so many iterations."""
        schedulers, found = [handler.lr_scheduler for handler in self.handlers(LrScheduleHandler)], {}
        for step in range(max(steps) + 1):
            found[step] = [group["lr"] for o in self.optimizers for group in o.param_groups[:1]]
            for scheduler in schedulers:
                scheduler.optimizer._opt_called = True  # nothing is trained here
                scheduler.step()
        return [[found[step][number] for step in steps] for number in range(len(self.optimizers))]

    @cached_property
    def evaluation(self) -> ConfigParser:
        return parser(self.bundle, *self.layers, "evaluate", **self.options)

    @cached_property
    def evaluator(self):
        return self.evaluation.get_parsed_content("validate#evaluator")


def parameters(module: torch.nn.Module) -> int:
    """Number of trained parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def stride(inferer) -> list[int]:
    """Steps of the windows of a ``SlidingWindowInferer``, as MONAI computes them."""
    return [int(roi * (1 - overlap)) for roi, overlap in zip(inferer.roi_size, inferer.overlap)]
