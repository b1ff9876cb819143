"""Intervals of mean scores by resampling draws of labels and cases."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Interval:
    """A mean, and where it lies with a given certainty."""

    mean: float
    low: float
    high: float


def bootstrap_mean(
    scores: np.ndarray,
    strata: Sequence[Hashable] | None = None,
    units: Sequence[Hashable] | None = None,
    level: float = 0.95,
    resamples: int = 4000,
    seed: int = 0,
) -> Interval:
    """Mean of the strata's means, with its percentile interval.

    Every resample takes as many draws as there are, with replacement, and within every stratum as many units. Draws
    and units are taken independently, as every draw is measured on the same cases. For the difference of two methods
    pass the differences of their scores: pairs then stay pairs. A handful of draws says little about other draws: an
    interval over three is too narrow rather than too wide.

    Args:
        scores: ``draws, cases``; NaN counts as not measured.
        strata: what each case belongs to, such as its domain; strata count alike. ``None``: one.
        units: what is independent, such as the patient of each case. ``None``: the cases.
        level: of the interval, in (0, 1).
        resamples: how many.
        seed: of the resampling.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993; draws and cases as crossed factors.
    """
    scores = np.atleast_2d(np.asarray(scores, float))
    means, mean = _resampled(scores, strata, units, resamples, seed)
    if not 0 < level < 1:
        raise ValueError(f"level {level}: expected a share between 0 and 1")
    ends = np.nanquantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, float(ends[0]), float(ends[1]))


def probability_of_no_gain(
    differences: np.ndarray,
    strata: Sequence[Hashable] | None = None,
    units: Sequence[Hashable] | None = None,
    resamples: int = 4000,
    seed: int = 0,
) -> float:
    """Two-sided probability of a mean difference as far from 0, by the same resampling as ``bootstrap_mean``.

    Twice the smaller share of the resampled means on either side of 0, at least one resample.

    Args:
        differences: ``draws, cases``, paired; other arguments as in ``bootstrap_mean``.
    """
    means, _ = _resampled(np.atleast_2d(np.asarray(differences, float)), strata, units, resamples, seed)
    least = min((means <= 0).sum(), (means >= 0).sum())
    return min(2 * (int(least) + 1) / (resamples + 1), 1.0)


def _resampled(
    scores: np.ndarray,
    strata: Sequence[Hashable] | None,
    units: Sequence[Hashable] | None,
    resamples: int,
    seed: int,
) -> tuple[np.ndarray, float]:
    """The means of all resamples, and that of the scores."""
    draws, cases = scores.shape
    of_stratum = np.zeros(cases, int) if strata is None else np.unique(np.asarray(strata), return_inverse=True)[1]
    of_unit = np.arange(cases) if units is None else np.unique(np.asarray(units), return_inverse=True)[1]
    if not (len(of_stratum) == len(of_unit) == cases and cases):
        raise ValueError(f"scores of {cases} cases, {len(of_stratum)} strata, {len(of_unit)} units")
    generator = np.random.default_rng(seed)
    of_draws = generator.multinomial(draws, np.full(draws, 1 / draws), resamples).astype(float)
    of_cases = np.zeros((resamples, cases))
    for stratum in np.unique(of_stratum):
        members = np.unique(of_unit[of_stratum == stratum])
        taken = generator.multinomial(len(members), np.full(len(members), 1 / len(members)), resamples)
        place = np.searchsorted(members, of_unit[of_stratum == stratum])
        of_cases[:, of_stratum == stratum] = taken[:, place]
    means = _stratified(scores, of_stratum, of_draws, of_cases)
    return means, float(_stratified(scores, of_stratum, np.ones((1, draws)), np.ones((1, cases)))[0])


def _stratified(scores: np.ndarray, strata: np.ndarray, of_draws: np.ndarray, of_cases: np.ndarray) -> np.ndarray:
    """Means over strata of weighted means, for every row of weights."""
    known = ~np.isnan(scores)
    filled = np.where(known, scores, 0.0)
    found = []
    for stratum in np.unique(strata):
        part = strata == stratum
        total = np.einsum("rd,dc,rc->r", of_draws, filled[:, part], of_cases[:, part], optimize=True)
        weight = np.einsum("rd,dc,rc->r", of_draws, known[:, part].astype(float), of_cases[:, part], optimize=True)
        found.append(np.divide(total, weight, out=np.full(len(total), np.nan), where=weight > 0))
    return np.mean(found, axis=0)
