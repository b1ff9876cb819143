"""How good SAM's labels are against the pseudo-labels that prompted them, over a training."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import torch
from ignite.engine import Engine, Events
from torch import Tensor

from common.engines import SemiSupervisedTrainer
from common.files import atomic_path
from common.runs.process import is_main
from common.sam import EmbeddingCache, overlap

from .objective import IEREObjective

FILE = "sam_labels.csv"
LABELS = ("teacher", "sam", "used")
BATCH = 8  # slices at once


class SamReport:
    """Rows of a CSV file: iteration, list, class, slices that show it, and mean Dice with the truth of each label.

    The labels are the ``teacher``'s, the one that SAM gives for its boxes (``sam``), and the one that the student
    learns from (``used``); ``better`` is the share of slices where SAM's is nearer to the truth than the teacher's.
    Slices are whole and the network is in evaluation mode. Rows begin with the student stage. A resumed run keeps
    those of its earlier part.

    Args:
        objective: brings the network, the teacher and SAM.
        lists: cases whose truth is known, by name: the labeled ones, and those that are held out.
        sample: resizes a slice, as in training.
        output_dir: folder of the run.
        slices: of each list at most so many, spread evenly over those with a class; 0: no report.
        interval: epochs between two reports.
    """

    def __init__(
        self,
        objective: IEREObjective,
        lists: Mapping[str, Sequence[Mapping]],
        sample: Callable,
        output_dir: str | Path,
        slices: int = 0,
        interval: int = 1,
    ) -> None:
        self.objective, self.sam, self.path, self.interval = objective, objective.sam, Path(output_dir) / FILE, interval
        self.cases, self.sample, self.most = lists, sample, slices
        fixed = self.sam is not None and not (self.sam.options.finetune == "joint" and self.sam.options.moves_encoder)
        self.cache, self.rows, self.begun = EmbeddingCache("ram" if fixed else "off"), [], False
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: SemiSupervisedTrainer) -> None:
        if self.sam is not None and self.most and is_main():
            engine.add_event_handler(Events.EPOCH_STARTED, self.begin)
            engine.add_event_handler(Events.EPOCH_COMPLETED(every=self.interval), self.report)

    def begin(self, engine: Engine) -> None:
        """Take up the rows of an earlier part of the same run, once; a new run removes those of the one it replaces."""
        if self.begun:
            return
        self.begun = True
        if not engine.state.iteration:
            self.path.unlink(missing_ok=True)
        elif self.path.is_file():
            with open(self.path, encoding="utf-8", newline="") as file:
                self.rows = list(csv.DictReader(file))

    @cached_property
    def lists(self) -> dict[str, list[dict[str, Tensor]]]:
        """The slices of each list, at the size of a batch."""
        return {name: _spread(cases, self.most, self.sample) for name, cases in self.cases.items()}

    @torch.no_grad()
    def report(self, engine: Engine) -> None:
        """Measure, log and write."""
        self.begin(engine)
        iteration = engine.state.iteration
        if iteration <= self.objective.settings.pretrain_steps:
            return
        self.rows = [row for row in self.rows if int(row["iteration"]) < iteration]
        network, device = self.objective.network, next(self.objective.parameters()).device
        modes = [(part, part.training) for half in (network, self.objective.teacher) for part in half.modules()]
        for part, _ in modes:
            part.training = False
        for name, slices in self.lists.items():
            parts = [slices[first : first + BATCH] for first in range(0, len(slices), BATCH)]
            found = [self.measure(part, f"{name} {number}", device) for number, part in enumerate(parts)]
            self.add(iteration, name, torch.cat(found, dim=1) if found else torch.zeros(len(LABELS), 0, 0))
        for part, trains in modes:
            part.training = trains
        with atomic_path(self.path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ("iteration", "list", "class", "slices", *LABELS, "better"))
            writer.writeheader()
            writer.writerows(self.rows)

    def measure(self, part: Sequence[Mapping[str, Tensor]], key: str, device: torch.device) -> Tensor:
        """Dice of each label with the truth, ``labels, slices, classes``; NaN of classes that neither shows."""
        image, truth = (torch.stack([case[name] for case in part]).to(device) for name in ("image", "label"))
        logits, sam = self.objective.teacher.logits(self.objective.network, image), self.sam
        pseudo, truth = self.objective.pseudo_label(logits), truth.squeeze(1).long()
        keys = [f"{key} {number}" for number in range(len(part))]
        embeddings = self.cache.get(keys, lambda wanted: sam.refiner.embed(image[wanted])[0], device)
        refined = sam.refined(embeddings, sam.refiner.frame(image.shape[2:]), pseudo, logits)
        labels = torch.stack([pseudo, refined.label, sam.chosen(refined, pseudo, logits)])
        classes = torch.arange(1, logits.shape[1], device=device).view(-1, 1, 1)
        masks, right = labels[:, :, None] == classes, truth[:, None] == classes
        there = (right | masks[0]).flatten(2).any(dim=2)
        return torch.where(there, overlap(masks, right.expand_as(masks)), torch.nan).cpu()

    def add(self, iteration: int, name: str, dice: Tensor) -> None:
        """A row for each class that is there."""
        for number, (teacher, sam, used) in enumerate(dice.permute(2, 0, 1), start=1):
            there = ~teacher.isnan()
            if not there.any():
                continue
            means = {key: f"{x[there].mean():.4f}" for key, x in zip(LABELS, (teacher, sam, used))}
            means["better"] = f"{(sam > teacher)[there].float().mean():.4f}"
            row = {"iteration": str(iteration), "list": name, "class": str(number), "slices": str(int(there.sum()))}
            self.rows.append(row | means)
            self.logger.info(", ".join(f"{key} {value}" for key, value in self.rows[-1].items()))


def _spread(cases: Sequence[Mapping], most: int, sample: Callable) -> list[dict[str, Tensor]]:
    """At most so many slices with a class, spread evenly over the cases' slices, at the size of a batch."""
    places = []
    for number, case in enumerate(cases):
        shown = (
            case["label"].flatten(0, 2).any(dim=0).view(-1) if case["label"].dim() == 4 else case["label"].any()[None]
        )
        places += [(number, place) for place in shown.nonzero().flatten().tolist()]
    chosen = [places[n * len(places) // min(most, len(places))] for n in range(min(most, len(places)))]
    pairs = [({key: cases[number][key] for key in ("image", "label")}, place) for number, place in chosen]
    return [sample({k: v if v.dim() == 3 else v[..., place] for k, v in case.items()}) for case, place in pairs]
