import pytest
import torch

from common.transforms import RandomPatch, ResizedSlice, resize_nearest


def coordinates(*shape):
    """A ``1, spatial`` image whose voxels hold their own number, from 1."""
    return torch.arange(1, 1 + torch.Size(shape).numel(), dtype=torch.float32).view(1, *shape)


def starts_of(patch, shape, draws=300):
    generator = torch.Generator().manual_seed(0)
    return [tuple(patch.draw(shape, generator)) for _ in range(draws)]


def test_patch_is_a_contiguous_part_of_the_case():
    image = coordinates(7, 9)
    patch = RandomPatch([4, 5])
    assert torch.equal(patch.apply(image, [2, 3]), image[:, 2:6, 3:8])


def test_image_and_label_are_cut_at_the_same_place():
    image = coordinates(9, 9, 9)
    case = {"image": image, "label": image.clone(), "case": "a"}
    result = RandomPatch([4, 4, 4])(case, torch.Generator().manual_seed(4))
    assert set(result) == {"image", "label"}
    assert result["image"].shape == (1, 4, 4, 4)
    assert torch.equal(result["image"], result["label"])


def test_starts_are_uniform_over_all_valid_positions():
    drawn = starts_of(RandomPatch([4, 4]), (6, 4))
    assert {start for start, _ in drawn} == {0, 1, 2}
    assert {start for _, start in drawn} == {0}
    assert all(60 < sum(s == start for s, _ in drawn) < 140 for start in range(3))


def test_official_sampler_never_draws_the_last_start():
    drawn = starts_of(RandomPatch([4, 4], official=True), (7, 9))
    assert {start for start, _ in drawn} == {0, 1, 2}
    assert {start for _, start in drawn} == {0, 1, 2, 3, 4}


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((8, 8), [(0, 0), (0, 0)]), ((5, 9), [(1, 2), (0, 0)]), ((6, 1), [(1, 1), (3, 4)])],
)
def test_only_missing_voxels_are_padded_symmetrically(shape, expected):
    assert RandomPatch([8, 8]).padding(shape) == expected


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((9, 9), [(0, 0), (0, 0)]), ((8, 9), [(3, 3), (2, 2)]), ((4, 12), [(5, 5), (1, 1)]), ((4, 20), [(5, 5), (0, 0)])],
)
def test_official_padding_touches_every_axis_once_one_is_no_larger_than_the_patch(shape, expected):
    by_formula = [max((8 - s) // 2 + 3, 0) for s in shape] if min(shape) <= 8 else [0, 0]
    assert expected == [(p, p) for p in by_formula]
    assert RandomPatch([8, 8], official=True).padding(shape) == expected


@pytest.mark.parametrize("official", [False, True])
@pytest.mark.parametrize("shape", [(5, 12), (3, 3), (8, 8), (20, 9)])
def test_patch_equals_padding_the_whole_case_first(official, shape):
    patch, image = RandomPatch([8, 8], pad_value=-7.0, official=official), coordinates(*shape)
    (top, bottom), (left, right) = patch.padding(shape)
    padded = torch.nn.functional.pad(image, (left, right, top, bottom), value=-7.0)
    for row, column in starts_of(patch, shape, draws=20):
        expected = padded[:, row : row + 8, column : column + 8]
        assert expected.shape == (1, 8, 8)
        assert torch.equal(patch.apply(image, [row, column], -7.0), expected)


def test_padding_has_its_value_in_the_image_and_zero_in_the_label():
    case = {"image": torch.ones(1, 2, 2), "label": torch.ones(1, 2, 2, dtype=torch.uint8)}
    result = RandomPatch([4, 4], pad_value=-1.0)(case, torch.Generator())
    assert result["image"][0].tolist() == [[-1, -1, -1, -1], [-1, 1, 1, -1], [-1, 1, 1, -1], [-1, -1, -1, -1]]
    assert result["label"].dtype == torch.uint8
    assert torch.equal(result["label"], (result["image"] == 1).to(torch.uint8))


def test_a_generator_in_the_same_state_repeats_the_patch():
    patch, case = RandomPatch([3, 3]), {"image": coordinates(20, 20)}
    first, second = (patch(case, torch.Generator().manual_seed(9))["image"] for _ in range(2))
    assert torch.equal(first, second)


def test_resized_slice_takes_nearest_voxels_of_image_and_label():
    case = {"image": coordinates(2, 2), "label": coordinates(2, 2).to(torch.uint8), "case": "a"}
    result = ResizedSlice([4, 4])(case, torch.Generator())
    expected = [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    assert result["image"][0].tolist() == expected
    assert result["label"][0].tolist() == expected
    assert result["label"].dtype == torch.uint8


def test_resizing_down_takes_the_middle_of_each_cell():
    assert resize_nearest(coordinates(1, 9)[None], (1, 3)).flatten().tolist() == [2, 5, 8]


def test_resizing_to_the_same_size_returns_the_tensor_itself():
    image = coordinates(3, 3)[None]
    assert resize_nearest(image, (3, 3)) is image


def test_antialiased_images_average_what_they_drop_and_labels_stay_classes():
    stripes = (torch.arange(8) % 2).float().view(1, 1, 8).expand(1, 8, 8)
    case = {"image": stripes, "label": stripes.to(torch.uint8)}
    result = ResizedSlice([4, 4], resample="antialias")(case, torch.Generator())
    torch.testing.assert_close(result["image"][:, :, 1:-1], torch.full((1, 4, 2), 0.5))
    assert set(result["label"].unique().tolist()) <= {0, 1}
    with pytest.raises(ValueError, match="resample must be one of"):
        ResizedSlice([4, 4], resample="cubic")


def organs(shape=(40, 30, 20)):
    """A labeled case with a large and a small class."""
    label = torch.zeros(1, *shape, dtype=torch.uint8)
    label[:, 20:35, 5:25, 2:18], label[:, 3:5, 27:29, 1:3] = 1, 2
    return {"image": coordinates(*shape), "label": label}


def test_patches_around_foreground_have_a_voxel_of_each_class_in_the_middle_equally_often():
    label, generator = torch.zeros(1, 60, 60, 60, dtype=torch.uint8), torch.Generator().manual_seed(0)
    label[:, 20:40, 20:40, 20:40], label[:, 45:47, 45:47, 45:47] = 1, 2
    case = {"image": coordinates(60, 60, 60), "label": label}
    patch = RandomPatch([8, 8, 8], foreground=1)
    drawn = [int(patch(case, generator)["label"][0, 4, 4, 4]) for _ in range(200)]
    assert set(drawn) == {1, 2} and 70 < drawn.count(2) < 130
    anywhere = [int(RandomPatch([8, 8, 8])(case, generator)["label"].max()) for _ in range(200)]
    assert anywhere.count(2) < 10


def test_patches_around_foreground_stay_within_the_case_and_are_a_share():
    case, generator = organs(), torch.Generator().manual_seed(0)
    patch = RandomPatch([16, 16, 24], foreground=0.25)  # thicker than the case
    drawn = [patch(case, generator) for _ in range(300)]
    assert all(part["image"].shape == part["label"].shape == (1, 16, 16, 24) for part in drawn)
    number, label = drawn[0]["image"].long(), case["label"].flatten()
    assert torch.equal(drawn[0]["label"][number > 0], label[number[number > 0] - 1])
    rare = sum(int(part["label"].max()) == 2 for part in drawn) / len(drawn)
    everywhere = sum(int(RandomPatch([16, 16, 24])(case, generator)["label"].max()) == 2 for _ in range(300)) / 300
    assert 0.06 < rare - everywhere < 0.2  # half of a quarter, those aside that hold it anyway


@pytest.mark.parametrize("official", [False, True])
def test_without_foreground_or_a_label_patches_lie_where_they_did(official):
    case = organs()
    some, none = (RandomPatch([8, 8, 8], official=official, foreground=share) for share in (0.5, 0))
    first, second = (torch.Generator().manual_seed(3) for _ in range(2))
    for _ in range(5):
        assert torch.equal(some({"image": case["image"]}, first)["image"], none(case, second)["image"])
    empty = {**case, "label": torch.zeros_like(case["label"])}
    assert some.around(empty["label"]) is None and some(empty)["image"].shape == (1, 8, 8, 8)
