"""The table of layers on the page of every bundle: files that exist, and all of them."""

import re
from fnmatch import fnmatch
from itertools import takewhile

import pytest

from tools.run import SHARED

from .conftest import BUNDLES

NAMES = sorted(path.name for path in BUNDLES.iterdir() if (path / "configs").is_dir())


def named(bundle):
    """Names and patterns in the first column; ``_linear`` after ``ablation_constant`` is ``ablation_linear``."""
    page = (BUNDLES / bundle / "docs" / "README.md").read_text(encoding="utf-8")
    for line in takewhile(lambda line: line.startswith("|"), page.partition("| file | what |\n")[2].splitlines()):
        for word in re.findall(r"`([^`]+)`", line.split("|")[1]):
            name = word.removesuffix(".yaml")
            yield f"ablation{name}" if name.startswith("_") else name


@pytest.mark.parametrize("bundle", NAMES)
def test_pages_name_all_layers_and_no_others(bundle):
    held = {path.stem for path in (BUNDLES / bundle / "configs").glob("*.yaml")}
    shared = {path.stem for path in SHARED.glob("*.yaml")}
    names = list(named(bundle))
    assert not [name for name in names if "*" not in name and name not in held | shared]
    unnamed = {layer for layer in held if not any(fnmatch(layer, name) for name in names)}
    assert unnamed == {"train", "inference"}
