import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, EnsureTyped, LoadImaged

from common.data import CachedDataset, CheckedDataset, unlabeled_of
from common.errors import InputError

READ = Compose(
    [LoadImaged(["image", "label"], ensure_channel_first=True, allow_missing_keys=True), EnsureTyped("image")]
)


@pytest.fixture
def write(tmp_path):
    """Write an array as NIfTI and return its path."""

    def save(name, array):
        path = tmp_path / f"{name}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)
        return str(path)

    return save


def image(shape=(6, 5, 4)):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def label(shape=(6, 5, 4), classes=2):
    return np.random.default_rng(1).integers(0, classes, shape).astype(np.uint8)


def truncate(path):
    with open(path, "rb") as file:
        content = file.read()
    with open(path, "wb") as file:
        file.write(content[: len(content) // 2])


def test_cases_are_plain_channel_first_tensors(write):
    item = {"image": write("i", image()), "label": write("l", label(classes=3)), "case": "a"}
    (case,) = [CachedDataset([item], READ, classes=3)[0]]
    assert case["case"] == "a"
    assert type(case["image"]) is torch.Tensor
    assert not isinstance(case["label"], MetaTensor)
    assert case["image"].dtype == torch.float32
    assert case["label"].dtype == torch.uint8
    np.testing.assert_array_equal(case["image"][0], image())
    np.testing.assert_array_equal(case["label"][0], label(classes=3))


def test_unlabeled_cases_need_no_label(write):
    assert "label" not in CachedDataset([{"image": write("i", image())}], READ)[0]


def test_cases_keep_their_order_whatever_the_threads_do(write):
    items = [{"image": write(f"i{n}", np.full((3, 3, 3), n, np.float32))} for n in range(6)]
    dataset = CachedDataset(items, READ, workers=3)
    assert [int(dataset[i]["image"][0, 0, 0, 0]) for i in range(len(dataset))] == list(range(6))


def test_transforms_run_once_per_case():
    calls = []

    def transform(item):
        calls.append(item["image"])
        return {"image": torch.zeros(1, 2, 2)}

    dataset = CachedDataset([{"image": "a"}, {"image": "b"}], transform, workers=1)
    for _ in range(3):
        dataset[0], dataset[1]
    assert calls == ["a", "b"]


def test_arrays_become_tensors():
    dataset = CachedDataset([{"image": "a"}], lambda item: {"image": np.ones((1, 2, 2), np.float32)})
    assert torch.equal(dataset[0]["image"], torch.ones(1, 2, 2))


def test_an_empty_list_is_an_empty_data_set():
    assert len(CachedDataset([], READ)) == 0


def test_slices_are_samples_of_their_own(write):
    items = [{"image": write(f"i{n}", image((6, 5, n))), "label": write(f"l{n}", label((6, 5, n))), "case": f"c{n}"}
             for n in (2, 3)]  # fmt: skip
    volumes, slices = CachedDataset(items, READ), CachedDataset(items, READ, slices=True)
    assert len(slices) == 5
    for index, (case, z) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]):
        assert slices[index]["case"] == volumes[case]["case"]
        assert slices[index]["image"].shape == (1, 6, 5)
        for key in ("image", "label"):
            assert torch.equal(slices[index][key], volumes[case][key][..., z])
    flat = CachedDataset([{"image": write("flat", image((6, 5)))}, *items], READ, slices=True)
    assert len(flat) == 6 and flat[0]["image"].shape == (1, 6, 5)


# ---- what is wrong with a file is known at construction


@pytest.mark.parametrize("broken", ["image", "label"])
def test_truncated_files_are_named_and_readable_ones_are_not(write, broken):
    shape = (30, 30, 30)
    item = {"image": write("image", image(shape)), "label": write("label", label(shape))}
    truncate(item[broken])
    other = item["label" if broken == "image" else "image"]
    with pytest.raises(InputError, match="cannot be read") as caught:
        CachedDataset([item], READ)
    assert item[broken] in str(caught.value)
    assert other not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.nii\.gz: cannot be read"):
        CachedDataset([{"image": str(tmp_path / "gone.nii.gz")}], READ)


def test_failing_transforms_tell_their_reason(write):
    def fail(item):
        raise RuntimeError("no room\nsecond line") from ValueError("deepest reason")

    with pytest.raises(InputError, match=r"i\.nii\.gz: cannot be read \(ValueError: deepest reason\)"):
        CachedDataset([{"image": write("i", image())}], fail)


def test_long_reasons_are_cut(write):
    def fail(item):
        raise ValueError(400 * "x")

    with pytest.raises(InputError, match=rf"cannot be read \(ValueError: {188 * 'x'}\)"):
        CachedDataset([{"image": write("i", image())}], fail)


def test_shapes_that_differ_are_reported_with_both(write):
    item = {"image": write("i", image((6, 5, 4))), "label": write("l", label((6, 5, 3)))}
    with pytest.raises(InputError, match=r"l\.nii\.gz: label of shape \(6, 5, 3\) for an image of shape \(6, 5, 4\)"):
        CachedDataset([item], READ)


@pytest.mark.parametrize(
    ("value", "dtype", "shown"),
    [(2, np.uint8, r"\[2"), (255, np.uint8, r"\[255"), (-1, np.int16, r"\[-1"), (0.5, np.float32, r"\[0\.5")],
)
def test_label_values_outside_the_classes_are_listed(write, value, dtype, shown):
    wrong = label().astype(dtype)
    wrong[0, 0, 0] = value
    item = {"image": write("i", image()), "label": write("l", wrong)}
    with pytest.raises(InputError, match=rf"l\.nii\.gz: label values {shown}.*outside the classes 0\.\.1"):
        CachedDataset([item], READ, classes=2)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_label_values_that_are_no_numbers_are_input_errors(write, value):
    wrong = label().astype(np.float32)
    wrong[0, 0, 0] = value
    with pytest.raises(InputError, match=r"l\.nii\.gz: label values"):
        CachedDataset([{"image": write("i", image()), "label": write("l", wrong)}], READ)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_images_that_are_not_finite_are_refused(write, value):
    wrong = image()
    wrong[1, 2, 3] = value
    with pytest.raises(InputError, match=r"i\.nii\.gz: the image holds NaN or infinite values"):
        CachedDataset([{"image": write("i", wrong)}], READ)


def test_more_classes_allow_more_values(write):
    item = {"image": write("i", image()), "label": write("l", label(classes=4))}
    assert int(CachedDataset([item], READ, classes=4)[0]["label"].max()) == 3


# ---- without a cache


def test_checked_data_set_reads_on_access_and_names_a_broken_file(write):
    items = [{"image": write("good", image((30, 30, 30)))}, {"image": write("bad", image((30, 30, 30)))}]
    truncate(items[1]["image"])
    dataset = CheckedDataset(items, READ)
    assert dataset[0]["image"].shape == (1, 30, 30, 30)
    with pytest.raises(InputError, match=r"bad\.nii\.gz: cannot be read"):
        dataset[1]


def test_known_cases_are_no_unlabeled_ones_however_their_paths_are_written(tmp_path):
    cases = [{"image": str(tmp_path / name)} for name in ("a.nii", "b.nii", "c.nii", "d.nii")]
    (tmp_path / "link").symlink_to(tmp_path)
    decode = lambda case: {"image": torch.zeros(1, 2, 2, 2), "file": case["image"]}  # noqa: E731
    labeled = CachedDataset([{"image": str(tmp_path / "x" / ".." / "a.nii")}], decode, classes=3, slices=True)
    rest = unlabeled_of(labeled, cases, [{"image": str(tmp_path / "link" / "c.nii")}])
    assert [case["image"] for case in rest.data] == [cases[1]["image"], cases[3]["image"]]
    assert rest.classes == 3 and len(rest) == 4  # two slices of each
