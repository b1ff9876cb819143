import json

import numpy as np
import pytest
from PIL import Image

from common.datasets.lists import read_lists
from common.errors import InputError
from tools.draw import draw

RANDOM = np.random.default_rng(3)


@pytest.fixture
def pictures(tmp_path):
    names = {domain: [f"{n:02d}" for n in range(10)] for domain in ("a", "b")}
    for domain, cases in names.items():
        for folder in ("images", "masks"):
            (tmp_path / domain / folder).mkdir(parents=True)
            for name in cases:
                values = RANDOM.integers(0, 255, (24, 24), np.uint8)
                Image.fromarray(values).save(tmp_path / domain / folder / f"{name}.png")
    twin = (tmp_path / "a" / "images" / "00.png").read_bytes()
    (tmp_path / "b" / "images" / "07.png").write_bytes(twin)
    (tmp_path / "splits.json").write_text(json.dumps({"train": names}))
    return tmp_path


def test_files_of_lists_for_the_option_splits(pictures, capsys, caplog):
    files = draw(str(pictures), layout="domain_lists", draws=2, development=1, report=0.3)
    assert files == [str(pictures / f"draw_{n}.json") for n in (1, 2)]
    first, second = (json.loads((pictures / f"draw_{n}.json").read_text()) for n in (1, 2))
    assert ["a/images/00", "b/images/07"] in [sorted(pair) for pair in first["copies"]]
    assert first["test"] == second["test"] and first["train"] != second["train"]
    assert sum(len(first[key]) for key in ("train", "val", "test")) == 20
    assert read_lists(pictures / "draw_1.json").names("test") == first["test"] and not caplog.records
    out = capsys.readouterr().out
    assert "for choices (val)" in out and "a/images/00 = b/images/07" in out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layout": "circle"}, "layout must be one of"),
        ({"draws": 0}, "--draws 0: expected a whole number of at least 1"),
        ({"development": -1}, "--development -1"),
        ({"layout": "domain_lists", "report": 10, "copies": False}, "leave nothing to train on"),
    ],
)
def test_wrong_options(pictures, options, words):
    with pytest.raises(InputError, match=words):
        draw(str(pictures), **options)
    assert not list(pictures.glob("draw_*"))
