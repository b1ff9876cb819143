import pytest
import torch

from common.transforms import Batch, BatchTransform, OneOf, RandomRotate2D, RandomRotFlip


class Add(BatchTransform):
    """Adds a number to image and label; draws its own random numbers to be passed on."""

    def __init__(self, number):
        self.number = number

    def draw(self, batch, generator):
        return torch.rand(batch.image.shape[0], generator=generator)

    def apply(self, batch, parameters):
        assert len(parameters) == len(batch.image)
        return Batch(batch.image + self.number, batch.label + self.number)


def zeros(count, labeled):
    return Batch(torch.zeros(count, 1, 2, 2), torch.zeros(labeled, 1, 2, 2, dtype=torch.uint8))


def shares(result):
    values = result.image[:, 0, 0, 0]
    return [float((values == number).float().mean()) for number in (0, 1, 2)]


def test_each_sample_gets_one_alternative_with_its_probability():
    transform = OneOf([Add(1), Add(2)], [0.5, 0.25])
    result = transform(zeros(4000, 10), torch.Generator().manual_seed(0))
    assert shares(result) == pytest.approx([0.25, 0.5, 0.25], abs=0.03)


def test_image_and_label_of_a_sample_get_the_same_alternative():
    result = OneOf([Add(1), Add(2)], [0.4, 0.4])(zeros(60, 40), torch.Generator().manual_seed(0))
    assert result.label.dtype == torch.uint8
    assert torch.equal(result.image[:40], result.label.float())
    assert set(result.label.flatten().tolist()) == {0, 1, 2}


@pytest.mark.parametrize(("probabilities", "expected"), [([0.0, 0.0], 0), ([1.0, 0.0], 1), ([0.0, 1.0], 2)])
def test_certain_choices(probabilities, expected):
    result = OneOf([Add(1), Add(2)], probabilities)(zeros(30, 5), torch.Generator().manual_seed(0))
    assert (result.image == expected).all()
    assert (result.label == expected).all()


def test_the_batch_given_is_left_alone():
    batch = zeros(8, 4)
    OneOf([Add(1)], [1.0])(batch, torch.Generator().manual_seed(0))
    assert not batch.image.any()
    assert not batch.label.any()


def test_a_batch_without_labels_stays_without():
    result = OneOf([Add(1)], [1.0])(zeros(8, 0), torch.Generator().manual_seed(0))
    assert result.label.shape == (0, 1, 2, 2)
    assert (result.image == 1).all()


def test_acdc_protocol_keeps_labels_on_their_images_and_repeats_from_its_generator():
    image = torch.randint(0, 4, (24, 1, 9, 9)).float()
    transform = OneOf([RandomRotFlip("official"), RandomRotate2D(20)], [0.5, 0.25])
    first, second = (
        transform(Batch(image, image[:12].to(torch.uint8)), torch.Generator().manual_seed(7)) for _ in range(2)
    )
    assert torch.equal(first.image[:12], first.label.float())
    assert torch.equal(first.image, second.image)
    untouched = (first.image == image).flatten(1).all(1)
    assert 0 < untouched.sum() < 24


@pytest.mark.parametrize("probabilities", [[0.5], [0.7, 0.4], [-0.1, 0.5]])
def test_impossible_probabilities_are_refused(probabilities):
    with pytest.raises(ValueError, match="one probability per transform"):
        OneOf([Add(1), Add(2)], probabilities)
