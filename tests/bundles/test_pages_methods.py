"""The page of every method: its picture, its equations beside names that exist, and published figures of their own."""

import json
import re
import runpy
from types import SimpleNamespace

import pytest

from tools import published
from tools.results import EXPERIMENTS, RECORD, read_record

from .conftest import BUNDLES

ROOT = BUNDLES.parent
NAMES = sorted(path.name for path in BUNDLES.iterdir() if (path / "configs").is_dir())
METHODS = [name.removesuffix("_segmentation") for name in NAMES]
QUOTED = [m for m in METHODS if (BUNDLES / f"{m}_segmentation" / published.PUBLISHED).is_file()]
DRAWN = sorted(path.stem for path in (ROOT / "docs" / "methods").glob("*.svg"))


def page(method):
    return (BUNDLES / f"{method}_segmentation" / "docs" / "README.md").read_text(encoding="utf-8")


def section(method, title):
    _, _, rest = page(method).partition(f"\n## {title}\n")
    return re.split(r"\n## ", rest)[0]


@pytest.fixture(scope="module")
def pictures():
    return SimpleNamespace(**runpy.run_path(str(ROOT / "docs" / "pictures.py")))


@pytest.fixture(scope="module")
def common_words():
    return words(*(ROOT / "common").rglob("*.py"))


def words(*files):
    return {word for file in files for word in re.findall(r"\w+", file.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("method", DRAWN)
def test_the_picture_is_what_its_script_draws(method, pictures):
    assert sorted(pictures.PICTURES) == DRAWN and f"docs/methods/{method}.svg" in page(method)
    assert (pictures.FOLDER / f"{method}.svg").read_text(encoding="utf-8") == pictures.drawn(method)


@pytest.mark.parametrize("method", METHODS)
def test_equations_stand_beside_names_of_the_code(method, common_words):
    bundle = BUNDLES / f"{method}_segmentation"
    layers = list(bundle.glob("configs/*.yaml"))
    known = common_words | {layer.stem for layer in layers} | words(*bundle.glob("*/*.py"), *layers)
    rows = [line for line in section(method, "Equations").splitlines() if line.startswith("|")][2:]
    named = [name for row in rows for name in re.findall(r"(?<!\$)`([^`$]+)`(?!\$)", row.rpartition(" | ")[2])]
    assert len(rows) >= 2 and all("`" in row for row in rows)
    assert len(named) > len(rows) and not [n for n in named if not set(re.split(r"\W", n)) <= known]
    assert section(method, "When to choose it").strip()


@pytest.mark.parametrize("method", QUOTED)
def test_ablations_name_all_of_their_layers(method):
    held = {path.stem for path in (BUNDLES / f"{method}_segmentation" / "configs").glob("ablation_*.yaml")}
    text = section(method, "Published and measured").partition("### Ablations")[2]
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("|")]
    named = [re.sub("^_", "ablation_", name) for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(named) == sorted(held - {"ablation_full"})  # which trains a SAM alone, a row of another table


@pytest.mark.parametrize("method", QUOTED)
def test_published_figures_have_a_source_a_rule_and_columns_of_their_own(method):
    bundle = BUNDLES / f"{method}_segmentation"
    rows = json.loads((bundle / published.PUBLISHED).read_text(encoding="utf-8"))
    assert rows and all(row["source"] and row["checkpoint"] and 0 < row["dice"] < 100 for row in rows)
    table = published.as_markdown(rows, read_record(bundle / RECORD), ROOT / EXPERIMENTS)
    assert table in page(method)
    lines = [line for line in table.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {9}
