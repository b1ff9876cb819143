import io
from collections import Counter

import pytest
import torch

from common.data import TwoStreamLoader
from common.errors import InputError
from common.transforms import RandomPatch, RandomRotFlip
from tests.toys import CaseList, whole


def loader(labeled=3, unlabeled=5, labeled_batch=2, unlabeled_batch=2, **options):
    sets = CaseList(labeled), CaseList(unlabeled, labeled=False, first=100)
    return TwoStreamLoader(*sets, labeled_batch, unlabeled_batch, **{"sample": whole, **options})


def numbers(batch):
    return batch.image[:, 0, 0, 0].int().tolist()


def draw(source, batches):
    """Case numbers of the labeled and of the unlabeled stream over some batches."""
    drawn = [numbers(source.next_batch()) for _ in range(batches)]
    count = source.streams[0][1]
    return [n for batch in drawn for n in batch[:count]], [n for batch in drawn for n in batch[count:]]


def random_loader(seed=3):
    torch.manual_seed(0)
    sets = CaseList(5, shape=(9, 9)), CaseList(7, shape=(9, 9), labeled=False, first=100)
    return TwoStreamLoader(*sets, 2, 3, RandomPatch([4, 4]), [RandomRotFlip()], epoch_length=4, seed=seed)


def assert_equal(one, other):
    assert torch.equal(one.image, other.image)
    assert torch.equal(one.label, other.label)


def test_labeled_samples_come_first_and_labels_belong_to_them():
    source = loader()
    for _ in range(10):
        batch = source.next_batch()
        assert batch.image.shape == (4, 1, 4, 4)
        assert batch.label.shape == (2, 1, 4, 4)
        assert all(number < 100 for number in numbers(batch)[:2])
        assert all(number >= 100 for number in numbers(batch)[2:])
        assert batch.index == tuple(number % 100 for number in numbers(batch)) == batch.to("cpu").index
        for number, label in zip(numbers(batch), batch.label):
            assert torch.equal(label, source.streams[0][0][number]["label"])


@pytest.mark.parametrize(("labeled", "unlabeled", "batch"), [(3, 5, 2), (2, 7, 3), (1, 4, 2)])
def test_every_case_is_used_as_often_as_any_other(labeled, unlabeled, batch):
    source = loader(labeled, unlabeled, batch, batch)
    for stream, length in zip(draw(source, labeled * unlabeled), (labeled, unlabeled)):
        uses = Counter(stream)
        assert set(uses.values()) == {len(stream) // length}
        for start in range(0, len(stream), length):
            assert len(set(stream[start : start + length])) == length


def test_streams_are_reshuffled_in_every_pass():
    stream, _ = draw(loader(labeled=5, labeled_batch=5), 40)
    passes = {tuple(stream[i : i + 5]) for i in range(0, 200, 5)}
    assert len(passes) > 20


def test_streams_of_one_length_are_shuffled_independently():
    pairs = Counter()
    source = loader(labeled=4, unlabeled=4, labeled_batch=1, unlabeled_batch=1)
    for first, second in zip(*draw(source, 400)):
        pairs[first, second - 100] += 1
    assert len(pairs) == 16


def test_the_end_of_one_stream_does_not_restart_the_other():
    _, unlabeled = draw(loader(labeled=2, unlabeled=50, labeled_batch=2, unlabeled_batch=5), 10)
    assert sorted(unlabeled) == list(range(100, 150))


def test_streams_go_on_over_the_ends_of_epochs():
    source = loader(labeled=6, unlabeled=6, labeled_batch=1, unlabeled_batch=1, epoch_length=2)
    assert len(source) == 2
    seen = [numbers(batch)[0] for _ in range(3) for batch in source]
    assert sorted(seen) == list(range(6))


def test_supervised_training_needs_no_unlabeled_cases():
    batch = loader(unlabeled=0, unlabeled_batch=0).next_batch()
    assert batch.image.shape[0] == batch.labeled == 2


def test_the_seed_decides_the_batches():
    for one, other in zip(random_loader(seed=3), random_loader(seed=3), strict=True):
        assert_equal(one, other)
    first, other = random_loader(seed=3).next_batch(), random_loader(seed=4).next_batch()
    assert not torch.equal(first.image, other.image)


def test_global_random_state_is_neither_read_nor_changed():
    source = random_loader()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = source.next_batch()
    assert torch.equal(torch.get_rng_state(), before)
    fresh = random_loader()
    torch.manual_seed(2)
    assert_equal(fresh.next_batch(), first)


@pytest.mark.parametrize("position", [0, 1, 3, 6])
def test_a_restored_loader_continues_with_identical_batches(position):
    source = random_loader()
    for _ in range(position):
        source.next_batch()
    file = io.BytesIO()
    torch.save(source.state_dict(), file)
    expected = [source.next_batch() for _ in range(8)]
    file.seek(0)
    restored = random_loader(seed=99)
    restored.next_batch()
    restored.load_state_dict(torch.load(file, weights_only=True))
    for batch in expected:
        assert_equal(restored.next_batch(), batch)


def test_a_saved_state_does_not_move_on_with_the_loader():
    source = random_loader()
    state = source.state_dict()
    expected = source.next_batch()
    source.load_state_dict(state)
    assert_equal(source.next_batch(), expected)


def test_augmentations_run_in_order_on_the_whole_batch():
    def add(batch, generator):
        batch.image += 1
        return batch

    def double(batch, generator):
        batch.image *= 2
        return batch

    batch = loader(augment=[add, double]).next_batch()
    assert all(number % 2 == 0 for number in numbers(batch))
    assert all(number >= 202 for number in numbers(batch)[2:])


def test_missing_cases_are_input_errors():
    with pytest.raises(InputError, match="training needs at least one labeled case"):
        loader(labeled=0)
    with pytest.raises(InputError, match="unlabeled list is empty.*unlabeled_batch"):
        loader(unlabeled=0)


def test_without_unlabeled_cases_training_may_fall_back_to_the_labeled_ones(caplog):
    batch = loader(unlabeled=0, supervised_fallback=True).next_batch()
    assert len(batch.image) == len(batch.label) == batch.labeled
    assert "no unlabeled samples: training on the labeled ones alone" in caplog.text
