"""A bundle of the repository as one self-contained, reproducible archive."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from monai.utils import ensure_tuple

from common.errors import InputError, require_file
from common.files import atomic_path
from common.options import table_of
from common.options.command import canonical
from common.runs import weights_file
from common.runs.contradictions import refuse_contradictions

from .release import archive, figures, metadata, readme, render, vendor
from .release.isolated import REPOSITORY, run_isolated
from .results import RECORD, read_record
from .run import bundle_folder
from .runs import read_run

COPIED = ("LICENSE", "configs/logging.conf", "docs/data_license.txt")
TOLERANCE = 1e-5


def package(
    bundle: str,
    dataset: str | Sequence[str] | None = None,
    weights: str | None = None,
    name: str | None = None,
    output: str = "dist",
    results: str | None = None,
    url: str = "",
    dirty: bool = False,
    **options: object,
) -> str:
    """Write ``<output>/<name>_v<version>.zip`` with its sum and an entry in ``model_info.json``; return its path.

    Args:
        bundle: folder name under ``bundles/``, or the folder; or that of a run, whose bundle and weights are taken.
        dataset: configuration file of the data set, or several in order: ``acdc,acdc_quick``; by default those that
            the run was started with.
        weights: folder of a run, or weights in one; ``models`` of the bundle by default. Their settings count; without,
            those of the data set's files.
        name: of the released bundle; the bundle's own by default.
        output: folder of the archive.
        results: ``summary.json`` that evaluate wrote for these weights.
        url: where the archive will lie, for ``model_info.json``.
        dirty: allow uncommitted changes; the metadata then say so.
        options: values that override the configuration, by id.
    """
    run = read_run(bundle)
    source, weights = (run.bundle, weights or bundle) if run else (bundle_folder(bundle), weights)
    weights_path = weights_file(weights or source / "models")
    require_file(weights_path, "train first, or give --weights")
    run = read_run(weights_path)
    options = typed(source, options)
    layers = [str(layer) for layer in ensure_tuple(dataset or (run.layers if run else ()))]
    if not layers:
        raise InputError(f"{weights_path}: says of no data set what it was trained on; name its layer (dataset)")
    if run:
        refuse_contradictions(run.settings, options, weights_path)
    origin = json.loads((source / "configs" / "metadata.json").read_text(encoding="utf-8"))
    version = metadata.check_version(origin, f"{source.name}/configs/metadata.json")
    name = check_name(name or source.name)
    description = metadata.dataset_of(layers)[1]
    summary = figures.read_summary(results, layers[-1]) if results else None
    extra = {"provenance": provenance(source, layers, dirty), "eval_metrics": figures.eval_metrics(summary)}
    configs = render.render(source, vendor.own_package(source), layers, options, run.settings if run else None)
    if "class_names" in configs["inference"]:
        configs["inference"]["class_names"] = configs["inference"]["class_names"] or description["classes"][1:]
    with TemporaryDirectory() as folder:
        target = Path(folder) / name
        meta = metadata.released(origin, description, configs["train"], extra)
        write_python(source, target, configs, meta)
        write_files(source, target, summary, meta, str(configs["train"]["dataset_dir"]))
        shutil.copyfile(weights_path, target / "models" / "model.pt")
        script = run_isolated("torchscript", target)
        if not script["difference"] <= TOLERANCE:
            raise InputError(f"{name}: model.ts differs from model.pt by {script['difference']:.1e}")
        archive.write_sums(target)
        path = Path(output) / f"{name}_v{version}.zip"
        digest = archive.write_archive(target, path)
    link = f"{url.rstrip('/')}/{path.name}" if url else path.name
    archive.write_model_info(path.with_name("model_info.json"), path.stem, digest, link)
    return str(path)


def typed(source: Path, options: Mapping[str, object]) -> dict[str, object]:
    """Values of the bundle's options as their types read them; ``InputError`` naming one that no release can have."""
    table = table_of(source)
    values = {name: canonical(name, value, table, quote=False) for name, value in options.items()}
    if values.get("statistics") == "unlabeled":
        raise InputError("--statistics unlabeled: a release has no training images; expected all, domain or case")
    return values


def check_name(name: str) -> str:
    """The name of a release: lower case with underscores; MONAI Label reads the task from its words."""
    if not metadata.NAME.fullmatch(name) or "segmentation" not in name:
        raise InputError(f"name={name!r}: expected lower-case words joined by _, one of them 'segmentation'")
    return name


def provenance(source: Path, layers: Sequence[str], dirty: bool) -> dict[str, object]:
    """Commit and data set files of a release; ``InputError`` for uncommitted changes unless they are allowed."""
    commit = _git("rev-parse", "HEAD").strip()
    own = [str(source)] if source.is_relative_to(REPOSITORY) else []
    changes = _git("status", "--porcelain", "--", *own, "common", "tools").splitlines() if commit else []
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


def write_files(source: Path, target: Path, summary: dict | None, meta: Mapping, dataset_dir: str) -> None:
    """Copy licence, documents and logging configuration, and write README and results."""
    (target / "models").mkdir()
    (target / "docs").mkdir()
    for file in COPIED:
        require_file(source / file, "every release carries it")
        shutil.copyfile(source / file, target / file)
    values = {
        "packages": meta["required_packages_version"],
        "pytorch": meta["pytorch_version"],
        "monai": meta["monai_version"],
        "numpy": meta["numpy_version"],
        "dataset_dir": dataset_dir,
    }
    text = readme.released_readme((source / "docs" / "README.md").read_text(encoding="utf-8"), summary, values)
    (target / "docs" / "README.md").write_text(text, encoding="utf-8")
    record = read_record(source / RECORD) + ([summary] if summary else [])
    (target / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
