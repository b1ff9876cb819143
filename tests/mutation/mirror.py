"""The test files that belong to a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

NUMBERS = ("tests/bundles/test_numbers.py", "tests/bundles/test_numbers_cases.py")
OF_ALL = ("tests/bundles/test_round_trip.py", "tests/bundles/test_inference.py")


def commands(path: str, root: Path) -> Iterator[list[str]]:
    """Arguments of pytest, one run after the other, for a file of ``common`` or of a bundle.

    A module ``common/x/y.py`` is mirrored by ``test_y.py`` below ``tests/common``; where no file has that name, by all
    of ``tests/common/x``. A bundle is mirrored by every test file named after its method, and by the method's part of
    the numbers; what only inference reads by its part of the round trips, too. What all bundles share is mirrored by
    the numbers and round trips of one bundle for volumes and one for pictures.
    """
    parts = Path(path).parts
    tests = root / "tests"
    if parts[0] == "bundles":
        method = parts[1].removesuffix("_segmentation")
        named = sorted(str(p.relative_to(root)) for p in tests.rglob(f"test_*{method}*.py"))
        if path.endswith(".yaml"):
            yield [*NUMBERS, "-k", f"{method}"]
            if parts[-1] == "inference.yaml":
                yield [*OF_ALL, "-k", method]
            yield named
        else:
            yield named
            if parts[-1] == "options.py":
                yield ["tests/common/options", "-k", method]
            yield [*NUMBERS, "-k", f"{method}"]
    elif path.endswith(".yaml"):
        for method in ("ssnet", "iere"):
            yield [*NUMBERS, *OF_ALL, "-k", method]
    else:
        mirrors = sorted((tests / "common").rglob(f"test_{Path(path).stem.strip('_')}.py"))
        folder = tests.joinpath(*parts[:-1])
        yield [str(p.relative_to(root)) for p in mirrors or sorted(folder.glob("test_*.py"))]
