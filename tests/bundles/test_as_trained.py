"""What inference does follows from the weights alone: no option is repeated, one that contradicts them is refused."""

import nibabel
import numpy as np
import pytest
from PIL import Image

from common.errors import find_explained
from common.runs import Settings

from .conftest import BUNDLES, dims

NAMES = sorted(path.name for path in BUNDLES.iterdir() if (path / "configs").is_dir())
SMALL = {"base_channels": 4}
OF_VOLUMES = {"normalize": True, "spacing": [1.5, 1.5, 1.5]}
OF_PICTURES = {"intensity_range": [10, 180]}


def results(folder):
    read = lambda path: np.asarray(Image.open(path) if path.suffix == ".png" else nibabel.load(path).dataobj)  # noqa: E731
    return {path.name: read(path) for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("name", NAMES)
def test_inference_needs_no_option_and_takes_none_against_the_training(name, phantoms_of, run_tiny, tmp_path):
    flat, data = dims(name) == 2, phantoms_of(name)
    chosen = OF_PICTURES if flat else OF_VOLUMES
    run_tiny(name, dataset_dir=str(data), labeled=2, **SMALL, **chosen)
    settings = Settings.read(tmp_path / "settings.json")
    assert all(settings[option] == value for option, value in chosen.items())
    assert all(settings.components["preprocessing"][option] == value for option, value in chosen.items())

    images = {"inputs": str((data / "site_0" if flat else data) / "images")}
    for folder, weights, options in (("bare", tmp_path, {}), ("stated", tmp_path / "model.pt", {**chosen, **SMALL})):
        out = str(tmp_path / folder)
        run_tiny(name, "inference", **images, checkpoint=str(weights), output_dir=out, **options)
    bare, stated = results(tmp_path / "bare"), results(tmp_path / "stated")
    assert bare and bare.keys() == stated.keys()
    assert all(np.array_equal(bare[case], stated[case]) for case in bare)

    option, value = next(iter(chosen.items()))
    other = [0, 255] if flat else False
    with pytest.raises(Exception) as caught:
        run_tiny(
            name, "inference", **images, checkpoint=str(tmp_path), output_dir=str(tmp_path / "x"), **{option: other}
        )
    words = str(find_explained(caught.value))
    assert f"--{option} {other}: " in words and f"was trained with {option} {value}" in words
    assert not (tmp_path / "x").exists()
