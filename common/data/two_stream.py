"""Endless batches of labeled and unlabeled samples."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..errors import InputError
from ..transforms.batch import Batch, BatchTransform, stacked


class IndexStream:
    """Endless indices below ``length``: one shuffled pass after the other, each index once per pass."""

    def __init__(self, length: int, generator: torch.Generator) -> None:
        self.length, self.generator = length, generator
        self.queue: list[int] = []

    def take(self, count: int) -> list[int]:
        """The next ``count`` indices."""
        while len(self.queue) < count:
            self.queue += torch.randperm(self.length, generator=self.generator).tolist()
        taken, self.queue = self.queue[:count], self.queue[count:]
        return taken


class TwoStreamLoader:
    """Batches of ``labeled_batch`` labeled samples followed by ``unlabeled_batch`` unlabeled ones.

    Both streams are reshuffled independently and go on over the ends of epochs; an epoch is just ``epoch_length``
    batches, the unit of logging, validation and checkpoints. Cases are decoded once by their data sets; a batch is cut
    (``sample``) and then augmented (``augment``) on the device the data live on, without worker processes.

    Args:
        labeled: data set of ``{"image", "label"}`` tensors, ``C, spatial...`` each.
        unlabeled: data set of ``{"image"}`` tensors; may be empty.
        labeled_batch: labeled samples per batch.
        unlabeled_batch: unlabeled samples per batch; 0 for supervised training.
        sample: callable (case, generator) that gives every case of a batch one shape.
        augment: ``BatchTransform``s in order.
        epoch_length: batches per epoch.
        seed: of all randomness here; each process of a distributed run adds its rank.
        supervised_fallback: train on labeled samples alone when there are no unlabeled ones, instead of an error.

    Raises:
        InputError: when there is no labeled case, or no unlabeled one though a batch asks for some.
    """

    def __init__(
        self,
        labeled: Dataset,
        unlabeled: Dataset,
        labeled_batch: int,
        unlabeled_batch: int,
        sample: Callable[[dict, torch.Generator], dict[str, Tensor]],
        augment: Sequence[Callable[[Batch, torch.Generator], Batch]] = (),
        epoch_length: int = 100,
        seed: int = 1337,
        supervised_fallback: bool = False,
    ) -> None:
        if len(labeled) == 0 or labeled_batch < 1:
            raise InputError("training needs at least one labeled case, in the list and in a batch (labeled_batch)")
        self.samples = (len(labeled), len(unlabeled))
        if unlabeled_batch and len(unlabeled) == 0 and supervised_fallback:
            logging.getLogger(type(self).__name__).warning("no unlabeled samples: training on the labeled ones alone")
            unlabeled_batch = 0
        if unlabeled_batch and len(unlabeled) == 0:
            raise InputError("the unlabeled list is empty: give unlabeled cases or set unlabeled_batch to 0")
        rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
        self.seed = seed + rank
        self.generator = torch.Generator().manual_seed(self.seed)
        self.streams = [
            (labeled, labeled_batch, IndexStream(len(labeled), self.generator)),
            (unlabeled, unlabeled_batch, IndexStream(len(unlabeled), self.generator)),
        ]
        self.sample, self.augment, self.epoch_length = sample, tuple(augment), epoch_length

    def __len__(self) -> int:
        return self.epoch_length

    def __iter__(self) -> Iterator[Batch]:
        for _ in range(self.epoch_length):
            yield self.next_batch()

    def counts(self) -> list[int]:
        """How many labeled and unlabeled samples the next batch takes."""
        return [count for _, count, _ in self.streams]

    def next_batch(self) -> Batch:
        """Draw, cut, stack and augment one batch."""
        counts = self.counts()
        taken = [(d, i) for (d, _, stream), count in zip(self.streams, counts) for i in stream.take(count)]
        cases = [self.sample(dataset[i], self.generator) for dataset, i in taken]
        labels = [case["label"] for case in cases[: counts[0]]]
        images = [case["image"] for case in cases]
        first, others = (*self.augment, None)[0], self.augment[1:]
        if isinstance(first, BatchTransform):  # may cut, turn and stack in one go
            batch = first.gather(images, labels, self.generator)
        else:
            batch, others = stacked(images, labels), self.augment
        for transform in others:
            batch = transform(batch, self.generator)
        return replace(batch, index=tuple(i for _, i in taken))

    def state_dict(self) -> dict:
        """Position of both streams and of the generator."""
        return {
            "generator": self.generator.get_state(),
            "queues": [list(stream.queue) for *_, stream in self.streams],
        }

    def load_state_dict(self, state: dict) -> None:
        self.generator.set_state(state["generator"])
        for (*_, stream), queue in zip(self.streams, state["queues"]):
            stream.queue = list(queue)

    def restart(self, position: int) -> None:
        """Begin both streams anew, in an order that follows from the seed, the process and a number of batches."""
        self.generator.manual_seed((self.seed + 1_000_003 * position) % 2**63)
        for *_, stream in self.streams:
            stream.queue = []
