"""``python -m tools nnunet``: nnU-Net v2 on the labeled cases of a data set, as a row beside the methods here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from common.data import VolumePreprocessing
from common.datasets import load_datalist
from common.errors import InputError, require_choice, require_whole
from common.files import atomic_path, read_json
from common.metrics.overlap import dice

DATASET = "Dataset001_cases"
LENGTHS = (1, 5, 10, 20, 50, 100, 250, 500, 750, 1000)  # epochs that nnU-Net has trainers for
STEPS = 250  # of an epoch
FOLDERS = {"nnUNet_raw": "raw", "nnUNet_preprocessed": "preprocessed", "nnUNet_results": "results"}
ENTRY_POINTS = {
    "plan": "nnunetv2.experiment_planning.plan_and_preprocess_entrypoints.plan_and_preprocess_entry",
    "train": "nnunetv2.run.run_training.run_training_entry",
    "predict": "nnunetv2.inference.predict_from_raw_data.predict_entry_point",
}
# nnU-Net imports its transformers, which are not used here, whatever it trains; they take blocks from timm, which needs
# a torchvision that fits torch. Where it cannot be imported, empty classes stand in for them.
BLOCKS = ("timm", "timm.layers", "timm.models", "timm.models.eva")
EMPTY = """from torch import nn


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (nn.Module,), {})
"""


def nnunet(
    dataset_dir: str,
    output_dir: str,
    python: str = sys.executable,
    splits: str = "splits.json",
    labeled: int | None = None,
    group: str | None = None,
    spacing: Sequence[float] | None = None,
    epochs: int | Sequence[int] = (10, 20, 50),
    configuration: str = "3d_fullres",
    channel: str = "MRI",
    report: str = "test",
    device: str = "cuda",
    processes: int = 2,
) -> dict:
    """Train nnU-Net on the labeled cases alone and predict the others: ``nnunet data/la2018 runs/nnunet --labeled 4``.

    nnU-Net runs as it is, in an environment of its own, on all labeled cases (fold ``all``), planned from them alone.
    It is trained for each number of epochs (of 250 steps) in turn, its rate decaying over just these, until the mean
    Dice of the validation list no longer rises; the report list is predicted by the best of them. Goes on where a
    killed run stopped. ``nnunet.json`` says what was run, how long it took and what it measured.

    Args:
        dataset_dir: folder of the data set.
        output_dir: of everything; ``predictions`` holds the report list.
        python: of an environment with nnunetv2.
        splits: lists inside the data set.
        labeled: so many cases (patients) are labeled, the first ones; by default the list ``labeled``.
        group: template of names, such as '{patient}_*'.
        spacing: resample images and labels to it first, as the bundles do; the predictions lie on that grid.
        epochs: to try, ascending; of the lengths that nnU-Net brings.
        configuration: 2d or 3d_fullres.
        channel: decides nnU-Net's normalization: MRI (z-score), CT, noNorm.
        report: list to predict, validation or test.
        device: cuda or cpu.
        processes: of nnU-Net's preprocessing and export.
    """
    lengths = [epochs] if isinstance(epochs, int) else list(epochs)
    require_choice(configuration=(configuration, ("2d", "3d_fullres")), device=(device, ("cuda", "cpu")))
    require_choice(report=(report, ("validation", "test")))
    for length in lengths:
        require_choice(epochs=(length, LENGTHS))
    require_whole(1, labeled=labeled, processes=processes)
    versions = _versions(python)
    cases = load_datalist(dataset_dir, labeled=labeled, group=group, splits=splits)
    if not cases[report] or (len(lengths) > 1 and not cases["validation"]):
        raise InputError(f"{dataset_dir}/{splits}: expected lists validation and {report} (report)")
    root = Path(output_dir).absolute()
    settings = {
        "cases": {role: [entry["case"] for entry in cases[role]] for role in ("labeled", "validation", report)},
        "spacing": spacing and list(spacing), "configuration": configuration, "channel": channel,
    }  # fmt: skip
    _require_same(root / "settings.json", settings)
    run = Environment(root, python, device)
    if not run.done("plan"):
        _write(root, cases, report, spacing, channel)
        with run.step("plan"):
            run("plan", "-d", "1", "-c", configuration, "-np", str(processes), "-npfp", str(processes))
    tried: dict[int, dict] = {}
    for length in sorted(lengths):
        tried[length] = _trained(run, length, configuration, cases, processes)
        sys.stdout.write(f"nnU-Net, {length} epochs: {_said(tried[length])}\n")
        scores = [row["validation Dice"] for row in tried.values()]
        if len(scores) > 1 and scores[-1] <= scores[-2]:
            break
    best = max(tried, key=lambda length: tried[length]["validation Dice"])
    target = root / "predictions"
    if not run.done("report"):
        with run.step("report"):
            _predict(run, best, configuration, root / "raw" / DATASET / f"images_{report}", target, processes)
    record = {"versions": versions, **settings, "device": device, "tried": tried, "epochs": best,
              "steps": best * STEPS, "seconds": run.seconds}  # fmt: skip
    with atomic_path(root / "nnunet.json") as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{target}: {len(cases[report])} predictions by {best} epochs; {root / 'nnunet.json'}\n")
    return record


class Environment:
    """nnU-Net's three folders below ``root``, its commands, and which steps are done and how long they took."""

    def __init__(self, root: Path, python: str, device: str) -> None:
        self.root, self.python, self.device = root, python, device
        self.marks = root / "steps.json"
        self.stand_ins = None if _imports(python, "timm.layers") else _write_stand_ins(root / "stand_ins")
        self.seconds: dict[str, float] = {}
        if self.marks.is_file():
            self.seconds = read_json(self.marks, "it tells which steps are done; remove it to begin anew", dict)

    def done(self, step: str) -> bool:
        return step in self.seconds

    def step(self, name: str) -> Step:
        return Step(self, name)

    def __call__(self, entry: str, *arguments: str) -> None:
        """Run a command of nnU-Net; its output goes to a file.

        Raises:
            InputError: with the last words, when it fails.
        """
        module, _, function = ENTRY_POINTS[entry].rpartition(".")
        code = f"import sys; sys.argv[0] = 'nnunet'; from {module} import {function} as entry; entry()"
        places = {name: str(self.root / folder) for name, folder in FOLDERS.items()}
        if self.stand_ins:
            places["PYTHONPATH"] = os.pathsep.join([str(self.stand_ins), os.environ.get("PYTHONPATH", "")])
        log = self.root / f"{entry}.log"
        with log.open("ab") as file:
            command = [self.python, "-c", code, *arguments]
            ended = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env={**os.environ, **places})
        if ended.returncode:
            words = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no message"]
            raise InputError(f"{log}: nnU-Net's {entry} failed ({words[-1][:160]})")


class Step:
    """Times a step and marks it as done when it succeeds."""

    def __init__(self, environment: Environment, name: str) -> None:
        self.environment, self.name = environment, name

    def __enter__(self) -> None:
        self.started = time.perf_counter()

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is None:
            self.environment.seconds[self.name] = round(time.perf_counter() - self.started, 1)
            with atomic_path(self.environment.marks) as temporary:
                temporary.write_text(json.dumps(self.environment.seconds, indent=1), encoding="utf-8")


def _trained(run: Environment, length: int, configuration: str, cases: Mapping, processes: int) -> dict:
    """Train for ``length`` epochs, on from a checkpoint if there is one; Dice of the validation list."""
    trainer, name = _trainer(length), f"train {length}"
    folder = run.root / "results" / DATASET / f"{trainer}__nnUNetPlans__{configuration}" / "fold_all"
    if not run.done(name):
        shutil.rmtree(folder / "validation", ignore_errors=True)
        more = ["--c"] if (folder / "checkpoint_latest.pth").is_file() else []
        with run.step(name):
            run("train", "1", configuration, "all", "-tr", trainer, "-device", run.device, *more)
    found = {"epochs": length, "steps": length * STEPS, "seconds": run.seconds[name], "validation Dice": 0.0}
    if cases["validation"]:
        target = run.root / f"validation_{length}"
        if not run.done(f"validate {length}"):
            with run.step(f"validate {length}"):
                images = run.root / "raw" / DATASET / "images_validation"
                _predict(run, length, configuration, images, target, processes)
        found["validation Dice"] = _mean_dice(target, run.root / "labels_validation")
    return found


def _predict(run: Environment, length: int, configuration: str, images: Path, target: Path, processes: int) -> None:
    run("predict", "-i", str(images), "-o", str(target), "-d", "1", "-c", configuration, "-f", "all",
        "-tr", _trainer(length), "-chk", "checkpoint_final.pth", "-device", run.device,
        "-npp", str(processes), "-nps", str(processes))  # fmt: skip


def _trainer(length: int) -> str:
    return "nnUNetTrainer" if length == 1000 else f"nnUNetTrainer_{length}epoch" + ("s" if length > 1 else "")


def _write(root: Path, cases: Mapping, report: str, spacing: Sequence[float] | None, channel: str) -> None:
    """Images and labels in nnU-Net's form: labeled ones to train on, the others to predict, their labels apart."""
    raw = root / "raw" / DATASET
    shutil.rmtree(raw, ignore_errors=True)
    load = VolumePreprocessing(spacing=spacing, patch_size=[1, 1, 1])
    values: set[int] = set()
    for role, images, labels in (
        ("labeled", raw / "imagesTr", raw / "labelsTr"),
        *((role, raw / f"images_{role}", root / f"labels_{role}") for role in {"validation", report}),
    ):
        for folder in (images, labels):
            folder.mkdir(parents=True, exist_ok=True)
        for entry in cases[role]:
            decoded = load(entry)
            affine = np.asarray(decoded["image"].affine, float)
            for channel_number, image in enumerate(np.asarray(decoded["image"], np.float32)):
                target = images / f"{entry['case'].replace('/', '_')}_{channel_number:04d}.nii.gz"
                nibabel.save(nibabel.Nifti1Image(image, affine), target)
            label = np.asarray(decoded["label"][0]).astype(np.uint8)
            nibabel.save(nibabel.Nifti1Image(label, affine), labels / f"{entry['case'].replace('/', '_')}.nii.gz")
            values |= set(np.unique(label).tolist()) if role == "labeled" else set()
    channels = {str(number): channel for number in range(len(decoded["image"]))}
    content = {"channel_names": channels, "numTraining": len(cases["labeled"]), "file_ending": ".nii.gz",
               "labels": {"background": 0, **{f"class {value}": value for value in range(1, max(values) + 1)}},
               "overwrite_image_reader_writer": "NibabelIO"}  # fmt: skip
    (raw / "dataset.json").write_text(json.dumps(content, indent=1), encoding="utf-8")


def _mean_dice(predictions: Path, labels: Path) -> float:
    """Mean over cases of the mean Dice of the classes in any label."""
    pairs = [(predictions / path.name, path) for path in sorted(labels.glob("*.nii.gz"))]
    maps = [[np.asarray(nibabel.load(path).dataobj) for path in pair] for pair in pairs]
    classes = sorted({int(value) for _, label in maps for value in np.unique(label)} - {0})
    return float(np.mean([[dice(found == c, label == c) for c in classes] for found, label in maps]))


def _said(row: Mapping) -> str:
    return f"{row['steps']:,} steps in {row['seconds']:,.0f} s, validation Dice {100 * row['validation Dice']:.2f}"


def _imports(python: str, module: str) -> bool:
    return not subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode


def _write_stand_ins(folder: Path) -> Path:
    for name in BLOCKS:
        package = folder.joinpath(*name.split("."))
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").write_text(EMPTY, encoding="utf-8")
    return folder


def _versions(python: str) -> dict[str, str]:
    code = (
        "import json, torch; from importlib.metadata import version; import nnunetv2; "
        "print(json.dumps({'nnunetv2': version('nnunetv2'), 'torch': torch.__version__}))"
    )
    if shutil.which(python) is None:
        raise InputError(f"{python}: no such program; expected the Python of an environment with nnunetv2")
    found = subprocess.run([python, "-c", code], capture_output=True, text=True)
    if found.returncode:
        words = (found.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(f"{python}: expected the Python of an environment with nnunetv2 ({words[:160]})")
    return json.loads(found.stdout.strip().splitlines()[-1])


def _require_same(path: Path, settings: Mapping) -> None:
    """Keep what a folder is about beside it; another run does not mix with it."""
    if path.is_file():
        if read_json(path, "it tells what the folder is about") != settings:
            raise InputError(f"{path.parent}: holds a run of other cases or settings; choose another output_dir")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
