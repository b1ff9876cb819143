"""A virtual environment of its own for MONAI Label, which needs older packages than the rest."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from common.errors import InputError
from common.files import atomic_path

SERVER = "monailabel==0.8.5"  # without what it asks for: half of that is never imported by an app of our own
# What the server and this collection import, in versions that start together. NumPy 2 and pydicom 3 are refused by
# pydicom-seg, newer dicomweb-clients by pydicom 2.
PINS = (
    "numpy==1.26.4",
    "monai==1.6.1",
    "pytorch-ignite==0.5.5",
    "pydicom<3",
    "pydicom-seg==0.4.1",
    "dicomweb-client<0.60",
    "itk-io==5.4.7",
    *("nibabel", "scipy", "h5py", "pillow", "scikit-image>=0.24", "SimpleITK>=2.3", "pynrrd", "tqdm", "PyYAML"),
    *("fastapi", "uvicorn", "pydantic-settings", "python-multipart", "requests", "requests-toolbelt", "httpx"),
    *("cachetools", "expiring-dict", "schedule", "timeloop", "watchdog", "filelock", "psutil", "setuptools"),
    *("passlib", "bcrypt", "PyJWT", "cryptography", "google-auth", "girder-client"),
    "fire>=0.7",
)
BORROWED = "torch"  # with all that it needs, from the environment of this process: never a second download
DONE = "pins.txt"
NAME = re.compile(r"[\w.-]+")
STEP = re.compile(
    r"\s*(Collecting|Downloading|Using cached|Processing|Building wheel for|Installing collected packages:)\s+(\S+)"
)
LIMIT_SECONDS, TELL_SECONDS = 1200, 10
TOO_LONG = "too long"


def build_environment(folder: str | Path) -> Path:
    """Python of the environment in ``folder``, which the first call makes: a few minutes and about 1 GB.

    PyTorch and what it needs are linked from the environment that this process runs in, the rest is installed.

    Raises:
        InputError: for a folder that holds anything else, or with pip's last words when the packages cannot be had.
    """
    root = Path(folder).absolute()
    python = root / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    done = root / DONE
    wanted = [f"python {sys.version.split()[0]}", *map(_pinned, sorted(borrowed())), SERVER, *PINS, ""]
    if python.is_file() and done.is_file() and done.read_text(encoding="utf-8").split("\n") == wanted:
        return python
    if root.is_dir() and any(root.iterdir()) and not (root / "pyvenv.cfg").is_file():
        raise InputError(f"{root}: holds other things; give an empty folder for the environment of MONAI Label")
    _say(f"building the environment of MONAI Label in {root}, once; a few minutes")
    started = time.monotonic()
    _run([sys.executable, "-m", "venv", "--clear", str(root)], root)
    where = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    link(list(borrowed().values()), Path(_run(where, root)[-1]))
    fixed = root / "borrowed.txt"
    fixed.write_text("".join(f"{_pinned(name)}\n" for name in borrowed()), encoding="utf-8")
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    _run([*pip, "--constraint", str(fixed), *PINS], root)
    _run([*pip, "--no-deps", SERVER], root)
    _run([str(python), "-c", "import monailabel.main, monailabel.client, torch, monai"], root)
    with atomic_path(done) as temporary:
        temporary.write_text("\n".join(wanted), encoding="utf-8")
    _say(f"built in {time.monotonic() - started:.0f} s")
    return python


def borrowed() -> dict[str, Distribution]:
    """PyTorch and all installed packages that it needs, by name."""
    found: dict[str, Distribution] = {}
    waiting = [BORROWED]
    while waiting:
        name = waiting.pop()
        try:
            package = distribution(name)
        except PackageNotFoundError:
            if name == BORROWED:
                raise InputError("PyTorch is not installed here, and MONAI Label would run on it") from None
            continue  # of another platform, or an extra
        key = package.metadata["Name"].lower().replace("_", "-")
        if key not in found:
            found[key] = package
            required = [text for text in package.requires or () if "extra ==" not in text]
            waiting += [NAME.match(text)[0] for text in required]  # type: ignore[index]
    found.pop("setuptools", None)  # which pip itself brings up to date
    return found


def link(packages: Sequence[Distribution] | Iterator, target: Path) -> None:
    """Link the installed files of packages, folder by folder, into another environment's ``site-packages``."""
    for package in packages:
        tops = {file.parts[0] for file in package.files or () if file.parts[0] not in ("..", "__pycache__")}
        for top in sorted(tops):
            source, place = Path(str(package.locate_file(top))).resolve(), target / top
            if not place.exists() and source.exists():
                place.symlink_to(source, target_is_directory=source.is_dir())


def _pinned(name: str) -> str:
    return f"{name}=={distribution(name).version}"


def _run(command: list[str], root: Path) -> list[str]:
    """Lines of a program's output; what pip is doing is shown meanwhile."""
    lines: list[str] = []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    ended = threading.Event()
    watch = threading.Thread(target=_watch, args=(process, lines, ended), daemon=True)
    watch.start()
    for line in process.stdout or ():
        lines.append(line.rstrip())
    process.wait()
    ended.set()
    watch.join()
    if TOO_LONG in lines:
        raise InputError(f"{root}: the environment of MONAI Label is not built after {LIMIT_SECONDS // 60} minutes")
    if process.returncode:
        said = [line for line in lines if line.strip()] or ["no message"]
        errors = [line for line in said if line.startswith("ERROR")]
        raise InputError(f"{root}: the environment of MONAI Label cannot be built: {(errors or said)[-1]}")
    return lines


def _watch(process: subprocess.Popen, lines: list[str], ended: threading.Event) -> None:
    """Tell every few seconds what pip is at, as it is silent for minutes; kill it when it takes too long."""
    started = time.monotonic()
    while not ended.wait(TELL_SECONDS):
        passed = time.monotonic() - started
        doing = next((words for line in reversed(lines) if (words := STEP.match(line))), None)
        what = f"{doing[1].lower()} {Path(doing[2]).name}" if doing else "at work"
        _say(f"{passed:5.0f} s  {what[:100]}")
        if passed > LIMIT_SECONDS:
            process.kill()
            lines.append(TOO_LONG)
            return


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
