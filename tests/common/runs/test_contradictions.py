"""When two values of a setting are one."""

import pytest

from common.runs.contradictions import same


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ([1, 2.0], (1.0, 2), True),
        ([1, 2], [1, 2, 3], False),
        ({1: [2]}, {"1": (2,)}, True),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, False),
        ({"a": 1}, {"a": 1, "b": 1}, False),
        ({"a": 1}, [1], False),
        ([1], {"a": 1}, False),
        (True, 1, False),
        (0, False, False),
        (True, True, True),
        (None, None, True),
        ("1", 1, False),
    ],
)
def test_kinds_of_sequences_and_numbers_do_not_matter_truth_does(one, other, equal):
    assert same(one, other) is equal and same(other, one) is equal
