"""Serve trained models to the viewers of MONAI Label."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from common.errors import InputError, require_whole
from common.files import atomic_path

from ..package import package
from ..release.archive import SUMS, changed_files, check_archive, sha256
from ..runs import read_run
from .environment import build_environment
from .requests import MEGABYTE, is_name
from .server import CODE, Server

REPOSITORY = Path(__file__).resolve().parents[2]
MAIN = "from tools.label.app import FewLabelApp  # the app that MONAI Label looks for\n"
IMAGES = (".nii.gz", ".nii", ".nrrd", ".mha")
HIGHEST_PORT = 65535
PAGE = re.compile(r"https?://[^/\s?#]+")  # where a viewer comes from
WORK = ".label"  # behind the name of the studies
OLD = re.compile(r"_v\d\.\d\.\d$")


def serve(
    *models: str,
    studies: str,
    work: str | None = None,
    classes: str | None = None,
    images: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    origins: str | Sequence[str] = (),
    limit: int = 1024,
    environment: str = ".venv-label",
    check: bool = False,
) -> None:
    """Serve runs and releases in MONAI Label, where Slicer and OHIF segment, label and train with them.

    ``python -m tools serve runs/la runs/acdc --studies new_images``: the first call builds the server's own
    environment. Originals and the served runs are only read; labels, weights of later trainings and all else lie in one
    folder beside the studies. Stop it with Ctrl-C; the next start goes on with what is there.

    Args:
        models: folders of runs, and releases: folders or archives; ``name=path`` gives another name.
        studies: folder of the images, in NIfTI, NRRD or MetaImage files.
        work: folder of labels and trainings; ``<studies>.label`` by default.
        classes: names of a run's classes, where its data do not name them: ``la: left atrium; acdc: rv, myo, lv``.
        images: which images are a model's, by their names: ``la: la_*; acdc: patient*``; all by default.
        host: address to listen at; others than this machine can only reach another one than 127.0.0.1.
        port: of the server.
        origins: pages besides its own that may write to it, such as ``https://viewer.hospital``.
        limit: of an upload, in MB.
        environment: folder of the virtual environment with MONAI Label.
        check: try everything on a copy instead: label, train, infer, restart, hostile requests; tells what happened.
    """
    folder = require_studies(studies)
    base = Path(work) if work else folder.with_name(folder.name + WORK)
    named = require_models(models)
    require_whole(1, port=port, limit=limit)
    if port > HIGHEST_PORT:
        raise InputError(f"--port {port}: expected a port, 1 to {HIGHEST_PORT}")
    require_address(host)
    if wrong := next((page for page in _several(origins) if not PAGE.fullmatch(page)), None):
        raise InputError(f"--origins {wrong}: expected addresses such as https://viewer.hospital")
    told, chosen = parts(classes, named), parts(images, named)
    require_outside(base, folder)
    python = build_environment(environment)
    if check:
        from .check import check_server

        check_server(python, folder, named, told, chosen)
        return
    prepare(base, folder, named, told, chosen, limit=limit, origins=_several(origins))
    server = Server(python, base, folder, host, port)
    with server:
        sys.stdout.write(welcome(server, list(named), base))
        sys.stdout.flush()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            server.wait()
        except KeyboardInterrupt:
            sys.stdout.write("stopped; labels and weights are kept\n")


def require_studies(studies: str) -> Path:
    """The folder of the images; ``InputError`` where there are none at its top."""
    folder = Path(studies).absolute()
    if not folder.is_dir():
        raise InputError(f"{studies}: no such folder (studies)")
    if not any(path.name.endswith(IMAGES) for path in folder.iterdir()):
        inside = next((path.name for path in sorted(folder.iterdir()) if path.is_dir()), None)
        hint = f"; did you mean {studies}/{inside}?" if inside else ""
        raise InputError(f"{studies}: no image at the top of this folder ({', '.join(IMAGES)}){hint}")
    return folder


def require_models(models: Sequence[str]) -> dict[str, Path]:
    """Path of each model by name; ``InputError`` for what is neither run nor release, or for two of one name."""
    if not models:
        raise InputError("serve: which models? give folders of runs, or releases")
    found: dict[str, Path] = {}
    for text in map(str, models):
        name, _, path = text.rpartition("=")
        place = Path(path)
        if not place.exists():
            raise InputError(f"{path}: no such run or release")
        if place.suffix == ".zip":
            check_archive(place)
        if not (place.suffix == ".zip" or (place / "configs" / "inference.json").is_file() or read_run(place)):
            raise InputError(f"{path}: neither the folder of a run (settings.json, model.pt) nor a release")
        name = name or OLD.sub("", place.resolve().name.removesuffix(".zip"))
        if not is_name(name):
            raise InputError(f"{name}: no name of a model; expected letters, digits and _")
        if name in found:
            raise InputError(f"{path}: {found[name]} is called {name} too; give another name ({name}_2={path})")
        found[name] = place
    return found


def parts(text: str | None, models: Mapping[str, Path]) -> dict[str, str]:
    """``la: left atrium; acdc: rv, myo`` by model; of a single model the name may be left out."""
    if not text:
        return {}
    found = {}
    for part in text.split(";"):
        name, colon, value = part.partition(":")
        if not colon and len(models) == 1:
            name, value = next(iter(models)), part
        if name.strip() not in models:
            raise InputError(f"{part.strip()}: expected <model>: ..., with one of {', '.join(models)}")
        found[name.strip()] = value.strip()
    return found


def require_address(host: str) -> None:
    """Raise ``InputError`` for what is no name or number of a machine."""
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError) as error:
        raise InputError(f"--host {host}: no address to listen at ({str(error).lower()})") from None


def require_outside(base: Path, studies: Path) -> None:
    """Raise ``InputError`` for a folder of work inside the studies."""
    if base.resolve() == studies.resolve() or studies.resolve() in base.resolve().parents:
        raise InputError(f"{base}: lies in the studies, which are read only; give another folder (work)")


def prepare(
    base: Path,
    studies: Path,
    models: Mapping[str, Path],
    classes: Mapping[str, str],
    images: Mapping[str, str],
    limit: int = 1024,
    origins: Sequence[str] = (),
) -> None:
    """Write all that the server reads; models that are there already are kept as they are."""
    require_outside(base, studies)
    base.mkdir(parents=True, exist_ok=True)
    for name, path in models.items():
        adopt(base / "model" / name, path, classes.get(name))
    entries = [{"name": n, "images": images.get(n, "*"), "python": sys.executable} for n in models]
    content = {"models": entries, "limit": int(limit) * MEGABYTE, "origins": list(origins)}
    for file, text in (("serve.json", json.dumps(content, indent=1)), ("main.py", MAIN)):
        with atomic_path(base / file) as temporary:
            temporary.write_text(text, encoding="utf-8")
    link_code(base / CODE)


def link_code(folder: Path) -> None:
    """Link the collection alone into a folder; where it is installed, libraries too new for the server surround it."""
    folder.mkdir(exist_ok=True)
    for name in ("bundles", "common", "tools"):
        place = folder / name
        place.unlink(missing_ok=True)  # of an earlier start, maybe from elsewhere
        place.symlink_to(REPOSITORY / name, target_is_directory=True)


def adopt(folder: Path, path: Path, classes: str | None) -> None:
    """Put a copy of a release, or a release made of a run, where the server looks for it; the original is only read.

    Raises:
        InputError: where another model was served under this name before.
    """
    run = read_run(path) if path.suffix != ".zip" and not (path / "configs" / "inference.json").is_file() else None
    content = {"weights": sha256(_weights(path, run)), "classes": classes or ""}
    source = folder / "source.json"
    if source.is_file():
        if json.loads(source.read_text(encoding="utf-8")) != content:
            raise InputError(
                f"{path}: {folder} holds labels and trainings of other weights or classes; give it another name"
            )
        return
    sys.stdout.write(f"{folder.name}: copying {path}\n")
    sys.stdout.flush()
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as temporary:
        if run is not None:
            path = Path(package(str(path), output=temporary, dirty=True, license="not released", classes=classes))
        release = Path(temporary) / "release"
        if path.suffix == ".zip":
            check_archive(path)
            with zipfile.ZipFile(path) as archive:
                archive.extractall(temporary)
            next(p for p in Path(temporary).iterdir() if p.is_dir()).rename(release)
        else:
            if (path / SUMS).is_file() and (changed := changed_files(path)):
                raise InputError(f"{path}: changed since packaging: {', '.join(changed[:3])}")
            shutil.copytree(path, release, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.rmtree(folder / "release", ignore_errors=True)
        release.rename(folder / "release")
    if run is not None and run.weights.with_name("history.csv").is_file():
        shutil.copyfile(run.weights.with_name("history.csv"), folder / "history.csv")  # tells how long a step takes
    with atomic_path(source) as temporary_file:
        temporary_file.write_text(json.dumps(content), encoding="utf-8")


def _weights(path: Path, run) -> Path:
    """A file that tells one model from another: its weights, or the archive that holds them."""
    return run.weights if run else path if path.suffix == ".zip" else path / "models" / "model.pt"


def _several(origins: str | Sequence[str]) -> list[str]:
    return [origins] if isinstance(origins, str) else list(origins)


def welcome(server: Server, names: Sequence[str], base: Path) -> str:
    """What to do now."""
    lines = [
        f"serving {', '.join(names)} at {server.address}",
        f"3D Slicer: extension MONAI Label, server {server.address}; labels and weights lie in {base}",
    ]
    if server.host not in ("127.0.0.1", "localhost", "::1"):
        lines.append("anybody who reaches this address may read the studies and train: put a reverse proxy in front")
    return "\n".join([*lines, ""])


if os.name == "nt":  # no process groups to stop
    signal.SIGTERM = signal.SIGINT  # type: ignore[misc]
