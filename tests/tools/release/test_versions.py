"""Versions follow one another."""

import pytest

from common.errors import InputError
from tools.release.versions import FIRST, raised, version_of


@pytest.mark.parametrize(("version", "following"), [("0.1.0", "0.1.1"), ("0.1.9", "0.2.0"), ("0.9.9", "1.0.0")])
def test_the_next_one(version, following):
    assert raised(version) == following


def test_the_last_one_has_none():
    with pytest.raises(InputError, match="no successor"):
        raised("9.9.9")


def test_without_an_archive_it_is_the_first(tmp_path):
    weights = tmp_path / "model.pt"
    weights.touch()
    assert version_of(tmp_path, "x_segmentation", weights) == {"version": FIRST, "changelog": {FIRST: "first version"}}
    with pytest.raises(InputError, match="version='1.10.0': expected x.y.z"):
        version_of(tmp_path, "x_segmentation", weights, "1.10.0")
    (tmp_path / "x_segmentation_v0.1.0.zip").write_text("none", encoding="utf-8")
    with pytest.raises(InputError, match="x_segmentation_v0.1.0.zip: no release whose version could be raised"):
        version_of(tmp_path, "x_segmentation", weights)
