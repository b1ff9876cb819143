"""The whole way through a real server: segment, label, train with unlabeled volumes, and what it refuses."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from common.datasets.endings import stem_of
from common.errors import InputError
from common.metrics import dice

from .requests import JSON_BYTES
from .server import Server, reason_of

PATH = "../../../../../../tmp/evil"
OF_IMAGE = {"params": {"image": "{id}"}}


def _infer(**options: Any) -> tuple:
    return "POST", "/infer/{model}", {**OF_IMAGE, "data": {"params": json.dumps(options)}}


class Chunks:
    """A body of JSON whose length no header tells: a string of so many bytes."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __iter__(self) -> Iterator[bytes]:
        yield b'{"note": "'
        yield from (b" " * 2**16 for _ in range(self.size // 2**16))
        yield b'"}'


HOSTILE: dict[str, tuple] = {  # what it is, and the request: verb, path, and what goes with it
    "a tag that leaves the labels": (
        "PUT",
        "/datastore/label",
        {"params": {"image": "{id}", "tag": PATH}, "files": "label"},
    ),
    "an image id that leaves the studies": ("GET", "/datastore/image", {"params": {"image": "../../etc/passwd"}}),
    "a file of the server as image": ("POST", "/infer/{model}", {"params": {"image": "/etc/passwd"}}),
    "a file of the server among the options": (
        "POST",
        "/infer/{model}",
        {"params": {"image": "nothing"}, "data": {"params": '{"image": "/etc/passwd"}'}},
    ),
    "deleting an original": ("DELETE", "/datastore/image", {"params": {"id": "{id}"}}),
    "adding an image": ("PUT", "/datastore/image", {**OF_IMAGE, "files": "file"}),
    "other weights for a served model": ("PUT", "/model/{model}", {"files": "file"}),
    "a session that is a path": ("GET", "/session/..%2F..%2Fmodel", {}),
    "a body that is too long": ("PUT", "/session/", {"data": b"", "headers": {"content-length": "99999999999"}}),
    "a body that does not say how long it is": (
        "POST",
        "/train/{model}",
        {"data": Chunks(3 * JSON_BYTES), "headers": {"content-type": "application/json"}},
    ),
    "options that are no object": (
        "POST",
        "/infer/{model}",
        {**OF_IMAGE, "data": {"params": "[1, 2]"}},
    ),
    "an option of the wrong type": _infer(threads="many"),
    "code as an option": _infer(stride_factor="$__import__('os').getpid()"),
    "a format that leaves the folder": _infer(result_extension="/../../evil"),
    "a training of the wrong length": ("POST", "/train/{model}", {"json": {"iterations": "forever"}}),
    "a training that is no object": ("POST", "/train/{model}", {"json": ["all"]}),
    "what is known of a label that is not there": (
        "GET",
        "/datastore/label/info",
        {"params": {"label": "nothing", "tag": "final"}},
    ),
    "a label of another size": ("PUT", "/datastore/label", {**OF_IMAGE, "files": "label"}),
    "an archive to unpack": ("PUT", "/session/", {"params": {"uncompress": "true"}, "files": "files"}),
    "the page of another host": ("POST", "/train/{model}", {"json": {}, "headers": {"origin": "http://evil.example"}}),
    "the name of another host": ("GET", "/info/", {"headers": {"host": "evil.example"}}),
    "a way to other servers": ("GET", "/proxy/dicom/studies", {}),
}


def check_server(
    python: Path,
    studies: Path,
    models: Mapping[str, Path],
    classes: Mapping[str, str],
    images: Mapping[str, str],
    iterations: int = 40,
) -> dict:
    """Try a server with these models and studies in a folder of its own, which is removed; what was measured.

    Labels are those in ``labels`` beside the studies, where there are any, else what the models say themselves.

    Raises:
        InputError: for the first step that does not do what it must.
    """
    from .serve import prepare

    say = Transcript()
    with tempfile.TemporaryDirectory(prefix="label_check_") as folder:
        base = Path(folder)
        originals = contents(studies)
        sources = {name: contents(path) for name, path in models.items()}
        prepare(base, studies, models, classes, images)
        with Server(python, base, studies) as server:
            say(f"server at {server.address}")
            session = Session(server, studies, say)
            results = session.rounds(iterations)
            results["refused"] = session.hostile(base)
        with Server(python, base, studies) as server:
            after = Session(server, studies, say)
            _require(after.tags() == session.tags_before, "a restart must keep all labels")
            kept = {name: model["weights"] for name, model in server.told("GET", "/info/")["models"].items()}
            _require(kept == session.weights, f"a restart must keep the weights, {session.weights} became {kept}")
            say(f"restarted: labels {after.tags()}, weights {kept}")
        _require(contents(studies) == originals, "the studies must be as before")
        _require(
            {name: contents(path) for name, path in models.items()} == sources, "the served models must be as before"
        )
        say("studies and served models are byte by byte as before")
    return results


class Session:
    """What a viewer does with a server."""

    def __init__(self, server: Server, studies: Path, say) -> None:
        self.server, self.studies, self.say = server, studies, say
        self.truth = {stem_of(path.name): path for path in (studies.parent / "labels").glob("*.nii*")}
        self.settings = json.loads((server.base / "serve.json").read_text(encoding="utf-8"))
        self.tags_before: dict = {}
        self.weights: dict = {}

    def tags(self) -> dict:
        return {k: v for k, v in self.server.told("GET", "/datastore/")["label_tags"].items() if "uncertainty" not in k}

    def rounds(self, iterations: int, labeled: int = 3, tested: int = 3) -> dict:
        """Label and train one model after the other; Dice before and after on images that get no label."""
        info, results = self.server.told("GET", "/info/"), {}
        for name, model in info["models"].items():
            for id in self.mine(name)[:labeled]:
                self.infer(name, id)
            chosen = [self.next(strategy, name) for strategy in info["strategies"] for _ in range(labeled)]
            others = [id for id in self.mine(name) if id not in chosen[:labeled] and id in self.truth]
            before = self.dice(name, model["labels"], others[:tested])
            for id in dict.fromkeys(chosen[:labeled]):
                self.label(name, id, info["labels"], model["labels"])
            self.say(f"{name}: labeled {', '.join(dict.fromkeys(chosen[:labeled]))}; tags now {self.tags()}")
            started = time.monotonic()
            self.server.train(name, iterations=iterations)
            stats = self.server.told("GET", "/info/")["train_stats"][name]
            after = self.dice(name, model["labels"], others[:tested])
            results[name] = {"before": before, "after": after, "seconds": round(time.monotonic() - started, 1), **stats}
            self.say(f"{name}: trained, {stats}")
            if before is not None:
                where = f"{len(others[:tested])} images without a label"
                self.say(f"{name}: Dice {before:.3f} before, {after:.3f} after, on {where}")
        self.tags_before = self.tags()
        self.weights = {name: m["weights"] for name, m in self.server.told("GET", "/info/")["models"].items()}
        return results

    def mine(self, model: str) -> list[str]:
        """Images that a model takes, by name."""
        pattern = next(m["images"] for m in self.settings["models"] if m["name"] == model)
        return sorted(fnmatch.filter(self.server.told("GET", "/datastore/?output=all")["objects"], pattern))

    def next(self, strategy: str, model: str) -> str:
        told = self.server.told("POST", f"/activelearning/{strategy}", json={"model": model})
        self.say(f"next by {strategy}: {told.get('id')} ({told.get('reason')})")
        return told["id"]

    def infer(self, model: str, id: str, **options: Any) -> np.ndarray:
        answer = self.server.ask(
            "POST", f"/infer/{model}", params={"image": id, "output": "image"}, data={"params": json.dumps(options)}
        )
        if not answer.ok:
            raise InputError(f"infer {id}: {answer.status_code} {reason_of(answer)}")
        with tempfile.NamedTemporaryFile(suffix=".nii.gz") as file:
            Path(file.name).write_bytes(answer.content)
            image = nibabel.load(file.name)
            source = nibabel.load(next(p for p in self.studies.iterdir() if p.name.startswith(f"{id}.")))
            same = image.shape == source.shape[:3] and np.allclose(image.affine, source.affine, atol=1e-3)
            _require(same and image.get_data_dtype() == np.uint8, f"{id}: geometry or type of the answer")
            return np.asarray(image.dataobj)

    def dice(self, model: str, labels: Mapping[str, int], ids: Sequence[str]) -> float | None:
        """Mean over images and classes; ``None`` without labels to compare with."""
        found = []
        for id in ids:
            values, truth = self.infer(model, id), np.asarray(nibabel.load(self.truth[id]).dataobj)
            found.append(np.mean([dice(values == k, truth == k) for k in labels.values()]))
        return float(np.mean(found)) if found else None

    def label(self, model: str, id: str, names: Sequence[str], labels: Mapping[str, int]) -> None:
        """Hand in a label as Slicer does: a segment for every class of every model, numbered in their order."""
        source = nibabel.load(next(p for p in self.studies.iterdir() if p.name.startswith(f"{id}.")))
        values = np.asarray(nibabel.load(self.truth[id]).dataobj) if id in self.truth else self.infer(model, id)
        numbered = np.zeros(source.shape[:3], np.uint8)
        for name, number in labels.items():
            numbered[values == number] = names.index(name) + 1
        said = {"params": json.dumps({"label_info": [{"name": name, "idx": k} for k, name in enumerate(names)]})}
        with tempfile.NamedTemporaryFile(suffix=".nii.gz") as file:
            nibabel.save(nibabel.Nifti1Image(numbered, source.affine), file.name)
            files = {"label": ("label.nii.gz", Path(file.name).read_bytes())}
            self.server.told("PUT", "/datastore/label", params={"image": id}, data=said, files=files)

    def hostile(self, base: Path) -> dict[str, str]:
        """Answers to requests that no viewer makes: each 4xx with one line, and nothing on disk is another."""
        before, answers = contents(base, self.studies), {}
        id = next(iter(self.server.told("GET", "/datastore/?output=all")["objects"]))
        model = next(iter(self.server.told("GET", "/info/")["models"]))
        for what, (verb, path, request) in HOSTILE.items():
            filled = _filled(request, id)
            try:
                answer = self.server.ask(verb, path.format(model=model), **filled)
            except OSError as error:  # a body that never comes
                raise InputError(f"{what}: no answer ({type(error).__name__})") from None
            reason = reason_of(answer)
            _require(400 <= answer.status_code < 500 and "\n" not in reason, f"{what}: {answer.status_code} {reason}")
            answers[what] = f"{answer.status_code} {reason}"
            self.say(f"{what}: {answers[what]}")
        after = contents(base, self.studies)
        changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
        _require(not changed, f"requests that are refused must change nothing on disk, changed: {', '.join(changed)}")
        self.say(f"{len(answers)} hostile requests refused; nothing on disk changed")
        return answers


class Transcript:
    """Lines with the seconds since the start."""

    def __init__(self) -> None:
        self.started = time.monotonic()

    def __call__(self, text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - self.started:6.0f} s  {text}\n")
        sys.stdout.flush()


def contents(*folders: Path) -> dict[str, str]:
    """Sums of all files in folders; logs, which tell of every request, are left out."""
    paths = [path for folder in folders for path in (sorted(folder.rglob("*")) if folder.is_dir() else [folder])]
    kept = [path for path in paths if path.is_file() and "logs" not in path.parts and path.name != ".lock"]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}


def _filled(request: Mapping, id: str) -> dict:
    filled = {key: value for key, value in request.items() if key != "files"}
    if "params" in filled:
        filled["params"] = {key: value.format(id=id) for key, value in filled["params"].items()}
    if "files" in request:
        small = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)).to_bytes()
        filled["files"] = {request["files"]: ("small.nii", small)}
    return filled


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise InputError(f"check of the server: {what}")
