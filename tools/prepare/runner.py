"""Convert the cases of a data set: in parallel, whole files only, skipping what is done, going on after errors."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from tqdm import tqdm

from common.errors import InputError
from common.files import atomic_path, read_json

from ..volumes import same_grid, straight
from .conversion import Conversion, Converted, Dataset

PARTS = {"sources", "outputs", "images"}  # of what is kept of a case
SAVE_EVERY = 5.0  # seconds between two savings of the manifest: what a killed run loses at most


class Manifest:
    """``manifest.json``: for each finished case the checksums of its sources and of the files made from them.

    Args:
        output: folder of the prepared data set.
        settings: everything that decides what is written; entries of other settings do not count as finished.

    Raises:
        InputError: for a folder with files of another data set, or of unknown origin.
    """

    def __init__(self, output: Path, settings: Mapping[str, Any]) -> None:
        self.output, self.path = output, output / "manifest.json"
        self.settings = json.loads(json.dumps(settings))
        self.cases: dict[str, dict] = {}
        self.saved = time.monotonic()
        if self.path.is_file():
            before, cases = self._load()
            if before.get("dataset") != self.settings["dataset"]:
                raise InputError(f"{output}: holds another data set (see its manifest.json); give another --output")
            if before == self.settings:
                self.cases = cases
        elif output.is_dir() and any(output.iterdir()):
            raise InputError(f"{output}: is not empty and was not made by prepare; give another --output")

    def _load(self) -> tuple[dict, dict[str, dict]]:
        """Settings and finished cases of an earlier call."""
        content = read_json(self.path, "prepare writes it; remove it to convert anew", dict)
        settings, cases = content.get("settings"), content.get("cases")
        whole = isinstance(settings, dict) and isinstance(cases, dict)
        if not whole or not all(isinstance(case, dict) and case.keys() >= PARTS for case in cases.values()):
            raise InputError(f"{self.path}: no settings and cases, as prepare writes them; remove it to convert anew")
        return settings, cases

    def finished(self, name: str, sources: Mapping[str, str]) -> bool:
        """Whether the case was made from these sources and its files are still what was written."""
        entry = self.cases.get(name)
        return (
            entry is not None
            and entry["sources"] == sources
            and all(_sha256(self.output / file) == digest for file, digest in entry["outputs"].items())
        )

    def save(self, now: bool = False, **more: Any) -> None:
        """Write the file, unless it was written a moment ago."""
        if now or time.monotonic() - self.saved > SAVE_EVERY:
            content = {"settings": self.settings, **more, "cases": dict(sorted(self.cases.items()))}
            with atomic_path(self.path) as temporary:
                temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            self.saved = time.monotonic()


def convert_all(dataset: Dataset, manifest: Manifest, source: Path, workers: int) -> tuple[dict[str, str], int]:
    """Convert the cases that are not finished; returns name and reason of each failure, and how many were finished."""
    failed, skipped = dict(dataset.broken), 0
    with ThreadPoolExecutor(max_workers=workers) as pool:
        futures = {pool.submit(_convert, case, dataset.classes, manifest, source): case for case in dataset.cases}
        try:
            for future in tqdm(as_completed(futures), total=len(futures), desc="preparing", disable=None):
                name = futures[future].name
                try:
                    entry = future.result()
                except Exception as error:  # whatever is wrong with one case, the others go on
                    failed[name] = _reason(error)
                    manifest.cases.pop(name, None)
                    continue
                skipped += entry is None
                if entry is not None:
                    manifest.cases[name] = entry
                manifest.save()
        finally:
            pool.shutdown(cancel_futures=True)
            manifest.save(now=True, failed=failed)
    return failed, skipped


def _convert(case: Conversion, classes: int | None, manifest: Manifest, source: Path) -> dict | None:
    """The manifest's entry of a case, after its files were written; ``None`` if it was finished before."""
    sources = {_relative(path, source): _digest(path) for path in case.sources}
    if manifest.finished(case.name, sources):
        return None
    written: list[Path] = []
    try:
        parts = [straightened(part) for part in case.convert()]
        for part in parts:
            verify(part, classes)
        images = []
        for part in parts:
            files = []
            for folder, content in (("images", part.image), ("labels", part.label)):
                if content is not None:
                    files.append(manifest.output / folder / f"{part.name}{_ending(part.image)}")
                    written.append(files[-1])
                    _write(content, files[-1])
            slice_number = {} if part.slice is None else {"slice": part.slice}
            images.append({"name": part.name, "files": files, **slice_number, **part.notes})
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    for image in images:
        image["files"] = [path.relative_to(manifest.output).as_posix() for path in image["files"]]
    outputs = {path.relative_to(manifest.output).as_posix(): _sha256(path) for path in written}
    return {"sources": sources, "outputs": outputs, "images": images}


def straightened(part: Converted) -> Converted:
    """``part`` on axes at right angles, with a note where the gantry of its scan was tilted."""
    image = straight(part.image)
    if image is part.image:
        return part
    label = part.label and straight(part.label, label=True)
    return replace(part, image=image, label=label, notes={**part.notes, "gantry_tilt": "resampled"})


def verify(part: Converted, classes: int | None) -> None:
    """Raise ``InputError`` for NaN, infinite voxels, a label of another geometry, or label values outside 0..K-1."""
    image = sitk.GetArrayViewFromImage(part.image)
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise InputError("the image holds NaN or infinite values")
    if part.label is None:
        return
    if not same_grid(part.image, part.label):
        raise InputError(f"label {part.label.GetSize()} and image {part.image.GetSize()} differ in geometry")
    values = np.unique(sitk.GetArrayViewFromImage(part.label))
    if classes is not None and not set(values.tolist()) <= set(range(classes)):
        raise InputError(f"label values {values[:6].tolist()} outside the classes 0..{classes - 1}")


def _ending(image: sitk.Image) -> str:
    """8-bit 2D images are written as PNG, everything else as compressed NIfTI; a label goes with its image."""
    eight_bit = image.GetPixelID() in (sitk.sitkUInt8, sitk.sitkVectorUInt8)
    return ".png" if image.GetDimension() == 2 and eight_bit else ".nii.gz"


def _write(image: sitk.Image, path: Path) -> None:
    with atomic_path(path) as temporary:
        sitk.WriteImage(image, str(temporary), useCompression=True)


def _relative(path: Path, source: Path) -> str:
    return Path(os.path.relpath(path, source)).as_posix()


def _digest(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of all files of a folder."""
    if path.is_file():
        return _sha256(path)
    whole = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        whole.update(f"{file.relative_to(path).as_posix()}\0{_sha256(file)}\n".encode())
    return whole.hexdigest()


def _sha256(path: Path) -> str | None:
    if not path.is_file():
        return None
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def _reason(error: BaseException) -> str:
    text = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:300]


def images_of(case: Conversion, manifest: Manifest) -> Sequence[dict]:
    """The prepared images of a case, in order; none if it failed."""
    return manifest.cases.get(case.name, {}).get("images", ())
