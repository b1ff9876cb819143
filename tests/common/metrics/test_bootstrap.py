import numpy as np
import pytest

from common.metrics import bootstrap_mean

RANDOM = np.random.default_rng(7)


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution():
    scores = RANDOM.normal(0.5, 0.1, (1, 400))
    found = bootstrap_mean(scores)
    assert found.mean == pytest.approx(scores.mean())
    assert [found.low, found.high] == pytest.approx(
        [scores.mean() - 1.96 * 0.1 / 20, scores.mean() + 1.96 * 0.1 / 20], abs=0.002
    )


def test_draws_that_differ_widen_it():
    cases = RANDOM.normal(0.5, 0.1, 50)
    alike, apart = np.stack([cases] * 3), np.stack([cases - 0.2, cases, cases + 0.2])
    narrow, wide = bootstrap_mean(alike), bootstrap_mean(apart)
    assert wide.mean == pytest.approx(narrow.mean)
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


def test_units_that_belong_together_widen_it():
    patients = RANDOM.normal(0.5, 0.1, 40)
    scores = np.repeat(patients, 4)[None]
    free, tied = bootstrap_mean(scores), bootstrap_mean(scores, units=np.repeat(np.arange(40), 4))
    assert tied.high - tied.low == pytest.approx(2 * (free.high - free.low), rel=0.1)


def test_strata_count_alike_and_keep_their_sizes():
    found = bootstrap_mean([[1.0, 1.0, 1.0, 0.0]], strata=["a", "a", "a", "b"])
    assert (found.mean, found.low, found.high) == (0.5, 0.5, 0.5)


def test_pairs_stay_pairs_and_what_is_missing_does_not_count():
    base = RANDOM.normal(0.5, 0.3, (3, 30))
    found = bootstrap_mean(base + 0.05 - base)
    assert (found.low, found.high) == pytest.approx((0.05, 0.05))
    assert bootstrap_mean([[0.5, np.nan, 0.7]]).mean == pytest.approx(0.6)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="scores of 3 cases, 2 strata"):
        bootstrap_mean(np.ones((2, 3)), strata=["a", "b"])
    with pytest.raises(ValueError, match="scores of 0 cases"):
        bootstrap_mean(np.ones((2, 0)))
