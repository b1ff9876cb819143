"""What a bundle's configurations resolve to: the built training and evaluation, without any data."""

from __future__ import annotations

from functools import cached_property

import torch
from ignite.engine import Engine, Events
from monai.bundle import ConfigParser
from monai.handlers import LrScheduleHandler

from common.handlers import EMAHandler
from tools.run import BUNDLES, configuration

CASES = [{"case": name, "image": name} for name in "ab"]
NO_WEIGHTS = {"iere_segmentation": {"sam#checkpoint": None}, "synfoc_segmentation": {"sam#checkpoint": None}}
TINY_SAM = {"iere_segmentation": {"sam#kind": "tiny"}, "synfoc_segmentation": {"sam#arch": "tiny"}}


class Cases(list):
    """In the place of a data set: cases of which nothing is ever read."""

    def __init__(self, data: list[dict]) -> None:
        super().__init__(data)
        self.data = data


def parser(bundle: str, *layers: str, **options: object) -> ConfigParser:
    """Configuration of a command, as ``python -m tools run`` reads it.

    ``evaluate`` among the layers: evaluation of weights that do not exist, so that the layers say how they were made.
    """
    weights = {} if "inference" in layers else NO_WEIGHTS.get(bundle, {})
    weights = {"ckpt_dir": "no/such/run"} if "evaluate" in layers else weights
    asked = configuration(bundle, layers, {"dataset_dir": str(BUNDLES), **weights, **options})
    config = ConfigParser()
    config.read_config(list(asked.files))
    config.update({"bundle_root": str(asked.root), "device": "cpu", "progress": False, **asked.options})
    return config


class Built:
    """The objects that ``layers`` make of a bundle, found by the ids that MONAI requires and from there on.

    Args:
        bundle: its folder's name.
        layers: on top of ``train``.
        small: few channels and a tiny SAM, for everything but the sizes of networks.
    """

    def __init__(self, bundle: str, *layers: str, small: bool = True) -> None:
        self.bundle, self.layers, self.config = bundle, layers, parser(bundle, *layers)
        sizes = dict(NO_WEIGHTS.get(bundle, {}))
        if small:
            has_sam = bool(sizes) and self.config["sam#kind"] != "none"
            sizes |= {"base_channels": 8, **(TINY_SAM[bundle] if has_sam else {})}
        dataset = {"_target_": f"{__name__}.Cases", "data": CASES}
        datasets = dict.fromkeys(("train#dataset", "train#unlabeled_dataset", "validate#dataset"), dataset)
        self.lists = {"datalist": dict.fromkeys(("labeled", "unlabeled", "validation", "test"), CASES)}
        self.config.update({**datasets, **self.lists, **sizes})

    def option(self, id: str) -> object:
        """A resolved entry."""
        return self.config.get_parsed_content(id)

    @cached_property
    def trainer(self) -> Engine:
        return self.option("train#trainer")

    @property
    def objective(self) -> torch.nn.Module:
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

    @property
    def averages(self) -> list[EMAHandler]:
        return after_iteration(self.trainer, EMAHandler)

    def rates(self, steps: list[int]) -> list[list[float]]:
        """Learning rate of each optimizer after so many iterations."""
        schedulers, found = [h.lr_scheduler for h in after_iteration(self.trainer, LrScheduleHandler)], {}
        for step in range(max(steps) + 1):
            found[step] = [group["lr"] for o in self.optimizers for group in o.param_groups[:1]]
            for scheduler in schedulers:
                scheduler.optimizer._opt_called = True  # nothing is trained here
                scheduler.step()
        return [[found[step][number] for step in steps] for number in range(len(self.optimizers))]

    @cached_property
    def evaluation(self) -> ConfigParser:
        config = parser(self.bundle, *self.layers, "evaluate")
        config.update({"dataset": {"_target_": f"{__name__}.Cases", "data": CASES}, **self.lists})
        return config

    @cached_property
    def evaluator(self) -> Engine:
        return self.evaluation.get_parsed_content("evaluator")


def owners(engine: Engine, event: Events) -> list[object]:
    """Handlers of an event, in their order."""
    return [getattr(handler, "__self__", handler) for handler, *_ in engine._event_handlers[event]]


def after_iteration(engine: Engine, kind: type) -> list:
    """Handlers of a class that act after every iteration."""
    return [owner for owner in owners(engine, Events.ITERATION_COMPLETED) if isinstance(owner, kind)]


def parameters(module: torch.nn.Module) -> int:
    """Number of trained parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def stride(inferer) -> list[int]:
    """Steps of the windows of a ``SlidingWindowInferer``, as MONAI computes them."""
    return [int(roi * (1 - overlap)) for roi, overlap in zip(inferer.roi_size, inferer.overlap)]
