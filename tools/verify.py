"""Everything the model zoo's checks ask of a bundle, and what they forget to ask."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nibabel
import numpy as np

from common.data import Phantom, write_phantom_domains, write_phantoms
from common.errors import InputError, printable

from .release.archive import unpacked
from .release.checks import SIZES, STATIC, Bundle, NotRun
from .release.isolated import run_isolated
from .release.render import LAYERS
from .run import BUNDLES

NEEDS_DEVICE = ("inference_trt",)
BELOW = re.compile(r"on top of (\w+)\.ya?ml")
TINY = {
    "iterations": 1, "epoch_length": 1, "val_interval": 5, "labeled": 2, "validation": None, "group": None,
    "labeled_batch": 4, "unlabeled_batch": 4, "amp": False, "progress": False, "device": "cpu",
    "layout": "domain_lists", "encoding": "index", "labeled_domain": "site_0", "source": "site_0", "ratios": None,
    "intensity_range": [0, 255],
}  # fmt: skip
Line = tuple[str, str, str]


def verify(bundle: str, static: bool = False) -> None:
    """Judge a bundle by name, its folder or a released archive; print a table, exit with 1 if a check failed.

    First come sums and sizes, then what the files tell, then what running the bundle tells. Nothing of a release is run
    once a check has failed. Sums inside an archive show that it is whole, not who made it: judge one of a stranger with
    ``--static``.

    Args:
        bundle: name under ``bundles/``, folder or archive.
        static: run nothing of it.
    """
    path = BUNDLES / bundle if (BUNDLES / bundle).is_dir() else Path(bundle)
    failed = 0
    with unpacked(path) as folder:
        for check, verdict, remark in verdicts(Bundle(folder), static):
            failed += verdict == "FAILED"
            sys.stdout.write(f"{printable(check):32} {verdict:8} {printable(remark)}".rstrip() + "\n")
            sys.stdout.flush()
    result = f"{failed} checks failed" if failed else "every check that was run passed"
    sys.stdout.write(f"{printable(path.name)}: {result}\n")
    if failed:
        raise SystemExit(1)


def verdicts(bundle: Bundle, static: bool = False) -> Iterator[Line]:
    """Name, verdict (ok, FAILED, not run) and remark of every check; ``static``: of those that run nothing."""
    failed = set()
    for name, check in STATIC.items():
        try:
            yield name, "ok", check(bundle)
        except NotRun as reason:
            yield name, "not run", str(reason)
        except (InputError, OSError) as error:
            failed.add(name)
            yield name, "FAILED", str(error)
        except Exception as error:  # files of strangers: whatever they hold, the next check may still tell something
            failed.add(name)
            yield name, "FAILED", f"{type(error).__name__}: {error}"
        if name in SIZES and name in failed:
            break
    if static:
        yield "runs", "not run", "static"
    elif failed and (bundle.released or "files" in failed):
        yield "runs", "not run", f"nothing is run of a bundle that fails: {', '.join(sorted(failed))}"
    else:
        yield from dynamic(bundle)


def dynamic(bundle: Bundle) -> Iterator[Line]:
    """Checks that run the bundle, in another process, from another directory, a release without the repository."""
    demo = ["demo"] if "demo" in bundle.configs() else []
    skipped = foreign(bundle)
    layers = [name for name in overrides(bundle) if name not in skipped]
    with TemporaryDirectory() as folder:
        data, image = phantoms(bundle, Path(folder))
        request = {
            "suffix": bundle.suffix,
            "training": ["train", *demo],
            "layers": {name: below(bundle, name) for name in layers},
            "of_layers": {name: of_layer(bundle, name) for name in layers},
            "train": tiny(bundle, "train") | {"dataset_dir": str(data)},
            "infer": tiny(bundle, "inference") | {"dataset_dir": str(data), "inputs": [str(image)]},
        }
        try:
            answers = run_isolated("probe", bundle.folder, bundle.released, **request)
        except InputError as error:
            answers = {"runs": ["FAILED", str(error)]}
    for name, (verdict, remark) in answers.items():
        yield name, verdict, remark
    if not (bundle.folder / "models" / "model.pt").is_file():
        yield "inference", "not run", "no models/model.pt"
    yield from ((f"override: {name}", "not run", reason) for name, reason in skipped.items())
    for name in NEEDS_DEVICE:
        if name in bundle.configs():
            yield f"override: {name}", "not run", "needs a CUDA device and torch_tensorrt"


def tried(archive: Path, image: str | None = None) -> str:
    """Segment one image with a released archive, as its user would; ``InputError`` with the reason if it fails.

    Args:
        archive: checked and unpacked first.
        image: file to segment, in windows that do not overlap; a phantom by default.
    """
    with unpacked(archive) as folder, TemporaryDirectory() as data:
        bundle = Bundle(folder)
        patch = bundle.config("inference")["patch_size"]
        options = tiny(bundle, "inference") | {
            "inputs": [image or str(phantoms(bundle, Path(data))[1])],
            "stride": patch,
        }
        request: dict[str, Any] = {"suffix": "json", "layers": {}, "infer": options, "steps": ["inference"]}
        verdict, remark = run_isolated("probe", folder, **request)["inference"]
    if verdict != "ok":
        raise InputError(f"{archive.name}: cannot segment {image or 'a phantom'}: {remark}")
    return remark


def phantoms(bundle: Bundle, folder: Path) -> tuple[Path, Path]:
    """A phantom data set of the kind that the bundle's loader reads, and one image of it."""
    config = bundle.config("train")
    classes = config.get("num_classes", 2)
    if "layout" in config:
        data = write_phantom_domains(folder, Phantom((64, 64), classes), domains=2, train=6, validation=1, test=1)
        return data, next(data.rglob("images/*.png"))
    data = write_phantoms(folder, Phantom((24, 24, 16), classes), labeled=2, unlabeled=2, validation=1, test=0)
    if (channels := config.get("in_channels", 1)) > 1:
        for path in (data / "images").iterdir():
            image = nibabel.load(path)
            parts = [np.asarray(image.dataobj, np.float32) * number for number in range(1, channels + 1)]
            nibabel.save(nibabel.Nifti1Image(np.stack(parts, axis=-1), image.affine), path)
    for path in (data / "labels").iterdir() if values_of(bundle) else ():
        label = nibabel.load(path)
        coded = np.take(values_of(bundle), np.asarray(label.dataobj).astype(int)).astype(np.int32)
        nibabel.save(nibabel.Nifti1Image(coded, label.affine), path)
    return data, next(data.glob("images/*.nii.gz"))


def values_of(bundle: Bundle) -> list[int]:
    """The value of each class in the labels of a release, in order; none where labels hold class numbers."""
    encoding = bundle.config("inference").get("encoding") if bundle.released else None
    if encoding == "binary":
        return [0, 255]
    return sorted(map(int, encoding), key=lambda value: encoding[str(value)]) if isinstance(encoding, dict) else []


def foreign(bundle: Bundle) -> dict[str, str]:
    """Layers of a release that take the data set's own files, with the reason why phantoms do not do."""
    layout = bundle.config("train").get("layout", TINY["layout"]) if bundle.released else TINY["layout"]
    names = [name for name in overrides(bundle) if LAYERS.get(name) == "inference" and layout != TINY["layout"]]
    return dict.fromkeys(names, f"takes data in the layout '{layout}', which phantoms do not have")


def overrides(bundle: Bundle) -> list[str]:
    """Override files, those last that need a process group."""
    names = [name for name in bundle.configs() if name not in ("train", "inference", *NEEDS_DEVICE)]
    return sorted(names, key=lambda name: (name == "multi_gpu_train", name))


def below(bundle: Bundle, layer: str) -> list[str]:
    """Configuration files that a layer goes on top of: training, and what its first comment says."""
    text = (bundle.folder / "configs" / f"{layer}.{bundle.suffix}").read_text(encoding="utf-8")
    comment = " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
    named = [name for name in BELOW.findall(comment) if name in bundle.configs()]
    return list(dict.fromkeys([LAYERS.get(layer, "train"), *named]))


def tiny(bundle: Bundle, name: str) -> dict[str, Any]:
    """Options of a run of seconds, those among them that the configuration has and that released weights allow."""
    config, small = bundle.config(name), smallest_patch(bundle)
    sizes = {"patch_size": small, "stride": small, "test_stride": small}
    fixed = {"patch_size", "stride", "encoding"} if bundle.released and name != "train" else set()
    fixed |= {"intensity_range"} if bundle.released else set()
    fixed |= {"encoding"} if values_of(bundle) and "layout" not in bundle.config("train") else set()
    return {key: value for key, value in {**TINY, **sizes}.items() if key in config and key not in fixed}


def of_layer(bundle: Bundle, layer: str) -> dict[str, Any]:
    """Options of a layer in a run of seconds: its own kind's; two extents for slices of volumes, and no lists."""
    if LAYERS.get(layer) == "inference":
        return tiny(bundle, layer)
    files = [bundle.config(file) for file in (*below(bundle, layer), layer)]
    cut = {"patch_size": smallest_patch(bundle)[:2]} if any(file.get("slices") for file in files) else {}
    return cut | ({"splits": None} if any(file.get("splits") for file in files) else {})


def smallest_patch(bundle: Bundle) -> list[int]:
    """Extents of a small patch that the metadata allow."""
    extents = bundle.metadata["network_data_format"]["inputs"]["image"]["spatial_shape"]
    n = 1 if len(extents) == 3 else 2
    return [extent if isinstance(extent, int) else n * int(extent.removesuffix("*n")) for extent in extents]
