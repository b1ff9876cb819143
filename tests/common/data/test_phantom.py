import json

import nibabel
import numpy as np
import pytest
from monai.transforms import Compose, EnsureTyped, LoadImaged

from common.data import CachedDataset, DecodeMaskd, Phantom, write_phantom_domains, write_phantoms
from common.datasets import load_datalist, load_domains

SIZES = [(24, 20), (20, 18, 16)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("classes", [2, 4])
def test_image_is_normalised_and_label_holds_the_classes(size, classes):
    for seed in range(3):
        image, label = Phantom(size, classes).sample(seed)
        assert image.shape == label.shape == size
        assert (image.dtype, label.dtype) == (np.float32, np.uint8)
        assert image.mean() == pytest.approx(0, abs=1e-5)
        assert image.std() == pytest.approx(1, abs=1e-5)
        assert set(np.unique(label)) <= set(range(classes))
        assert 0.005 < (label > 0).mean() < 0.5


def test_every_class_occurs_in_some_case():
    found = set()
    for seed in range(4):
        found |= set(np.unique(Phantom((24, 24), 4).sample(seed)[1]))
    assert found == {0, 1, 2, 3}


@pytest.mark.parametrize("size", SIZES)
def test_a_seed_always_gives_the_same_case_and_another_a_different_one(size):
    phantom = Phantom(size)
    (image, label), (again, label_again), (other, _) = phantom.sample(5), Phantom(size).sample(5), phantom.sample(6)
    np.testing.assert_array_equal(image, again)
    np.testing.assert_array_equal(label, label_again)
    assert not np.allclose(image, other)


def test_global_random_state_does_not_matter():
    first = Phantom((16, 16)).sample(0)[0]
    np.random.seed(123)
    np.testing.assert_array_equal(Phantom((16, 16)).sample(0)[0], first)


def test_organs_are_brighter_than_the_rest_when_it_is_easy():
    image, label = Phantom((32, 32, 16), difficulty=0.0).sample(0)
    assert image[label == 1].mean() > image[label == 0].mean() + 1


def test_difficulty_weakens_the_contrast():
    def contrast(difficulty):
        cases = [Phantom((32, 32), difficulty=difficulty).sample(seed) for seed in range(6)]
        return np.mean([image[label == 1].mean() - image[label == 0].mean() for image, label in cases])

    assert contrast(0.0) > contrast(1.0)


def test_separation_sets_the_organs_apart_and_keeps_the_anatomy():
    near, far = [
        [Phantom((32, 32, 16), 3, 0.0, separation=separation).sample(seed) for seed in range(6)]
        for separation in (0.1, 0.4)
    ]

    def distance(cases):
        return np.mean([image[label == 2].mean() - image[label == 1].mean() for image, label in cases])

    assert distance(far) > 2 * distance(near) > 0
    for (_, label), (_, same) in zip(near, far):
        np.testing.assert_array_equal(label, same)


def test_domain_changes_the_image_and_not_the_anatomy():
    cases = [Phantom((32, 32), domain=domain).sample(3) for domain in range(3)]
    for image, label in cases[1:]:
        np.testing.assert_array_equal(label, cases[0][1])
        assert np.abs(image - cases[0][0]).mean() > 0.05
    assert np.abs(cases[1][0] - cases[2][0]).mean() > 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [({"size": (32,)}, "two or three extents"), ({"size": (32, 32, 32, 32)}, "two or three extents"),
     ({"size": (32, 8)}, "at least 16"), ({"classes": 1}, "classes >= 2"), ({"difficulty": 1.5}, "difficulty"),
     ({"difficulty": -0.1}, "difficulty"), ({"separation": -0.1}, "separation"), ({"separation": 2}, "separation")],
)  # fmt: skip
def test_impossible_phantoms_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Phantom(**options)


@pytest.mark.parametrize("size", SIZES)
def test_written_phantoms_are_a_data_set(tmp_path, size):
    folder = write_phantoms(tmp_path / "set", Phantom(size, classes=3), 2, 3, 1, 2, seed=4)
    datalist = load_datalist(folder)
    assert {role: len(items) for role, items in datalist.items()} == {
        "labeled": 2, "unlabeled": 3, "validation": 1, "test": 2
    }  # fmt: skip
    read = Compose(
        [LoadImaged(["image", "label"], ensure_channel_first=True, allow_missing_keys=True), EnsureTyped("image")]
    )
    cases = [case for role in ("labeled", "unlabeled") for case in CachedDataset(datalist[role], read, classes=3)]
    for number, case in enumerate(cases):
        image, label = Phantom(size, classes=3).sample(40_000 + number)
        np.testing.assert_array_equal(case["image"][0], image)
        if number < 2:
            np.testing.assert_array_equal(case["label"][0], label)


def test_unlabeled_phantoms_have_no_label_file(tmp_path):
    folder = write_phantoms(tmp_path, Phantom((16, 16)), 1, 2, 1, 1)
    lists = json.loads((folder / "splits.json").read_text(encoding="utf-8"))
    with_label = {path.name.split(".")[0] for path in (folder / "labels").iterdir()}
    assert with_label == set(lists["labeled"] + lists["validation"] + lists["test"])
    assert len(list((folder / "images").iterdir())) == 5


@pytest.mark.parametrize(
    ("size", "spacing"),
    [
        ((16, 16, 16), (0.5, 1.0, 2.0)),
        ((16, 16), (0.5, 1.0)),
    ],
)
def test_spacing_is_written(tmp_path, size, spacing):
    folder = write_phantoms(tmp_path, Phantom(size), 1, 0, 0, 0, spacing=spacing)
    image = nibabel.load(folder / "images" / "phantom_000.nii.gz")
    assert image.header.get_zooms() == pytest.approx(spacing)


def test_domains_are_pictures_with_masks_that_load(tmp_path):
    family = Phantom(size=(24, 32), classes=3)
    root = write_phantom_domains(tmp_path, family, domains=2, train=3, validation=1, test=1, seed=5)
    roles = load_domains(root, "domain_lists", "site_1", labeled=2)
    assert [len(cases) for cases in roles.values()] == [2, 4, 2, 2]
    load = Compose([LoadImaged("image", ensure_channel_first=True), DecodeMaskd("label")])
    first = CachedDataset(roles["labeled"], load, classes=3)[0]
    image, label = Phantom(size=(24, 32), classes=3, domain=1).sample(51000)
    np.testing.assert_array_equal(first["label"][0], label)
    assert np.corrcoef(first["image"].flatten(), image.flatten())[0, 1] > 0.99
    assert first["image"].min() >= 0 and first["image"].max() == 255


def test_domains_of_volumes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="two extents"):
        write_phantom_domains(tmp_path, Phantom())
