from collections import Counter

import pytest
import torch

from common.transforms import Batch, RandomRotFlip

SQUARE = torch.tensor([[0.0, 1.0], [2.0, 3.0]])


def many(count=800, square=SQUARE, labeled=None):
    image = square.expand(count, 1, 2, 2).clone()
    return Batch(image, image[:labeled].to(torch.uint8))


def symmetries(batch):
    return Counter(tuple(sample.flatten().tolist()) for sample in batch.image)


def reflections():
    """The four reflections of the square: two axes, two diagonals."""
    flipped = SQUARE.flip(0)
    return {tuple(torch.rot90(flipped, k).flatten().tolist()) for k in range(4)}


def rotations():
    return {tuple(torch.rot90(SQUARE, k).flatten().tolist()) for k in range(4)}


def test_full_mode_draws_all_eight_symmetries_equally_often():
    seen = symmetries(RandomRotFlip("full_d4")(many(), torch.Generator().manual_seed(0)))
    assert set(seen) == reflections() | rotations()
    assert all(60 < count < 145 for count in seen.values())


def test_official_mode_draws_the_four_reflections_only_and_never_the_identity():
    seen = symmetries(RandomRotFlip("official")(many(), torch.Generator().manual_seed(0)))
    assert set(seen) == reflections()
    assert all(140 < count < 260 for count in seen.values())


@pytest.mark.parametrize(
    ("turns", "axis", "expected"),
    [(0, -1, [[0, 1], [2, 3]]), (1, -1, [[1, 3], [0, 2]]), (2, -1, [[3, 2], [1, 0]]), (0, 0, [[2, 3], [0, 1]]),
     (0, 1, [[1, 0], [3, 2]]), (1, 0, [[0, 2], [1, 3]])],
)  # fmt: skip
def test_given_parameters_by_hand(turns, axis, expected):
    result = RandomRotFlip().apply(many(1), [(turns, axis)])
    assert result.image[0, 0].tolist() == expected


def test_image_and_label_get_the_same_symmetry_and_unlabeled_images_their_own():
    batch = many(40, labeled=15)
    result = RandomRotFlip()(batch, torch.Generator().manual_seed(1))
    assert torch.equal(result.image[:15], result.label.float())
    assert result.label.dtype == torch.uint8
    assert len(symmetries(Batch(result.image[15:], result.label))) == 8


def test_volumes_turn_in_the_plane_of_the_first_two_axes():
    image = torch.randn(1, 2, 4, 4, 3)
    result = RandomRotFlip().apply(Batch(image, image), [(1, 1)])
    for channel in range(2):
        for z in range(3):
            expected = torch.rot90(image[0, channel, :, :, z]).flip(1)
            assert torch.equal(result.image[0, channel, :, :, z], expected)


def test_a_generator_in_the_same_state_repeats_the_batch():
    first, second = (RandomRotFlip()(many(30), torch.Generator().manual_seed(2)) for _ in range(2))
    assert torch.equal(first.image, second.image)


def test_planes_that_are_not_square_are_refused():
    batch = Batch(torch.zeros(8, 1, 4, 6), torch.zeros(0, 1, 4, 6))
    with pytest.raises(ValueError, match="square"):
        RandomRotFlip()(batch, torch.Generator().manual_seed(0))


def test_a_batch_without_labels_stays_without():
    batch = Batch(torch.zeros(2, 1, 4, 4), torch.zeros(0, 1, 4, 4))
    assert RandomRotFlip()(batch, torch.Generator()).label.shape == (0, 1, 4, 4)


def test_unknown_mode_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="full_d4.*'d4'"):
        RandomRotFlip("d4")


@pytest.mark.parametrize("shape", [(2, 6, 6), (1, 5, 5, 3)])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_samples_are_turned_as_they_are_gathered(shape, kind):
    larger = [torch.randn(shape[0], *(side + 2 for side in shape[1:])).to(kind) for _ in range(40)]
    images = [image[(slice(None), *(slice(1, -1) for _ in shape[1:]))] for image in larger]  # cut, not copied
    labels = [(image[:1] > 0).to(torch.uint8) for image in images[:15]]
    turn, same = RandomRotFlip(), (torch.Generator().manual_seed(3) for _ in range(2))
    found = turn.gather(images, labels, next(same))
    drawn = turn.draw(Batch(torch.stack(images), torch.stack(labels)), next(same))
    for image, (turns, axis), got in zip(images, drawn, found.image, strict=True):
        turned = torch.rot90(image, turns, (1, 2))
        assert torch.equal(got, turned if axis < 0 else turned.flip(axis + 1))
    assert torch.equal(found.label, (found.image[:15, :1] > 0).to(torch.uint8))
    assert found.image.is_contiguous() and found.image.dtype == kind


def test_without_labels_none_are_gathered():
    image = torch.randn(1, 4, 4, requires_grad=True)
    batch = RandomRotFlip().apply(Batch(image[None], torch.zeros(0, 1, 4, 4, dtype=torch.uint8)), [(1, 0)])
    batch.image[0, 0, 0, 0].backward()
    assert batch.label.shape == (0, 1, 4, 4) and image.grad.sum() == 1


def test_mirrors_are_drawn_equally_often_and_need_no_square():
    seen = symmetries(RandomRotFlip("mirrors")(many(), torch.Generator().manual_seed(0)))
    assert set(seen) == {(0, 1, 2, 3), (2, 3, 0, 1), (1, 0, 3, 2), (3, 2, 1, 0)}
    assert all(140 < count < 260 for count in seen.values())
    long = torch.arange(6.0).view(1, 1, 2, 3).repeat(8, 1, 1, 1)
    result = RandomRotFlip("mirrors")(Batch(long, long.to(torch.uint8)), torch.Generator().manual_seed(0))
    assert result.image.shape == long.shape
