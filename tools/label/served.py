"""A model that is served: a release, the options it offers, what it has learned since, and its process."""

from __future__ import annotations

import fnmatch
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from common.errors import InputError
from common.options.types import Boolean, Choice, Integer, Number, Option

from .labels import Labels
from .process import Worker
from .ranking import Scores
from .rounds import FEWEST, NEWEST, Rounds, write_lists

PRECISIONS = ("auto", "float32", "bfloat16", "float16")
EVERY = 10  # epochs of a training, at most: how often progress shows
IGNORED = {"client_id", "result_extension", "result_dtype", "result_compress", "restore_label_idx", "logging", "gpus"}
IGNORED |= {
    "multi_gpu",
    "device",
    "description",
    "name",
    "label_info",
    "user",
    "enqueue",
    "max_epochs",
    "model_filename",
}


class Served:
    """One model, by what ``serve`` has written of it; nothing is loaded before it is asked.

    Args:
        base: folder of the server.
        entry: ``{"name", "images", "python"}``: name of the model, pattern of the ids of its images, interpreter.
    """

    def __init__(self, base: Path, entry: Mapping[str, str]) -> None:
        self.name, self.pattern = entry["name"], entry.get("images", "*")
        self.folder = base / "model" / self.name
        self.release = self.folder / "release"
        self.python, self.log = entry["python"], base / "logs" / f"{self.name}.log"
        self.rounds = Rounds(self.folder, self.release / "models" / "model.pt")
        self.scores = Scores(base / "scores" / f"{self.name}.json")
        self.worker = Worker(self.python, self.release, self.log)
        self.meta = json.loads((self.release / "configs" / "metadata.json").read_text(encoding="utf-8"))
        self.train_config = json.loads((self.release / "configs" / "train.json").read_text(encoding="utf-8"))
        self.inference = json.loads((self.release / "configs" / "inference.json").read_text(encoding="utf-8"))
        names = self.meta["network_data_format"]["outputs"]["pred"]["channel_def"]
        classes = {str(name).replace("_", " "): int(number) for number, name in names.items() if int(number)}
        self.labels = Labels(self.name, classes)

    @property
    def dimension(self) -> int:
        """Of the images: models of slices segment volumes too."""
        return 3

    @property
    def description(self) -> str:
        known = f"{self.meta['task']} ({self.meta['name']}, version {self.meta['version']})"
        return f"{known}. {self.meta.get('intended_use', '')}".rstrip(". ") + "."

    def takes(self, id: str) -> bool:
        """Whether an image is one of this model's, by its name."""
        return fnmatch.fnmatchcase(id, self.pattern)

    def fits(self, image: Path) -> bool:
        """Whether the header of an image does not say that the network cannot take it."""
        if not image.name.endswith((".nii", ".nii.gz")):
            return True
        try:
            shape = nibabel.load(image).shape
        except (OSError, nibabel.filebasedimages.ImageFileError):
            return False
        channels = shape[3] if len(shape) == 4 else 1
        return len(shape) >= 3 and channels == int(self.inference.get("in_channels", 1))

    def infer_options(self) -> dict[str, Option]:
        found = {
            "weights": Option("weights", Choice(NEWEST, *self.rounds.names()), "which round of training"),
            "precision": Option("precision", Choice(*PRECISIONS), "number type"),
            "threads": Option("threads", Integer(1, 1024), "of the processor"),
            "uncertain_segment": Option("uncertain_segment", Boolean(), "show doubtful voxels as a segment"),
        }
        if "largest_component" in self.inference:
            found["largest_component"] = Option("largest_component", Boolean(), "keep the largest piece of each class")
        if "stride" in self.inference:
            found["fast"] = Option("fast", Boolean(), "few windows: much faster, not quite the same")
        if "stride_factor" in self.inference:
            found["stride_factor"] = Option("stride_factor", Number(0.1, 4), "windows so much further apart")
        return found

    def train_options(self) -> dict[str, Option]:
        found = {
            "iterations": Option("iterations", Integer(1, 10**6), "steps of training"),
            "precision": Option("precision", Choice(*PRECISIONS), "number type"),
            "threads": Option("threads", Integer(1, 1024), "of the processor"),
            "start_from": Option("start_from", Choice(NEWEST, *self.rounds.names()), "weights to go on from"),
        }
        if self.train_config.get("objective", {}).get("weights"):
            found["unlabeled_weight"] = Option(
                "unlabeled_weight", Number(0, 10), "factor of what unlabeled volumes teach"
            )
        return found

    def defaults(self, training: bool = False) -> dict[str, Any]:
        """What viewers show, in forms that all of them can: lists of text, whole numbers and truth values."""
        shown: dict[str, Any] = {"precision": list(PRECISIONS), "threads": usual_threads()}
        if training:
            shown |= {"iterations": self.usual_iterations(), "start_from": [NEWEST, *self.rounds.names()]}
            shown |= (
                {"unlabeled_weight": ["1", "0.5", "0.25", "0", "2"]}
                if "unlabeled_weight" in self.train_options()
                else {}
            )
            return shown
        shown |= {"weights": [NEWEST, *self.rounds.names()], "uncertain_segment": False}
        shown |= (
            {"largest_component": bool(self.inference.get("largest_component"))}
            if "largest_component" in self.inference
            else {}
        )
        shown |= {"fast": False} if "stride" in self.inference else {}
        return shown | ({"stride_factor": ["1", "1.5", "2"]} if "stride_factor" in self.inference else {})

    def usual_iterations(self) -> int:
        """Of a round: a fifth of the training that the weights come from, as it goes on from those."""
        planned = self.train_config.get("iterations")
        return max(50, int(planned) // 5) if isinstance(planned, int) else 200

    def checked(self, given: Mapping[str, Any], training: bool = False) -> tuple[dict[str, Any], list[str]]:
        """Values of all options, and names that nobody knows; ``InputError`` for a value that is none."""
        options = self.train_options() if training else self.infer_options()
        shown = self.defaults(training)
        values = {name: value[0] if isinstance(value, list) else value for name, value in shown.items()}
        for name, value in given.items():
            if name in options and value is not None:
                values[name] = value
        parsed = {name: options[name].parse(value, name) for name, value in values.items()}
        return parsed, sorted(str(name) for name in given if name not in options and name not in IGNORED)

    def segment(self, id: str | None, image: str, output: Path, options: Mapping[str, Any]) -> dict:
        """Write the segmentation of an image, class numbers, and note how sure the network is of it.

        Args:
            id: of the image among the studies; ``None`` for one that came with the request.
            image: its file or folder.
            output: ``.nii.gz`` to write.
            options: as ``checked`` returns them.
        """
        name, weights = self.rounds.weights(str(options["weights"]))
        answer = self.worker.ask(
            "segment", image=image, weights=str(weights), output=str(output), options=dict(options)
        )
        values = np.asarray(nibabel.load(output).dataobj)
        answer |= {"weights": name, "foreground": float((values > 0).mean())}
        if id is not None and options["weights"] == NEWEST:
            self.scores.put(id, name, score=answer["score"], foreground=answer["foreground"])
        return answer

    def known(self) -> dict[str, dict]:
        """Scores by image that the newest weights made."""
        return self.scores.of(self.rounds.weights()[0])

    def train(
        self,
        labeled: Mapping[str, Mapping[str, str]],
        unlabeled: Mapping[str, str],
        options: Mapping[str, Any],
        say: Callable[[str], Any] = sys.stdout.write,
    ) -> dict:
        """One round of training; its record.

        Raises:
            InputError: when there is no label yet, or in the words of the training.
        """
        if not labeled:
            raise InputError(f"{self.name}: no image has a label of this model yet; label at least one")
        held_out = self.rounds.held_out(list(labeled))
        _, weights = self.rounds.weights(str(options["start_from"]))
        length, epochs = _epochs(int(str(options["iterations"])), int(self.train_config.get("iterations") or 100))
        taught = [id for id in labeled if id not in held_out]
        facts = {"labeled": taught, "validation": held_out, "unlabeled": len(unlabeled), "options": dict(options)}
        name, folder = self.rounds.begin(epochs=epochs, epoch_length=length, **facts)
        write_lists(folder / "data", labeled, unlabeled, held_out)
        say(f"round {name}: {len(taught)} labeled, {len(held_out)} for validation, {len(unlabeled)} unlabeled volumes")
        with self.rounds.running(name):
            cases = [{"case": id, **labeled[id]} for id in held_out]
            given = {**options, "epochs": epochs, "epoch_length": length}
            before, after = self._go_on(name, folder, weights, cases, given)
        found = f"Dice {_shown(before)} -> {_shown(after)}"
        said = found if held_out else f"no validation, as fewer than {FEWEST} volumes are labeled"
        say(f"round {name}: done in {self.rounds.read(name)['seconds']:.0f} s; {said}")
        return self.rounds.read(name)

    def _go_on(
        self, name: str, folder: Path, weights: Path, cases: list[dict], options: Mapping[str, Any]
    ) -> tuple[float | None, float | None]:
        """Train a round in a process of its own and record how that ended; Dice of ``cases`` before and after."""
        started, worker = time.time(), Worker(self.python, self.release, self.log)
        classes, threads = 1 + len(self.labels.classes), {"threads": options["threads"]}
        measure = {"cases": cases, "classes": classes, "options": threads}
        try:
            before = mean(worker.ask("dice", weights=str(weights), **measure))
            lists = {"data": str(folder / "data"), "output": str(folder)}
            answer = worker.ask("train", weights=str(weights), options=options, **lists)
            after = mean(worker.ask("dice", weights=answer["weights"], **measure))
        except Exception as error:
            self.rounds.record(name, status="failed", error=" ".join(str(error).split()), seconds=time.time() - started)
            raise
        finally:
            worker.close()
        self.rounds.record(name, status="done", dice_before=before, dice=after, seconds=time.time() - started)
        return before, after


def _shown(dice: float | None) -> str:
    return "unknown" if dice is None else f"{dice:.3f}"


def usual_threads() -> int:
    """As many as this process may use."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdecimal() and int(given):
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def mean(scores: Mapping[str, float | None]) -> float | None:
    known = [score for score in scores.values() if score is not None]
    return round(sum(known) / len(known), 4) if known else None


def _epochs(iterations: int, planned: int) -> tuple[int, int]:
    """Length of an epoch and number of them: a divisor of the planned length, so that schedules stay theirs."""
    wanted = max(1, iterations // EVERY)
    divisors = [n for n in range(1, planned + 1) if planned % n == 0] if planned < 10**6 else [100]
    length = max((n for n in divisors if n <= wanted), default=1)
    return length, max(1, -(-iterations // length))


def find_models(base: Path, names: Sequence[Mapping[str, str]]) -> dict[str, Served]:
    """The models of a server, in order."""
    return {entry["name"]: Served(base, entry) for entry in names}
