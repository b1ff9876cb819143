"""Draw mutants, run the mirrored tests on each, and say which survive."""

from __future__ import annotations

import json
import logging
import random
import re
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

import fire

from . import configurations, python
from .mirror import commands
from .mutant import Mutant
from .running import STATUS_TOO_LONG, load_libraries, pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON_SHARE = 0.7
FAILED = re.compile(r"^(?:FAILED|ERROR) (tests/.*?)(?: - |$)", re.MULTILINE)
LOG = logging.getLogger("mutation")


def sources() -> list[str]:
    """Files that are mutated, relative to the repository."""
    files = [Path(name) for name in listed("common", "bundles")]
    modules = [f for f in files if f.suffix == ".py" and f.stem not in ("__init__", "progress", "testing")]
    return [str(f) for f in [*modules, *(f for f in files if f.suffix == ".yaml" and "configs" in f.parts)]]


def listed(*arguments: str) -> list[str]:
    """Files that git knows."""
    command = ["git", "ls-files", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


def draw(count: int, seed: int) -> list[Mutant]:
    """``count`` mutants: a line that has some, uniformly among those of Python and of YAML, then one of its own."""
    generator, pools = random.Random(seed), {".py": {}, ".yaml": {}}
    for path in sources():
        source = (ROOT / path).read_text(encoding="utf-8")
        find = python.mutants if path.endswith(".py") else configurations.mutants
        for mutant in find(path, source):
            pools[Path(path).suffix].setdefault((path, mutant.line), []).append(mutant)
    drawn = []
    while len(drawn) < count:
        pool = pools[".py" if generator.random() < PYTHON_SHARE else ".yaml"]
        mutant = generator.choice(pool.pop(generator.choice(sorted(pool))))
        drawn.append(mutant)
    return drawn


def copy_of_repository(folder: Path) -> None:
    """The tracked files, as they are now."""
    for name in listed():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def judge(mutant: Mutant, folder: Path, seconds: float, broken: list[str]) -> dict:
    """What the mirrored tests make of a mutant in ``folder``, which is left as it was.

    A test that fails without the mutant, too, is added to ``broken`` and left out from then on.
    """
    path = folder / mutant.path
    source = path.read_text(encoding="utf-8")
    before, after = mutant.shown(source)
    entry = {"path": mutant.path, "line": mutant.line, "kind": mutant.kind, "before": before, "after": after}
    for arguments in commands(mutant.path, folder):
        while True:
            skipped = [f"--deselect={name}" for name in broken]
            path.write_text(mutant.apply(source), encoding="utf-8")
            try:
                status, output = pytest(folder, [*arguments, *skipped], seconds)
            finally:
                path.write_text(source, encoding="utf-8")
            if status == STATUS_TOO_LONG:
                return {**entry, "outcome": "killed", "by": "time"}
            if status in (0, 5):  # 5: no test of that name
                break
            failed = FAILED.findall(output)
            status, _ = pytest(folder, failed[:1] or arguments, seconds)
            if status == 0:
                return {**entry, "outcome": "killed", "by": failed[0] if failed else "collection"}
            if not failed or failed[0] in broken:
                return {**entry, "outcome": "unclear", "by": f"{arguments} fails without it, too"}
            broken.append(failed[0])
    return {**entry, "outcome": "survived", "by": ""}


def main(count: int = 20, seed: int = 0, record: str | None = None, again: bool = False, seconds: float = 900) -> None:
    """Judge ``count`` mutants drawn with ``seed``; those that the record knows are not judged twice.

    Args:
        count: of mutants.
        seed: of the draw; the same files give the same mutants.
        record: a file of JSON lines, which is continued; a temporary one by default.
        again: judge those anew that survived.
        seconds: most that one run of pytest may take; a mutant that takes longer counts as killed.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    file = Path(record or Path(tempfile.gettempdir()) / f"mutation_{seed}.jsonl")
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    known = {entry["name"]: entry for entry in map(json.loads, lines)}
    entries, broken = [], []
    load_libraries()
    with tempfile.TemporaryDirectory(prefix="mutation_") as temporary:
        folder = Path(temporary)
        copy_of_repository(folder)
        for number, mutant in enumerate(draw(count, seed), start=1):
            name = mutant.name((ROOT / mutant.path).read_text(encoding="utf-8"))
            entry = known.get(name)
            if entry is None or (again and entry["outcome"] != "killed"):
                start = time.monotonic()
                entry = {
                    "name": name,
                    **judge(mutant, folder, seconds, broken),
                    "seconds": round(time.monotonic() - start, 1),
                }
                with open(file, "a", encoding="utf-8") as log:
                    log.write(json.dumps(entry) + "\n")
            entries.append(entry)
            LOG.info(f"{number:3d} {entry['outcome']:8s} {entry['path']}:{entry['line']} {entry['kind']}")
            if entry["outcome"] != "killed":
                LOG.info(f"    - {entry['before']}\n    + {entry['after']}  {entry['by']}")
    outcomes = Counter(entry["outcome"] for entry in entries)
    LOG.info(f"{dict(outcomes)}; {file}")
    for name in broken:
        LOG.info(f"fails without any mutant: {name}")


if __name__ == "__main__":
    fire.Fire(main)
