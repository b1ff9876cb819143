"""Script, run isolated: one released model that segments and trains on request, in a process of its own.

It reads requests as JSON objects, one a line, and answers each with a line. A release brings its own ``common``, so
that models of any two versions can be served side by side.
"""

from __future__ import annotations

import csv
import json
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from monai.bundle import ConfigParser, ConfigWorkflow

ONE_SET = {
    "layout": "lists",
    "labeled_domain": None,
    "source": None,
    "ratios": None,
    "targets": None,
    "encoding": "index",
}
DOUBTFUL = 0.5  # uncertainty of a voxel from which it counts


class Model:
    """A release in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def workflow(self, name: str, kind: str, **options: Any) -> ConfigWorkflow:
        configs = self.folder / "configs"
        return ConfigWorkflow(
            config_file=str(configs / f"{name}.json"),
            meta_file=str(configs / "metadata.json"),
            logging_file=str(configs / "logging.conf"),
            workflow_type=kind,
            bundle_root=str(self.folder),
            **options,
        )

    def config(self, name: str) -> dict:
        return json.loads((self.folder / "configs" / f"{name}.json").read_text(encoding="utf-8"))

    def segment(self, image: str, weights: str, output: str, options: Mapping[str, Any]) -> dict:
        """Write ``output``, class numbers, and ``uncertainty`` beside it, and tell how sure the network is."""
        started = time.monotonic()
        torch.set_num_threads(int(str(options.get("threads") or os.cpu_count() or 1)))
        inference = self.config("inference")
        known = {"amp": options.get("precision", "auto"), "stride_factor": options.get("stride_factor")}
        known |= {"stride": "fast", "stride_factor": None} if options.get("fast") else {}
        given = {key: value for key, value in known.items() if key in inference and value is not None}
        shown = {"largest_component": options.get("largest_component", False)}
        with tempfile.TemporaryDirectory() as folder:
            workflow = self.workflow(
                "inference", "infer", inputs=[image], output_dir=folder, checkpoint=weights, uncertainty="entropy",
                **{f"displayable_configs#{key}": value for key, value in shown.items() if key in inference},
                **{"postprocessing#encoding": "index"} if "encoding" in inference else {},
                **given,
            )  # fmt: skip
            workflow.initialize()
            workflow.run()
            workflow.finalize()
            files = sorted((f for f in Path(folder).glob("*.*") if f.suffix != ".csv"), key=lambda file: len(file.name))
            label, doubt = files[0], next((file for file in files if "_uncertainty" in file.name), None)
            shutil.copyfile(label, output)
            answer: dict[str, Any] = {"ending": "".join(label.suffixes)[-7:], "score": None}
            if doubt is not None:
                target = Path(output).with_name("uncertainty.nii.gz")
                shutil.copyfile(doubt, target)
                answer |= {"uncertainty": str(target), "score": score(label, doubt)}
            answer |= expected_dice(Path(folder))
        return answer | {"seconds": round(time.monotonic() - started, 2)}

    def train(self, data: str, output: str, weights: str, options: Mapping[str, Any]) -> dict:
        """Train from ``weights`` on the lists in ``data``; the new ones are ``model.pt`` in ``output``."""
        torch.set_num_threads(int(str(options["threads"] or os.cpu_count() or 1)))
        config = self.config("train")
        first = {"_target_": loader(config), "network": "@network", "path": weights, "_requires_": "@add_path"}
        epochs, length = int(str(options["epochs"])), int(str(options["epoch_length"]))
        given: dict[str, Any] = {name: value for name, value in ONE_SET.items() if name in config}
        given |= {"studies": "", "amp": options["precision"], "val_interval": 1, "progress": False, "overwrite": True}
        workflow = self.workflow(
            "train", "train", dataset_dir=data, output_dir=output, ckpt_dir=output, epoch_length=length,
            **{"train#trainer#max_epochs": epochs, "train#dataloader#supervised_fallback": True},
            **{"train#handlers": [first, *config["train"]["handlers"]]},
            **{name: value for name, value in given.items() if name in config},
        )  # fmt: skip
        workflow.initialize()
        weigh(workflow.parser, float(str(options.get("unlabeled_weight", 1))))
        workflow.run()
        workflow.finalize()
        return {"weights": str(Path(output) / "model.pt")}

    def dice(self, cases: list[Mapping[str, str]], weights: str, classes: int, options: Mapping[str, Any]) -> dict:
        """Dice of every case, mean over the classes, in the geometry of the files."""
        found = {}
        for case in cases:
            with tempfile.TemporaryDirectory() as folder:
                place = str(Path(folder) / "label.nii.gz")
                self.segment(case["image"], weights, place, options)
                found[case["case"]] = overlap(voxels(place), voxels(case["label"]), classes)
        return found


def expected_dice(folder: Path) -> dict[str, list[float]]:
    """What Dice inference expects of its one image, and the interval; nothing where the network is not calibrated."""
    table = folder / "expected_dice.csv"
    if not table.is_file():
        return {}
    with table.open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    return {"expected_dice": [float(row[name]) for name in ("expected", "low", "high")]}


def loader(config: Mapping) -> str:
    """The release's own name for what loads weights."""
    own = next(h["_target_"] for h in config["train"]["handlers"] if str(h.get("_target_", "")).endswith("RunHandler"))
    return own.rpartition(".")[0] + ".LoadWeights"


def weigh(parser: ConfigParser, factor: float) -> None:
    """Scale the terms that the method weighs, which are those of unlabeled volumes."""
    objective = parser.get_parsed_content("objective")
    for name, weight in objective.weights.items():
        scaled = (lambda step, weight=weight: factor * weight(step)) if callable(weight) else factor * weight
        objective.weights[name] = scaled


def voxels(path: str | Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj)


def overlap(prediction: np.ndarray, label: np.ndarray, classes: int) -> float | None:
    """Dice, mean over the classes that either holds; ``None`` where neither holds any."""
    parts = [(prediction == number, label == number) for number in range(1, classes)]
    scores = [2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in parts if a.any() or b.any()]
    return float(np.mean(scores)) if scores else None


def score(label: Path, unsure: Path) -> float:
    """How unsure the network is of an image whose segmentation and uncertainty lie in these files, see ``doubt``."""
    return doubt(voxels(label), voxels(unsure))


def doubt(found: np.ndarray, unsure: np.ndarray) -> float:
    """How unsure a network is of an image, 0 to 1, whatever share of it the organ fills.

    The mean uncertainty over voxels that are segmented or doubtful; 1 where there are none, as nothing was found.

    Args:
        found: class of each voxel, 0 for the background.
        unsure: uncertainty of each, 0 to 1.
    """
    concerned = (found > 0) | (unsure > DOUBTFUL)
    return float(unsure[concerned].mean()) if concerned.any() else 1.0


def one_line(error: BaseException) -> str:
    """The words of the cause that explains itself, else of the first one."""
    causes = [error]
    while (following := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(following)
    own = [cause for cause in causes if type(cause).__name__ == "InputError"]
    cause = (own or causes[-1:])[0]
    words = " ".join(str(cause).split())
    return words if own else f"{type(cause).__name__}: {words}"


def main(folder: Path) -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever libraries print is the log
    model = Model(folder)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"ok": getattr(model, request.pop("do"))(**request)}
        except (Exception, SystemExit) as error:
            logging.getLogger("worker").exception("request failed")
            own = any(type(e).__name__ == "InputError" for e in (error, error.__cause__, error.__context__))
            answer = {"error": one_line(error), "input": own}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
