import pytest

from common.datasets import ratio_counts
from common.errors import InputError

PUBLISHED = {"labeled": 0.14, "unlabeled": 0.56, "validation": 0.3}


@pytest.mark.parametrize(
    ("total", "counts"),
    [(30, (4, 17, 2, 7)), (95, (13, 53, 8, 21)), (125, (17, 70, 11, 27)), (50, (7, 28, 4, 11)), (1, (0, 0, 0, 1))],
)
def test_published_counts(total, counts):
    assert ratio_counts(total, PUBLISHED) == counts


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"labelled": 0.1}, "named labeled"), ({"labeled": 1.2}, r"in \[0, 1\]"), ({"unlabeled": 0.9}, "at most 1")],
)
def test_other_shares_are_refused(changed, message):
    with pytest.raises(InputError, match=message):
        ratio_counts(30, {**PUBLISHED, **changed})
