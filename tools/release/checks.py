"""What can be said of a bundle from its files alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import jsonschema
from monai.bundle import ConfigParser

from common.errors import InputError
from common.options.entries import REFERENCE, children, is_code, literal, split_id

from ..results import RECORD, TABLE, read_record, table
from . import archive, facts, figures, metadata, readme, render, vendor
from .isolated import REPOSITORY

SCHEMAS = Path(__file__).resolve().parents[1] / "schemas"
REQUIRED = ("LICENSE", "configs/metadata.json", "configs/logging.conf", "docs/README.md", "docs/data_license.txt")
RELEASED = (
    "configs/train.json",
    "configs/inference.json",
    "configs/evaluate.json",
    "models/model.pt",
    "models/model.ts",
)
LITTER = re.compile(r"(^|/)(__pycache__|eval|\.[^/]+)(/|$)|\.pyc$")
PERSONAL = re.compile(rb"/(?:home|Users|root|tmp|mnt|media)/[\w.-]+|[A-Z]:\\\\?Users\\")
LARGEST_IN_GIT = 25 * 2**20
OF_LABELS = ("encoding", "from_viewer")  # arguments of a preprocessing that concern labels alone
DEEPEST = 30  # references that lead to one another


class NotRun(Exception):  # noqa: N818  (no error)
    """A check that does not apply here, with the reason."""


@dataclass(frozen=True)
class Bundle:
    """A bundle to judge: its folder, and whether it is a released one or one of the repository."""

    folder: Path

    @property
    def released(self) -> bool:
        return (self.folder / archive.SUMS).is_file() or not (self.folder / "configs" / "train.yaml").is_file()

    @property
    def suffix(self) -> str:
        return "json" if self.released else "yaml"

    @property
    def metadata(self) -> dict:
        return json.loads((self.folder / "configs" / "metadata.json").read_text(encoding="utf-8"))

    @property
    def readme(self) -> str:
        return (self.folder / "docs" / "README.md").read_text(encoding="utf-8")

    def config(self, name: str) -> dict:
        return ConfigParser.load_config_file(self.folder / "configs" / f"{name}.{self.suffix}")

    def configs(self) -> list[str]:
        """Names of all configuration files."""
        names = {path.stem for path in (self.folder / "configs").glob(f"*.{self.suffix}")}
        return sorted(names - {"metadata"})


def layout(bundle: Bundle) -> str:
    wanted = (*REQUIRED, *(RELEASED if bundle.released else ()))
    missing = [name for name in wanted if not (bundle.folder / name).is_file()]
    if missing:
        raise InputError(f"missing: {', '.join(missing)}")
    names = {path.relative_to(bundle.folder).as_posix(): path for path in archive.files_of(bundle.folder)}
    if bundle.released and (litter := [name for name in names if LITTER.search(name)]):
        raise InputError(f"does not belong in a release: {', '.join(litter[:3])}")
    if links := [name for name, path in names.items() if path.is_symlink()]:
        raise InputError(f"links are no files of a release: {', '.join(links[:3])}")
    large = [n for n, path in names.items() if not n.startswith("models/") and path.stat().st_size > LARGEST_IN_GIT]
    if large:
        raise InputError(f"more than 25 MB: {', '.join(large)}")
    return f"{len(names)} files"


def sums(bundle: Bundle) -> str:
    if not bundle.released:
        raise NotRun("not a release")
    changed = archive.changed_files(bundle.folder)
    if changed:
        raise InputError(f"changed since packaging: {', '.join(changed[:3])} ({len(changed)} in all)")
    return "all files as packaged"


def version(bundle: Bundle) -> str:
    return metadata.check_version(bundle.metadata, "metadata.json")


def schema(bundle: Bundle) -> str:
    name = bundle.metadata.get("schema", "").rpartition("/")[2]
    if not (SCHEMAS / name).is_file():
        raise InputError(f"metadata.json: no copy of the schema {name!r}")
    try:
        jsonschema.validate(bundle.metadata, json.loads((SCHEMAS / name).read_text(encoding="utf-8")))
    except jsonschema.ValidationError as error:
        raise InputError(f"metadata.json: {error.json_path}: {error.message}") from error
    return name


def packages(bundle: Bundle) -> str:
    targets = [t for name in bundle.configs() for t in render.targets(bundle.config(name))]
    files = sorted(path for path in bundle.folder.rglob("*.py"))
    imported = vendor.libraries(files, bundle.folder)
    if not bundle.released:
        shared = {name for path in files for name in vendor.imports_of(path, bundle.folder)} | set(targets)
        reached = vendor.reached(shared, REPOSITORY)
        imported = {name for name in imported if not name.startswith("common.")}
        imported |= vendor.libraries(reached, REPOSITORY)
    needed = metadata.required_packages(imported, targets)
    pinned = metadata.pins(bundle.metadata, needed, "metadata.json")
    idle = sorted(set(bundle.metadata["required_packages_version"]) - set(pinned))
    if idle:
        raise InputError(f"metadata.json: nothing imports {', '.join(idle)}")
    return ", ".join(pinned)


def personal_paths(bundle: Bundle) -> str:
    for path in archive.files_of(bundle.folder):
        name = path.relative_to(bundle.folder).as_posix()
        if LITTER.search(name) or (not bundle.released and name.startswith("models/")):
            continue
        if found := PERSONAL.search(path.read_bytes()):
            raise InputError(f"{name}: {found[0].decode()}")
    return ""


def preprocessing(bundle: Bundle) -> str:
    """Training and inference do the same to the image."""
    chains = {}
    for name in ("train", "inference"):
        config = bundle.config(name)
        written = config["preprocessing"]
        if isinstance(written, str):  # as trained
            return written.removeprefix("$@")
        kept = {key: value for key, value in written.items() if key not in OF_LABELS}
        chains[name] = without_references(kept, config)
    if chains["train"] != chains["inference"]:
        raise InputError(f"training: {chains['train']}; inference: {chains['inference']}")
    return str(chains["train"]["_target_"].rpartition(".")[2])


def without_references(node: Any, config: Mapping, depth: int = 0) -> Any:
    """A part of a configuration with plain values in place of references; nothing is evaluated.

    Raises:
        NotRun: for an expression, whose value only running it would tell.
    """
    if isinstance(node, Mapping):
        return {key: without_references(child, config, depth) for key, child in node.items() if key != "_requires_"}
    if isinstance(node, list):
        return [without_references(child, config, depth) for child in node]
    if not is_code(node):
        return node
    with suppress(ValueError):
        return literal(node)
    target: Any = config
    if depth > DEEPEST or not REFERENCE.fullmatch(node.removeprefix("$")):
        raise NotRun(f"{node[:60]}: only running it tells")
    for part in split_id(node.lstrip("$@")):
        target = children(target)[part]
    return without_references(target, config, depth + 1)


def sections(bundle: Bundle) -> str:
    missing = readme.missing_sections(bundle.readme)
    if missing:
        raise InputError(f"docs/README.md lacks: {', '.join(missing)}")
    return ""


def commands(bundle: Bundle) -> str:
    found = list(readme.commands(bundle.readme))
    for words in found:
        readme.check_command(words, bundle.folder)
    return f"{len(found)} commands"


def stated_results(bundle: Bundle) -> str:
    record = read_record(bundle.folder / RECORD)
    for mark in TABLE.finditer(bundle.readme):
        if mark[0] != mark[1] + table(record, mark[2]) + mark[3]:
            raise InputError(f"docs/README.md: the table of {mark[2]} is not that of {RECORD}")
    contradiction = figures.disagreement(bundle.readme, bundle.metadata, record) if bundle.released else None
    if contradiction:
        raise InputError(contradiction)
    return f"{len(record)} records"


def own_card(bundle: Bundle) -> str:
    """The card is of this release and of no other."""
    if not bundle.released:
        raise NotRun("a bundle of the repository has no weights of its own")
    wanted, found = facts.facts(bundle.folder), facts.stated(bundle.readme)
    if found is None:
        raise InputError("docs/README.md: no block of facts; it is the card of another release, or was edited")
    for line, other in zip_longest(wanted.splitlines(), found.splitlines()):
        if line != other:
            raise InputError(f"docs/README.md says '{other}', the files of the release say '{line}'")
    return ""


SIZES = ("files", "sums")  # first of all: after one of these fails, nothing else is looked at
STATIC: Mapping[str, Callable[[Bundle], str]] = {
    "files": layout,
    "sums": sums,
    "version and changelog": version,
    "schema": schema,
    "declared = imported packages": packages,
    "no personal paths": personal_paths,
    "preprocessing agrees": preprocessing,
    "README sections": sections,
    "README commands": commands,
    "README = metadata = results": stated_results,
    "card = configuration": own_card,
}
