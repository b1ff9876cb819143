"""Metadata of a release: version, packages and what is true of the data set."""

import pytest

from common.errors import InputError
from tools.release.description import published
from tools.release.metadata import check_version, pins, released, required_packages


def test_the_version_is_the_newest_of_the_changelog():
    assert check_version({"version": "0.2.0", "changelog": {"0.1.9": "", "0.2.0": ""}}, "m") == "0.2.0"


@pytest.mark.parametrize("version", ["0.1", "0.1.10", "v0.1.0", "0.1.0-dirty", "0.1.0.dev1", 1, None])
def test_a_malformed_version_is_refused(version):
    with pytest.raises(InputError, match="m: version=.* must be x.y.z"):
        check_version({"version": version, "changelog": {str(version): ""}}, "m")


@pytest.mark.parametrize("changelog", [{}, {"0.1.0": ""}, {"0.2.0": "", "0.3.0": ""}])
def test_an_inconsistent_version_is_refused(changelog):
    with pytest.raises(InputError, match="the newest entry of the changelog"):
        check_version({"version": "0.2.0", "changelog": changelog}, "m")


def test_required_packages_are_named_as_pip_names_them():
    imported = ["torch.nn", "numpy", "skimage.measure", "ignite.engine.Events", "PIL.Image", "tqdm.tqdm"]
    expected = {"scikit-image", "pytorch-ignite", "pillow", "tqdm", "fire"}
    assert required_packages(imported, ["torch.optim.SGD"]) == expected


@pytest.mark.parametrize(
    ("target", "package"),
    [
        ("SaveImaged", "nibabel"),
        ("KeepLargestConnectedComponentd", "scikit-image"),
        ("SupervisedEvaluator", "pytorch-ignite"),
        ("HausdorffDistanceMetric", "scipy"),
        ("PILReader", "pillow"),
    ],
)
def test_a_component_brings_what_it_imports_late(target, package):
    assert required_packages([], [target]) == {"fire", package}


def test_pins_are_exactly_the_required_ones():
    metadata = {"required_packages_version": {"tqdm": "4.67.1", "rich": "13.0", "scipy": "1.15"}}
    assert pins(metadata, {"scipy", "tqdm"}, "m") == {"tqdm": "4.67.1", "scipy": "1.15"}
    with pytest.raises(InputError, match="m: required_packages_version lacks fire, which the bundle imports"):
        pins(metadata, {"fire"}, "m")


FORM = {"spatial_shape": ["16*n"] * 3, "num_channels": 1}
METADATA = {"task": "t", "network_data_format": {"inputs": {"image": FORM}, "outputs": {"pred": FORM}}}


@pytest.mark.parametrize(
    ("patch", "shape"), [([112, 112, 80], ["16*n"] * 3), ([256, 256], ["16*n"] * 2), ([100, 64], [100, 64])]
)
def test_the_format_follows_patch_and_classes(patch, shape):
    result = released(METADATA, published(["acdc"]), {"num_classes": 4, "patch_size": patch}, {"extra": 1})
    image, pred = (result["network_data_format"][k][v] for k, v in (("inputs", "image"), ("outputs", "pred")))
    assert image["spatial_shape"] == pred["spatial_shape"] == shape
    assert pred["num_channels"] == 4 and pred["channel_def"]["3"] == "left_ventricle" and image["num_channels"] == 1
    assert result["extra"] == 1 and result["label_classes"].endswith("3 left ventricle")


def test_classes_and_channels_must_be_those_of_the_data_set():
    with pytest.raises(InputError, match="num_classes=2 but the data set has 4: background, right_ventricle"):
        released(METADATA, published(["acdc"]), {"num_classes": 2}, {})
    with pytest.raises(InputError, match="in_channels=1 but the data set has 3: red, green, blue"):
        released(METADATA, published(["fundus"]), {"num_classes": 3, "in_channels": 1}, {})
