"""The test files that belong to a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

NUMBERS = ("tests/bundles/test_numbers.py", "tests/bundles/test_numbers_cases.py")
DEFAULTS = "tests/test_defaults.py"
OF_ALL = ("tests/bundles/test_round_trip.py", "tests/bundles/test_inference.py")


def commands(path: str, root: Path) -> Iterator[list[str]]:
    """Arguments of pytest, one run after the other, for a file of ``common`` or of a bundle.

    A module ``common/x/y.py`` is mirrored by ``test_y.py`` below ``tests/common``, unless that is of another ``y.py``;
    where there is none, by all of ``tests/common/x``, or by ``tests/common/test_x*.py``. A bundle is mirrored by every
    test file named after its method, and by the method's part of the numbers; what only inference reads by its part of
    the round trips, too. What all bundles share is mirrored by the numbers and round trips of one bundle for volumes
    and one for pictures. Defaults of Python code have a test of their own.
    """
    parts = Path(path).parts
    tests = root / "tests"
    if parts[0] == "bundles":
        method = parts[1].removesuffix("_segmentation")
        named = sorted(str(p.relative_to(root)) for p in tests.rglob(f"test_*{method}*.py"))
        named.sort(key=lambda name: Path(path).stem not in name)  # the likeliest first
        if path.endswith(".yaml"):
            yield [*NUMBERS, "-k", f"{method}"]
            if parts[-1] == "inference.yaml":
                yield [*OF_ALL, "-k", method]
            yield named
        else:
            if parts[-1] == "options.py":
                yield ["tests/common/options", "-k", method]
            yield [*named, DEFAULTS]
            yield [*NUMBERS, "-k", f"{method}"]
    elif path.endswith(".yaml"):
        for method in ("ssnet", "iere"):
            yield [*NUMBERS, *OF_ALL, "-k", method]
    else:
        yield [*(str(p.relative_to(root)) for p in of_module(Path(path), tests)), DEFAULTS]


def of_module(path: Path, tests: Path) -> list[Path]:
    """Test files of a module of ``common``: one of its name in its own folder, or in one that has no such module."""
    name, own = f"test_{path.stem.strip('_')}.py", tests / path.parent
    if (own / name).is_file():
        return [own / name]
    elsewhere = sorted((tests / "common").rglob(name))
    elsewhere = [p for p in elsewhere if not (tests.parent / p.relative_to(tests).with_name(path.name)).is_file()]
    if elsewhere or own.is_dir():
        return elsewhere or sorted(own.glob("test_*.py"))
    return sorted(own.parent.glob(f"test_{own.name}*.py"))
