"""Every bundle on every data set it has a layer for: prepared from a download's layout, trained, measured, applied."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from common.data.masks import ENCODINGS
from common.errors import find_explained
from tests.downloads import WRITERS
from tools.package import package
from tools.prepare import prepare
from tools.run import run
from tools.verify import verify

from .built import parser
from .conftest import BUNDLES
from .data_sets import ROWS, command_of, layer, names_in, options_of

IDS = [row.name for row in ROWS]


@pytest.fixture(scope="session")
def data_of(tmp_path_factory):
    """The folder that a row trains on: its download, prepared by the command that its layer names."""
    made: dict[str, Path] = {}

    def once(key: str, make) -> Path:
        if key not in made:
            made[key] = tmp_path_factory.mktemp("data") / "folder"
            make(made[key])
        return made[key]

    def folder(row) -> Path:
        download = once(row.download, WRITERS[row.download])
        words = command_of(row)
        if words is None:
            return download / row.inside
        make = lambda out: prepare(words[0], str(download), str(out), workers=1, **options_of(words))  # noqa: E731
        return once(row.download + " ".join(words[:1] + words[5:]), make)

    return folder


def test_every_layer_of_a_data_set_is_in_the_table():
    known = {(row.bundle, name) for row in ROWS for name in row.layers.split()}
    there = {
        (folder.name.removesuffix("_segmentation"), name)
        for folder in BUNDLES.iterdir()
        if (folder / "configs").is_dir()
        for name in names_in(folder / "configs")
        if not name.endswith(("_quick", "_draws"))
    }
    assert there <= known


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_the_command_of_a_layer_writes_where_it_reads(row):
    words = command_of(row)
    if words is not None and "--output" in words:
        assert words[words.index("--output") + 1] == layer(row)["dataset_dir"]


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_a_data_set_is_trained_measured_and_applied(row, data_of, tmp_path):
    name, data, out = f"{row.bundle}_segmentation", data_of(row), tmp_path / "run"
    run(name, *row.layers.split(), **row.small, dataset_dir=str(data), output_dir=str(out))
    run(name, "evaluate", ckpt_dir=str(out), split="test", amp=False, device="cpu", progress=False)
    summary = json.loads((out / "test" / "summary.json").read_text(encoding="utf-8"))
    assert (summary["cases"], len(summary["classes"])) == row.parts

    images = inputs(data, out)
    images = [image for image in images if image.parent == images[0].parent][:2]  # names repeat from site to site
    run(name, "inference", checkpoint=str(out), inputs=[str(path) for path in images], device="cpu", amp=False,
        output_dir=str(tmp_path / "out"))  # fmt: skip
    codes = ENCODINGS.get(layer(row).get("encoding")) or {}  # a result is stored as the masks of the training are
    known = {int(code) for code in np.ravel(list(codes))} | set(range(row.parts[1] + 1))
    results = sorted((tmp_path / "out").iterdir())
    assert len(results) == len(images)
    for result in results:
        assert set(np.unique(pixels(result)).tolist()) <= known, result


TOO_FEW = [  # row and what is told of its layer's own counts, which the small copy cannot have
    ("ssnet-la-la2018", "labeled=8: expected a number between 0 and the 4 in the list"),
    ("sgrsnet-brats-brats2019", "labeled=25: expected a number between 0 and the 4 in the list"),
    (
        "iere-nci_isbi-nci_isbi2013",
        "domain runmc: the labeled list is empty; ratios label none of its 6: say labeled=N",
    ),
    ("synfoc-prostate-prostate", "domain BIDMC: labeled=20: expected a number between 0 and the 4 in the list"),
    ("synfoc-busi-busi", "domain benign: labeled=64: expected a number between 0 and the 9 in the list"),
]


@pytest.mark.parametrize(("name", "words"), TOO_FEW, ids=[name for name, _ in TOO_FEW])
def test_fewer_cases_than_a_layer_counts_on_are_told(name, words, data_of):
    row = ROWS[IDS.index(name)]
    config = parser(f"{row.bundle}_segmentation", *row.layers.split(), dataset_dir=str(data_of(row)))
    with pytest.raises(Exception) as caught:
        config.get_parsed_content("datalist")
    assert words in str(find_explained(caught.value))


def test_a_prepared_folder_in_the_place_of_the_download_is_told(data_of, tmp_path):
    prepare("busi", str(data_of(ROWS[IDS.index("synfoc-busi-busi")])), str(tmp_path / "out"), workers=1)
    config = parser("synfoc_segmentation", "busi", dataset_dir=str(tmp_path / "out"))
    with pytest.raises(Exception) as caught:
        config.get_parsed_content("datalist")
    assert "it was made by prepare: layout=manifest and encoding=index" in str(find_explained(caught.value))
    chosen = {"layout": "manifest", "encoding": "index", "labeled": 4}
    config = parser("synfoc_segmentation", "busi", dataset_dir=str(tmp_path / "out"), **chosen)
    assert len(config.get_parsed_content("datalist")["labeled"]) == 4


PACKAGED = {(row.bundle, row.layers): row for row in ROWS}


@pytest.mark.slow
@pytest.mark.parametrize("row", PACKAGED.values(), ids=[f"{bundle}-{layers}" for bundle, layers in PACKAGED])
def test_a_data_set_is_packaged_and_verified(row, data_of, tmp_path, capsys):
    name, layers, out = f"{row.bundle}_segmentation", row.layers.split(), tmp_path / "run"
    run(name, *layers, **row.small, dataset_dir=str(data_of(row)), output_dir=str(out))
    verify(package(name, layers, str(out), output=str(tmp_path / "dist"), dirty=True))
    assert "every check that was run passed" in capsys.readouterr().out


def inputs(data: Path, out: Path) -> list[Path]:
    """Images of the cases that were measured."""
    with open(out / "test" / "metrics.csv", encoding="utf-8", newline="") as file:
        names = list(dict.fromkeys(row["case"] for row in csv.DictReader(file)))
    found = [[*(data / "images").glob(f"{name}.*"), *data.glob(f"{name}.*")] for name in names]
    if not any(found):  # slices of patients
        found = [sorted((data / "images").glob(f"{Path(name).name}_*")) for name in names]
    assert all(found), names
    return [paths[0] for paths in found]


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path) if path.suffix == ".png" else nibabel.load(path).dataobj)
