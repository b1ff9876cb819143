import torch

from common.transforms import Batch, BatchTransform
from common.transforms.batch import stacked


class AddOneNumber(BatchTransform):
    def draw(self, batch, generator):
        return torch.rand((), generator=generator)

    def apply(self, batch, parameters):
        return Batch(batch.image + parameters, batch.label)


def test_labeled_samples_are_the_head_of_the_batch():
    batch = Batch(torch.zeros(5, 1, 4, 4), torch.zeros(2, 1, 4, 4, dtype=torch.uint8))
    assert batch.labeled == 2


def test_batches_move_as_a_whole():
    moved = Batch(torch.zeros(2, 1, 4), torch.zeros(1, 1, 4)).to("meta")
    assert (moved.image.device.type, moved.label.device.type) == ("meta", "meta")


def test_calling_a_transform_draws_from_the_generator_and_applies():
    batch = Batch(torch.zeros(2, 1, 4), torch.zeros(1, 1, 4))
    expected = torch.rand((), generator=torch.Generator().manual_seed(3))
    result = AddOneNumber()(batch, torch.Generator().manual_seed(3))
    assert (result.image == expected).all()


def test_samples_are_stacked_images_and_labels_apart():
    images, labels = torch.rand(3, 1, 4), torch.ones(2, 1, 4, dtype=torch.uint8)
    batch = stacked(images, labels)
    assert torch.equal(batch.image, images) and torch.equal(batch.label, labels) and batch.labeled == 2
