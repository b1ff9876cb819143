"""A bundle of the repository as one self-contained, reproducible archive."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from monai.utils import ensure_tuple

from common.errors import InputError, require_file
from common.files import atomic_path, read_json, require_file_place, require_place
from common.metrics import Calibration
from common.options import table_of
from common.options.command import canonical
from common.runs import Settings, assumed, weights_file
from common.runs.contradictions import refuse_contradictions
from common.runs.record import read_record as record_of

from .release import archive, description, figures, metadata, readme, render, vendor
from .release.card import card
from .release.isolated import REPOSITORY, run_isolated
from .release.render import WHICH
from .release.versions import version_of
from .results import RECORD
from .run import bundle_folder, config_file
from .runs import Run, read_run
from .verify import tried

COPIED = ("LICENSE", "configs/logging.conf")
TERMS = "docs/data_license.txt"
TOLERANCE = 1e-5
ANY_TIME = ("test_stride", *WHICH)  # options of training that say nothing of the weights


def package(
    bundle: str,
    dataset: str | Sequence[str] | None = None,
    weights: str | None = None,
    name: str | None = None,
    output: str = "dist",
    results: str | None = None,
    url: str = "",
    dirty: bool = False,
    license: str | None = None,
    classes: str | Sequence[str] | None = None,
    modality: str | None = None,
    organ: str | None = None,
    version: str | None = None,
    changes: str | None = None,
    **options: Any,
) -> str:
    """Write ``<output>/<name>_v<version>.zip`` with its sum and an entry in ``model_info.json``; return its path.

    ``python -m tools package runs/mine --license 'CC BY 4.0'`` makes a release of any run. Before it is called done,
    an image is segmented with the archive.

    Args:
        bundle: folder of a run, whose bundle and weights are taken; or folder name under ``bundles/``, or the folder.
        dataset: configuration file of a published data set, or several in order: ``acdc,acdc_quick``; by default those
            that the run was started with. A run on own data has none.
        weights: folder of a run, or weights in one; ``models`` of the bundle by default. Their settings count; without,
            those of the data set's files.
        name: of the released bundle; the bundle's own by default, with the name of the data's folder before it for own
            data.
        output: folder of the archive.
        results: ``summary.json`` that evaluate wrote for these weights.
        url: where the archive will lie, for ``model_info.json``.
        dirty: allow uncommitted changes; the metadata then say so.
        license: terms of the weights and of own data, as a line or a file; by default ``data_license.txt`` in the
            folder of the data. Published data sets bring theirs.
        classes: names of the foreground classes of own data, in order: ``left atrium,scar``; by default those of
            ``dataset.json`` in the folder of the data.
        modality: of own data: ``MR``.
        organ: of own data.
        version: of the release, x.y.z; by default the bundle's, for own data one after the archive of this name that
            lies in ``output``.
        changes: what is new in this version.
        options: values that override the configuration, by id: ``--test_stride [32,32,16]``.
    """
    require_place(output, "--output", keep=False, files=[archive.MODEL_INFO])
    archive.read_model_info(Path(output) / archive.MODEL_INFO)
    said = {"classes": classes, "modality": modality, "organ": organ}
    model = trained_model(bundle, weights, dataset, typed_options=options)
    about = model.description(said, bool(dataset))
    terms = description.license_text(license, model.settings) if license or model.own else ""
    name = check_name(name or model.name)
    origin = dict(model.origin)
    if model.own or version or changes:
        origin |= version_of(Path(output), name, model.weights, version, changes)
    summary = figures.read_summary(results, (*model.layers, name)[-1]) if results else None
    extra = {"provenance": provenance(model.source, model.layers, dirty), "eval_metrics": figures.eval_metrics(summary)}
    configs = render.render(model.source, vendor.own_package(model.source), model.layers, model.options, model.trained)
    if "class_names" in configs["inference"]:
        configs["inference"]["class_names"] = configs["inference"]["class_names"] or about["classes"][1:]
    with TemporaryDirectory() as folder:
        target = Path(folder) / name
        meta = metadata.released(origin, about, configs["train"], extra)
        write_python(model.source, target, configs, meta)
        (target / "models").mkdir()
        shutil.copyfile(model.weights, target / "models" / "model.pt")
        if (calibration := Calibration.beside(model.weights)) is not None:
            calibration.write(target / "models")
        write_documents(model, target, summary, meta, configs["train"], terms)
        finished = completed(target, model, meta["version"])
        path = require_file_place(Path(output) / finished.name, "--output")
        digest = archive.move_archive(finished, path)
    link = f"{url.rstrip('/')}/{path.name}" if url else path.name
    archive.write_model_info(path.with_name(archive.MODEL_INFO), path.stem, digest, link)
    return str(path)


@dataclass
class Model:
    """Trained weights, and all that is known of them.

    Attributes:
        source: folder of their bundle.
        weights: their file.
        run: that they come from, if it says so.
        layers: configuration files that they were trained with, by name.
        options: values over those.
        own: whether they were trained on data that no layer of the bundle describes.
    """

    source: Path
    weights: Path
    run: Run | None
    layers: list[str]
    options: dict[str, Any]
    own: bool = False

    @property
    def trained(self) -> Settings | None:
        return self.run.settings if self.run else None

    @property
    def settings(self) -> Mapping[str, Any]:
        return self.run.settings if self.run else {"dataset_dir": ""}

    @property
    def origin(self) -> dict:
        """Metadata of the bundle."""
        file = self.source / "configs" / "metadata.json"
        content = read_json(file, "every bundle has it", dict)
        metadata.check_version(content, f"{self.source.name}/configs/metadata.json")
        return content

    @property
    def name(self) -> str:
        return description.own_name(self.settings, self.source.name) if self.own else self.source.name

    def description(self, said: Mapping, named: bool) -> dict:
        """What is said of the data; ``named``: the user named their layer, so that it must be a published set."""
        about = None if said["classes"] else description.published(self.layers)
        if about is None and (self.run is None or named):
            raise InputError(
                f"{', '.join(self.layers) or self.weights}: no data set that {description.DATASETS.name} describes; "
                "name its layer (dataset), or give the folder of a run on own data"
            )
        self.own = about is None
        return about or description.own(self.settings, **said)


def trained_model(
    bundle: str, weights: str | None, dataset: str | Sequence[str] | None, typed_options: Mapping[str, Any]
) -> Model:
    """The weights that are meant, with their settings; ``InputError`` for what contradicts them."""
    run = read_run(bundle)
    source, weights = (run.bundle, weights or bundle) if run else (bundle_folder(bundle), weights)
    file = weights_file(weights or source / "models")
    require_file(file, "train first, or give --weights")
    run = read_run(file)
    options = typed(source, typed_options)
    if run:
        bound = {name: value for name, value in options.items() if name not in ANY_TIME}
        refuse_contradictions(run.settings, bound, file)
    return Model(
        source, file, run, [str(layer) for layer in ensure_tuple(dataset or (run.layers if run else ()))], options
    )


def completed(target: Path, model: Model, version: str) -> Path:
    """Archive of a bundle that has everything but the network, after an image was segmented with it."""
    script = run_isolated("torchscript", target)
    if not script["difference"] <= TOLERANCE:
        raise InputError(f"{target.name}: model.ts differs from model.pt by {script['difference']:.1e}")
    archive.write_sums(target)
    finished = target.with_name(f"{target.name}_v{version}.zip")
    archive.write_archive(target, finished)
    tried(finished, example(model.run))
    return finished


def example(run: Run | None) -> str | None:
    """An image that the run was trained on, where it still lies."""
    if run is None or "datalist" not in run.settings.components:
        return None
    try:
        cases = run.settings.component("datalist")
    except (InputError, RuntimeError):
        return None  # moved away since
    images = [case["image"] for role in ("validation", "labeled") for case in cases.get(role, ())]
    return str(Path(images[0]).absolute()) if images and isinstance(images[0], str) else None  # tried elsewhere


def typed(source: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Values of the bundle's options as their types read them; ``InputError`` naming one that no release can have."""
    table = table_of(source)
    values = {name: canonical(name, value, table, quote=False) for name, value in options.items()}
    if values.get("statistics") == "unlabeled":
        raise InputError("--statistics unlabeled: a release has no training images; expected all, domain or case")
    return values


def check_name(name: str) -> str:
    """The name of a release: lower case with underscores; MONAI Label reads the task from its words."""
    if not description.NAME.fullmatch(name) or "segmentation" not in name:
        raise InputError(f"name={name!r}: expected lower-case words joined by _, one of them 'segmentation'")
    return name


def provenance(source: Path, layers: Sequence[str], dirty: bool) -> dict[str, Any]:
    """Commit and data set files of a release; ``InputError`` for uncommitted changes unless they are allowed."""
    own = [*([str(source)] if source.is_relative_to(REPOSITORY) else []), "common", "tools"]
    kept = _git("ls-files", "--", *own)  # no file of an installed collection, whosever repository surrounds it
    commit = _git("rev-parse", "HEAD").strip() if kept else ""
    changes = _git("status", "--porcelain", "--", *own).splitlines() if commit else []
    if changes and not dirty:
        raise InputError(f"uncommitted changes ({changes[0].strip()}, {len(changes)} in all); commit, or give --dirty")
    return {"commit": commit + "-dirty" * bool(changes) or "unknown", "configuration": list(layers)}


def _git(*words: str) -> str:
    """Output of git, empty where there is no git or no repository."""
    try:
        result = subprocess.run(["git", *words], cwd=REPOSITORY, capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return result.stdout if result.returncode == 0 else ""


def write_python(source: Path, target: Path, configs: Mapping[str, dict], meta: dict) -> None:
    """Write package, configurations and metadata, the latter with exactly the packages that the former need."""
    own = vendor.own_package(source)
    named = [dotted for config in configs.values() for dotted in render.targets(config)]
    shared = [dotted.removeprefix(f"{own}.") for dotted in named if dotted.startswith(f"{own}.common.")]
    vendor.vendor(source, REPOSITORY, shared, target)
    meta["required_packages_version"] = metadata.pins(meta, declared(target, named), "metadata.json")
    for file, config in {**configs, "metadata": meta}.items():
        with atomic_path(target / "configs" / f"{file}.json") as temporary:
            temporary.write_text(json.dumps(config, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")


def declared(bundle: Path, targets: Iterable[str]) -> set[str]:
    """Distributions that a self-contained bundle must declare."""
    return metadata.required_packages(vendor.libraries(bundle.rglob("*.py"), bundle), targets)


def write_documents(
    model: Model, target: Path, summary: dict | None, meta: Mapping, train: Mapping, terms: str
) -> None:
    """Copy license and logging configuration, and write terms of the data, README and results."""
    (target / "docs").mkdir()
    for file in (*COPIED, TERMS):
        require_file(model.source / file, "every release carries it")
        shutil.copyfile(model.source / file, target / file)
    if terms:
        (target / TERMS).write_text(terms, encoding="utf-8")
    values = {
        "packages": meta["required_packages_version"],
        "pytorch": meta["pytorch_version"],
        "monai": meta["monai_version"],
        "numpy": meta["numpy_version"],
        "dataset_dir": str(train["dataset_dir"]),
    }
    layers = [str(config_file(model.source, name)) for name in model.layers]
    settings = model.trained or assumed(model.source, layers, model.options)
    text = card(model.source, meta, target, settings, record_of(model.weights.parent))
    (target / "docs" / "README.md").write_text(readme.released_readme(text, summary, values), encoding="utf-8")
    record = [summary] if summary else []
    (target / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
