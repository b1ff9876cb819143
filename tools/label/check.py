"""The whole way of a bundle through MONAI Label: serve, infer, label, train with unlabeled volumes, infer again."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel
import numpy as np
import torch

from common.data import Phantom, write_phantoms
from common.datasets import load_datalist
from common.errors import InputError
from common.files import atomic_path
from common.metrics import dice
from common.runs import assumed

from ..package import package
from ..run import bundle_folder, layer_files
from .environment import build_environment
from .server import LabelServer

MARK = ".label_check"
WRONG = {"largest_component": "perhaps", "uncertainty_map": "$__import__('os').getpid()"}  # values of a request


def label_check(
    bundle: str,
    dataset: str = "demo",
    data: str | None = None,
    weights: str | None = None,
    labeled: int = 2,
    unlabeled: int = 10,
    test: int = 4,
    epochs: int = 4,
    output: str = "label_check",
    environment: str = ".venv-label",
    **options: object,
) -> None:
    """Package a bundle, serve it with a real MONAI Label, and train it there semi-supervised.

    The first call builds the server's own environment. Everything is written to ``output``: the archive, the studies
    folder, ``server.log``, predictions, and the figures as ``label_check.json``. Dice is measured on cases that take
    no part in training. The exit code tells whether all steps did what they must.

    Args:
        bundle: name of a bundle; one of slices segments the slices of volumes.
        dataset: configuration file of the data set.
        data: the data set's folder; phantoms by default.
        weights: to start from; random ones by default.
        labeled: cases whose labels are handed in.
        unlabeled: cases that lie in the studies folder without labels.
        test: cases held out from the end of the training list.
        epochs: of training, each of ``epoch_length`` iterations.
        output: folder of the results; must be new or a folder of an earlier check, which is replaced.
        environment: folder of the virtual environment with MONAI Label.
        options: values that override the configuration, by id: ``--epoch_length 20``.
    """
    folder = _fresh(Path(output).absolute())
    say = Transcript()
    python = build_environment(environment)
    say(f"environment {environment}")
    torch.manual_seed(0)
    root = Path(data) if data else _phantoms(folder / "data", labeled, unlabeled, test)
    roles = load_datalist(root, labeled=labeled, validation=test)
    if len(roles["labeled"]) < labeled or len(roles["unlabeled"]) < unlabeled or not roles["validation"]:
        raise InputError(f"{root}: too few cases for {labeled} labeled, {unlabeled} unlabeled and {test} test cases")
    roles["unlabeled"] = roles["unlabeled"][:unlabeled]
    studies = _studies(folder / "studies", [*roles["labeled"], *roles["unlabeled"]])
    name = _app(python, folder, bundle, dataset, weights, options)
    say(f"{name} packaged for {dataset}; {len(roles['labeled'])} cases to label, {unlabeled} without labels")
    with LabelServer(python, folder, studies, name) as server:
        say(f"server at {server.address}")
        results = _session(server, roles, folder, epochs, say)
    with atomic_path(folder / "label_check.json") as temporary:
        temporary.write_text(
            json.dumps({"bundle": bundle, "dataset": dataset, **results}, indent=1) + "\n", encoding="utf-8"
        )
    say(f"done; {folder / 'label_check.json'}")


class Transcript:
    """Lines with the seconds since the start."""

    def __init__(self) -> None:
        self.started = time.monotonic()

    def __call__(self, text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - self.started:6.0f} s  {text}\n")
        sys.stdout.flush()


def _session(server: LabelServer, roles: Mapping, folder: Path, epochs: int, say: Transcript) -> dict:
    held_out, unlabeled = roles["validation"], roles["unlabeled"]
    model = server.info()["models"][server.name]
    say(f"/info/: labels {model['labels']}, options {sorted(set(model['config']) - {'device', 'model_filename'})}")
    before = _measure(server, held_out, folder / "before", model["labels"])
    say(f"infer before training: {_percent(before)}")
    for case in unlabeled[:1]:
        answer = server.infer(_id(case), folder / "uncertainty.nii.gz", uncertainty_map=True)
        values = np.asarray(nibabel.load(answer).dataobj)
        _require(values.dtype == np.uint8 and 0 < values.max() <= 100, "the uncertainty must be 0 to 100 percent")
        say(f"infer with uncertainty_map: 0 to {values.max()} percent")
    for case in roles["labeled"]:
        server.put_label(_id(case), Path(case["label"]))
    say(f"{len(roles['labeled'])} labels handed in; epistemic score: {json.dumps(server.score())[:120]}")
    weights = folder / "monaibundle" / "model" / server.name / "models" / "model.pt"
    untrained, started = weights.read_bytes(), time.monotonic()
    used = server.train(max_epochs=epochs, val_split=0, pretrained=True)
    seconds = round(time.monotonic() - started, 1)
    say(f"trained {epochs} epochs in {seconds:.0f} s on {used[0]} labeled and {used[1]} unlabeled volumes or slices")
    volumes, slices = zip(*((len(cases), sum(map(_slices, cases))) for cases in (roles["labeled"], unlabeled)))
    _require(weights.read_bytes() != untrained, "training must replace model.pt")
    _require(used in (volumes, slices), f"expected {volumes[0]} labeled and {volumes[1]} unlabeled volumes in training")
    after = _measure(server, held_out, folder / "after", model["labels"])
    say(f"infer after training: {_percent(after)}")
    image = Path(held_out[0]["image"])
    _require(
        np.array_equal(_voxels(folder / "after" / image.name), _voxels(_alone(server, image, folder / "alone"))),
        "the server's answer must be that of the bundle's own inference",
    )
    say("the bundle's own inference, without any option, gives the same answer voxel by voxel")
    for name, value in WRONG.items():
        reason = server.refusal(_id(unlabeled[0]), folder / "refused.nii.gz", **{name: value})
        _require(name in reason and "expected" in reason, f"{name} {value} must be refused in a line that names it")
        say(f"infer with {name} {value}: {reason.partition(': ')[2]}")
    return {"labeled": volumes[0], "unlabeled": volumes[1], "train_seconds": seconds, "before": before, "after": after}


def _slices(case: Mapping) -> int:
    return nibabel.load(case["image"]).shape[-1]


def _measure(server: LabelServer, cases: Sequence[Mapping], folder: Path, labels: Mapping) -> dict[str, float]:
    """Dice of the server's answers, mean over the classes, by case."""
    result = {}
    for case in cases:
        image = Path(case["image"])
        answer = nibabel.load(server.infer(image, folder / image.name))
        source, label = nibabel.load(image), np.asarray(nibabel.load(case["label"]).dataobj)
        same = answer.shape == source.shape and np.allclose(answer.affine, source.affine, atol=1e-3)
        _require(same and answer.get_data_dtype() == np.uint8, f"{case['case']}: geometry or type of the answer")
        pred = np.asarray(answer.dataobj)
        result[case["case"]] = float(np.mean([dice(pred == k, label == k) for k in labels.values()]))
    return result


def _alone(server: LabelServer, image: Path, folder: Path) -> Path:
    """What the served bundle's inference writes for an image in a process of its own, in the server's environment."""
    root = server.folder / "monaibundle" / "model" / server.name
    command = [str(server.python), "-m", "monai.bundle", "run", "--config_file", str(root / "configs/inference.json")]
    options = {"bundle_root": root, "inputs": image, "output_dir": folder}
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    done = subprocess.run([*command, *words], cwd=server.folder, env=server.environment, capture_output=True, text=True)
    _require(done.returncode == 0, f"inference of the bundle by itself: {(done.stderr.splitlines() or ['failed'])[-1]}")
    return folder / image.name


def _voxels(file: Path) -> np.ndarray:
    return np.asarray(nibabel.load(file).dataobj)


def _app(
    python: Path, folder: Path, bundle: str, dataset: str, weights: str | None, options: Mapping[str, object]
) -> str:
    """Copy MONAI Label's app for bundles, put the packaged bundle into it, and return the bundle's name."""
    weights = weights or str(_random_weights(folder / "random.pt", bundle, dataset, options))
    archive = Path(package(bundle, dataset, weights, output=str(folder), dirty=True, **options))
    name = archive.stem.rpartition("_v")[0]
    command = [str(python), "-m", "monailabel.main", "apps", "--download", "--name", "monaibundle"]
    subprocess.run([*command, "--output", str(folder)], check=True, capture_output=True)
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder / "monaibundle" / "model")
    return name


def _random_weights(path: Path, bundle: str, dataset: str, options: Mapping[str, object]) -> Path:
    root = bundle_folder(bundle)
    sys.path.insert(0, str(root))
    network = assumed(root, layer_files(root, dataset), options).component("network_def")
    torch.save(network.state_dict(), path)
    return path


def _phantoms(folder: Path, labeled: int, unlabeled: int, test: int) -> Path:
    family = Phantom(size=(64, 64, 32), classes=2, difficulty=0.3)
    return write_phantoms(folder, family, labeled + unlabeled + test, unlabeled=0, validation=0, test=0)


def _studies(folder: Path, cases: Sequence[Mapping]) -> Path:
    folder.mkdir()
    for case in cases:
        shutil.copyfile(case["image"], folder / Path(case["image"]).name)
    return folder


def _fresh(folder: Path) -> Path:
    """The folder, empty; one that holds anything but an earlier check is left alone."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).is_file():
        raise InputError(f"{folder}: not empty and no earlier check; give another folder (output)")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARK).touch()
    return folder


def _id(case: Mapping) -> str:
    """What the server calls an image: the name of its file without the ending."""
    return Path(case["image"]).name.partition(".nii")[0]


def _percent(scores: Mapping[str, float]) -> str:
    return (
        f"Dice {100 * np.mean(list(scores.values())):.1f} % on {len(scores)} cases that are not in the studies folder"
    )


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise InputError(f"MONAI Label check: {what}")
