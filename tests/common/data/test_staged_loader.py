"""Batches of two stages."""

from common.data import StagedLoader
from tests.toys import CaseList, whole


def staged(**options):
    labeled, unlabeled = CaseList(4), CaseList(4, labeled=False)
    return StagedLoader(labeled, unlabeled, 2, 2, whole, epoch_length=5, **options)


def test_batches_of_pretraining_hold_labeled_images_alone():
    sizes = [(len(batch.label), len(batch.image)) for batch in staged(first=2, first_batch=6)]
    assert sizes == [(6, 6), (6, 6), (2, 4), (2, 4), (2, 4)]
    assert {(len(batch.label), len(batch.image)) for batch in staged(first=2)} == {(2, 4)}


def test_a_resumed_loader_knows_its_stage():
    straight, first, second = (staged(first=3, first_batch=6) for _ in range(3))
    expected = [straight.next_batch() for _ in range(5)]
    for _ in range(2):
        first.next_batch()
    second.load_state_dict(first.state_dict())
    for batch in expected[2:]:
        again = second.next_batch()
        assert batch.index == again.index and batch.image.shape == again.image.shape
