"""The version of a release of own data: raised from the last archive of its name."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

from common.errors import InputError

from .archive import sha256
from .metadata import VERSION

FIRST = "0.1.0"


def version_of(
    folder: Path, name: str, weights: Path, version: str | None = None, changes: str | None = None
) -> dict[str, Any]:
    """``version`` and ``changelog`` of a release.

    Args:
        folder: where earlier archives of this name lie, if there are any.
        name: of the release.
        weights: their file; the last archive's own weights keep its version, others raise it by one.
        version: instead of that.
        changes: what is new; by default which weights are in.

    Raises:
        InputError: for a version that is none, that is not above the last one, or that cannot be raised.
    """
    last = _last(folder, name)
    log = dict(last["changelog"]) if last else {}
    again = last is not None and last["weights"] == sha256(weights)
    if version is None:
        version = FIRST if last is None else last["version"] if again else raised(last["version"])
    if not VERSION.fullmatch(str(version)):
        raise InputError(f"version={version!r}: expected x.y.z with components 0 to 9")
    if last is not None and _key(version) < _key(last["version"]):
        raise InputError(f"version={version}: {last['file']} is newer already; give a higher one")
    if last is not None and version == last["version"] and not again:
        raise InputError(f"version={version}: {last['file']} holds other weights under it; give a higher one")
    default = "first version" if not log else "other weights"
    return {"version": version, "changelog": {**log, version: changes or log.get(version) or default}}


def raised(version: str) -> str:
    """The version after this one: 0.1.9 is followed by 0.2.0."""
    number = int(version.replace(".", "")) + 1
    if number > 999:
        raise InputError(f"version {version} has no successor of three digits; give a version and another name")
    return ".".join(f"{number:03d}")


def _last(folder: Path, name: str) -> dict | None:
    """Version, changelog and sum of the weights of the newest archive of this name."""
    pattern = re.compile(rf"{re.escape(name)}_v({VERSION.pattern})\.zip")
    found = {match[1]: path for path in Path(folder).glob("*.zip") if (match := pattern.fullmatch(path.name))}
    if not found:
        return None
    version = max(found, key=_key)
    try:
        with zipfile.ZipFile(found[version]) as archive:
            changes = json.loads(archive.read(f"{name}/configs/metadata.json"))["changelog"]
            sums = archive.read(f"{name}/docs/SHA256SUMS").decode().splitlines()
        weights = next(line.split()[0] for line in sums if line.endswith("  models/model.pt"))
    except (OSError, ValueError, KeyError, StopIteration, zipfile.BadZipFile) as error:
        raise InputError(
            f"{found[version]}: no release whose version could be raised ({error}); move it away"
        ) from None
    return {"version": version, "changelog": changes, "weights": weights, "file": found[version]}


def _key(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]
