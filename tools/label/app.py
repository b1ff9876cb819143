"""The MONAI Label app: models of this collection, with labels, strategies and trainings of their own."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK as sitk
from fastapi import HTTPException
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType
from monailabel.interfaces.tasks.scoring import ScoringMethod
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.interfaces.tasks.train import TrainTask

from common.errors import InputError

from . import ranking
from .labels import UNCERTAIN, colors, merged
from .process import FailedError
from .served import NEWEST, Served, find_models
from .studies import OFFERED, Studies

DOUBTFUL = 0.5
STRATEGIES = {
    "uncertainty": "the image that the network is least sure of",
    "coverage": "the image least like those that are labeled",
    "foreground": "a random image that shows something to label",
    "random": "a random image",
}
FORMATS = (".nii.gz", ".nii", ".nrrd", ".seg.nrrd")


class FewLabelApp(MONAILabelApp):
    """Serves what ``serve.json`` in the app's folder lists; nothing is loaded before it is asked for."""

    def __init__(self, app_dir: str, studies: str, conf: Mapping[str, str]) -> None:
        self.base = Path(app_dir)
        self.served = find_models(
            self.base, json.loads((self.base / "serve.json").read_text(encoding="utf-8"))["models"]
        )
        self.colors = colors(merged([model.labels for model in self.served.values()]))
        super().__init__(app_dir, studies, dict(conf or {}), name="Few-label segmentation",
                         description="Segmentation that learns from few labels and many unlabeled images")  # fmt: skip

    def init_datastore(self) -> Studies:
        return Studies(self.base, Path(self.studies), [model.labels for model in self.served.values()])

    def init_infers(self) -> dict:
        return {name: Segment(self, model) for name, model in self.served.items()}

    def init_trainers(self) -> dict:
        return {name: Train(self, model) for name, model in self.served.items()}

    def init_strategies(self) -> dict:
        return {name: Next(self, name) for name in STRATEGIES}

    def init_scoring_methods(self) -> dict:
        return {name: Score(self, model) for name, model in self.served.items()}

    def init_batch_infer(self) -> Any:
        return {}

    def model(self, name: str | None) -> Served:
        """A model by name, the first one by default; 404 for one that is not served."""
        name = name or next(iter(self.served))
        if name not in self.served:
            raise HTTPException(404, f"{name}: no such model; there are {', '.join(self.served)}")
        return self.served[name]

    def ids(self, model: Served) -> tuple[list[str], list[str]]:
        """Images with a label of a model, and its other images."""
        store = self.datastore()
        others = [id for id in store.get_unlabeled_images(model.name) if model.takes(id)]
        return store.get_labeled_images(model.name), others

    def info(self) -> dict:
        """What viewers are told; the training that goes on, or was last, comes first, as they show no other."""
        meta = super().info()
        stats = {name: found for name, found in meta["train_stats"].items() if found}
        order = sorted(stats, key=lambda name: self.served[name].rounds.last()[1].get("started", 0), reverse=True)
        return {**meta, "train_stats": {name: stats[name] for name in order}, "label_colors": self.colors}

    def infer(self, request: dict, datastore: Studies | None = None) -> dict:
        """Segment an image of the studies, of a session or of the request itself, which the web part has looked at."""
        model, image = self.model(request.get("model")), request["image"]
        id = None
        if "session" not in request and not request.get("uploaded"):
            id, image = image, self.datastore().get_image_uri(image)
            if not image:
                raise HTTPException(404, f"{id}: no such image among the studies")
        file, answer = Segment(self, model)({**request, "image": image, "id": id})
        return {"label": file, "tag": "original", "file": file, "params": answer}


class Segment(InferTask):
    """A model's segmentation of an image."""

    def __init__(self, app: FewLabelApp, model: Served) -> None:
        super().__init__(InferType.SEGMENTATION, dict(model.labels.classes), model.dimension, model.description)
        self.app, self.served = app, model

    def is_valid(self) -> bool:
        return True

    def config(self) -> dict:
        return self.served.defaults()

    def info(self) -> dict:
        colors = {name: self.app.colors[name] for name in self.served.labels.classes}
        return {**super().info(), "label_colors": colors, "weights": self.served.rounds.weights()[0]}

    def __call__(self, request: dict) -> tuple[str, dict]:
        options, unknown = options_of(self.served, request)
        ending = str(request.get("result_extension") or ".nii.gz")
        if ending not in FORMATS:
            raise HTTPException(422, f"result_extension {ending[:20]}: expected one of {', '.join(FORMATS)}")
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "label.nii.gz"
            try:
                answer = self.served.segment(request.get("id"), str(request["image"]), output, options)
            except InputError as error:
                raise HTTPException(422, str(error)) from None
            except FailedError as error:
                raise HTTPException(500, str(error)) from None
            names = dict(sorted(self.served.labels.classes.items(), key=lambda item: item[1]))
            doubt = answer.pop("uncertainty", None)
            if options["uncertain_segment"] and doubt:
                names[UNCERTAIN] = add_segment(output, Path(doubt), max(names.values()) + 1)
            if doubt and request.get("id"):
                answer["uncertainty"] = self.keep(request["id"], Path(doubt))
            file = self.written(output, ending)
        answer |= {"label_names": names, "label_colors": {n: self.app.colors.get(n, [255, 255, 0]) for n in names}}
        return file, answer | (
            {"warnings": [f"{name}: no option of {self.served.name}" for name in unknown]} if unknown else {}
        )

    def keep(self, id: str, doubt: Path) -> dict[str, str]:
        """Keep the uncertainty as an image of its own; where it is to be had."""
        tag = f"{self.served.name}.uncertainty"
        self.app.datastore().keep_map(id, doubt, tag)
        return {"tag": tag, "label": id, "url": f"/datastore/label?label={id}&tag={tag}"}

    @staticmethod
    def written(label: Path, ending: str) -> str:
        """A file of its own in the format that the viewer asked for."""
        with tempfile.NamedTemporaryFile(suffix=ending, delete=False) as file:
            target = file.name
        image = sitk.Cast(sitk.ReadImage(str(label)), sitk.sitkUInt8)
        sitk.WriteImage(image, target, useCompression=True)
        return target


class Train(TrainTask):
    """A round of training with the labels of one model, and all its other images as unlabeled ones."""

    def __init__(self, app: FewLabelApp, model: Served) -> None:
        super().__init__(f"Train {model.description}")
        self.app, self.served = app, model

    def config(self) -> dict:
        return self.served.defaults(training=True)

    def info(self) -> dict:
        labeled, others = self.app.ids(self.served)
        pace, steps = self.served.rounds.pace(), self.served.usual_iterations()
        expected = f"{pace * steps / 60:.1f}" if pace else "unknown before the first training"
        dice = self.served.rounds.dice()
        facts = {
            "labeled": len(labeled),
            "unlabeled": len(others),
            "expected_minutes": expected,
            "validation_dice": "unknown: at least 4 labels and a training" if dice is None else dice,
        }
        return {**super().info(), **facts}

    def stats(self) -> dict:
        return self.served.rounds.progress()

    def __call__(self, request: dict, datastore: Studies) -> dict:
        options, _ = options_of(self.served, request, training=True)
        datastore.refresh()
        labeled = datastore.label_files(self.served.name)
        _, others = self.app.ids(self.served)
        files = {id: datastore.get_image_uri(id) for id in others}
        unlabeled = {id: file for id, file in files.items() if self.served.fits(Path(file))}
        for id in files.keys() - unlabeled.keys():
            say(f"{id}: left out, as {self.served.name} cannot take such images")
        try:
            return self.served.train(labeled, unlabeled, options, say)
        except (InputError, FailedError) as error:
            raise SystemExit(f"error: {error}") from None


class Next(Strategy):
    """The next image to label."""

    def __init__(self, app: FewLabelApp, kind: str) -> None:
        super().__init__(STRATEGIES[kind])
        self.app, self.kind = app, kind

    def info(self) -> dict:
        return {**super().info(), "config": {"model": list(self.app.served)}}

    def __call__(self, request: dict, datastore: Studies) -> dict | None:
        datastore.refresh()
        model = self.app.model(request.get("model"))
        labeled, others = self.app.ids(model)
        ids = ranking.free(others, datastore.served())
        scores = model.known()
        if self.kind == "uncertainty":
            choice = ranking.uncertain(ids, scores)
        elif self.kind == "coverage":
            choice = ranking.covering(ids, datastore.features(), [*labeled, *(id for id in others if id not in ids)])
        elif self.kind == "foreground":
            shares = {id: entry["foreground"] for id, entry in scores.items()} or datastore.body_shares()
            choice = ranking.with_foreground(ids, shares)
        else:
            choice = ranking.with_foreground(ids, {})
        if choice is None:
            return None
        datastore.update_image_info(choice.id, {OFFERED: model.name})
        return {"id": choice.id, "reason": choice.reason, "score": choice.score, "model": model.name}


class Score(ScoringMethod):
    """Segment all images that have no label of a model, so that their uncertainty is known."""

    def __init__(self, app: FewLabelApp, model: Served) -> None:
        super().__init__(f"Uncertainty of {model.name} on all unlabeled images")
        self.app, self.served = app, model

    def __call__(self, request: dict, datastore: Studies) -> dict:
        options, _ = self.served.checked({})
        known, told = self.served.known(), {}
        for id in self.app.ids(self.served)[1]:
            if id in known:
                continue
            with tempfile.TemporaryDirectory() as folder:
                try:
                    image = datastore.get_image_uri(id)
                    told[id] = self.served.segment(id, image, Path(folder) / "label.nii.gz", options)["score"]
                except (InputError, FailedError) as error:
                    say(f"{id}: {error}")
        self.served.worker.close()
        return {"scored": len(told), "weights": self.served.rounds.weights(NEWEST)[0]}


def say(text: str) -> None:
    """Print at once: the server keeps the last lines of a training for the viewers."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def options_of(model: Served, request: Mapping, training: bool = False) -> tuple[dict, list[str]]:
    """Options among what a request says; 422 with one line for a value that is none."""
    own = {"model", "image", "id", "session", "uploaded", "params", "label", "strategy", "bundle_path", "local_rank"}
    try:
        return model.checked({key: value for key, value in request.items() if key not in own}, training)
    except InputError as error:
        raise HTTPException(422, str(error)) from None


def add_segment(label: Path, doubt: Path, value: int) -> int:
    """Mark doubtful voxels that no class has with a value of their own; returns it."""
    image = nibabel.load(label)
    values = np.asarray(image.dataobj).astype(np.uint8)
    values[(np.asarray(nibabel.load(doubt).dataobj) > DOUBTFUL) & (values == 0)] = value
    nibabel.save(nibabel.Nifti1Image(values, image.affine, image.header), label)
    return value
