"""Batch-norm statistics that suit the images at hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor, nn

from ..errors import InputError, require_choice
from ..networks.statistics import batchnorm_layers, collected_statistics, statistics_of
from ..precision import choose_precision
from .slicewise import SliceWiseInferer

STATISTICS = ("trained", "all", "domain", "case", "unlabeled")
TOGETHER = 16  # slices that are normalized together, as many as are segmented together


@torch.no_grad()
def adapt_statistics(
    network: nn.Module, images: Iterable[Tensor], inferer: Callable, device: torch.device | str = "cpu"
) -> None:
    """Set the running statistics of a network's batch norms to those of unlabeled images, in place.

    Slices of all images are mixed into batches of 16, by a fixed seed; windows of volumes come in the batches of the
    inferer. No label is seen and no weight changes.

    Args:
        network: on ``device``.
        images: ``C, spatial...`` each, preprocessed.
        inferer: as in inference.
        device: of the passes.

    Raises:
        InputError: for a network without batch norm, and without images.
    """
    if not batchnorm_layers(network):
        raise InputError("statistics: the network has no batch norm, so there is nothing to adapt (statistics=trained)")
    batches: Iterable[Tensor] = (image.unsqueeze(0) for image in images)
    if isinstance(inferer, SliceWiseInferer):
        batches = mixed(inferer.prepare(batch.to(device)) for batch in batches)
        precision = choose_precision(inferer.amp, torch.device(device))
    seen = 0
    with collected_statistics(network):
        for batch in batches:
            seen += 1
            if isinstance(inferer, SliceWiseInferer):
                with precision.autocast(torch.device(device).type):
                    network(batch)
            else:
                inferer(batch.to(device), network)
    if not seen:
        raise InputError("statistics: there are no images to take them from")


def mixed(parts: Iterable[Tensor], size: int = TOGETHER) -> list[Tensor]:
    """All rows of some tensors in an order of a fixed seed, in batches of about ``size``, none much smaller."""
    rows = [row for part in parts for row in part]
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0)).tolist()
    count = max(round(len(rows) / size), 1) if rows else 0
    return [torch.stack([rows[i] for i in order[start::count]]) for start in range(count)]


class AdaptStatistics:
    """Segment every case with batch-norm statistics that suit it.

    Args:
        network: of the evaluator.
        statistics: ``trained``: those of the weights; ``all``: of all images at hand together, ``domain``: of those of
            its domain, ``case``: of itself alone; ``unlabeled``: of the unlabeled images of its domain in training.
        inferer: as in inference.
        unlabeled: preprocessed cases of training, for ``unlabeled``.

    Raises:
        InputError: for a network without batch norm, and for a domain without unlabeled images.
    """

    def __init__(
        self, network: nn.Module, statistics: str, inferer: Callable, unlabeled: Iterable[Mapping] = ()
    ) -> None:
        require_choice(statistics=(statistics, STATISTICS))
        self.network, self.statistics, self.inferer, self.unlabeled = network, statistics, inferer, unlabeled
        self.of: dict[Any, dict[str, Tensor]] = {}

    def attach(self, engine: Engine) -> None:
        if self.statistics == "trained":
            return
        if self.statistics == "case":
            engine.add_event_handler(Events.ITERATION_STARTED, self.adapt_to_case)
            return
        engine.add_event_handler(Events.EPOCH_STARTED, self.collect)
        engine.add_event_handler(Events.ITERATION_STARTED, self.choose)

    def group(self, case: Mapping) -> Any:
        """What a case's statistics belong to."""
        return None if self.statistics == "all" else case.get("domain")

    def collect(self, engine: Engine) -> None:
        """Take the statistics of every group."""
        cases = self.unlabeled if self.statistics == "unlabeled" else engine.state.dataloader.dataset
        images: dict[Any, list[Tensor]] = {}
        for case in cases:
            images.setdefault(self.group(case), []).append(torch.as_tensor(case["image"]))
        for group, found in images.items():
            adapt_statistics(self.network, found, self.inferer, engine.state.device)
            self.of[group] = statistics_of(self.network)

    def choose(self, engine: Engine) -> None:
        """Give the network the statistics of the case's group."""
        group = self.group({key: value[0] for key, value in engine.state.batch.items()})  # not yet a list of cases
        if group not in self.of:
            raise InputError(f"statistics={self.statistics}: there are no such images of domain {group}")
        self.network.load_state_dict(self.of[group], strict=False)

    def adapt_to_case(self, engine: Engine) -> None:
        """Take the statistics of the case alone."""
        adapt_statistics(self.network, engine.state.batch["image"], self.inferer, engine.state.device)
