"""Which images to label first, before there is any network to ask."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from common.datasets import Case
from common.errors import InputError, require_choice

from ..label.features import body_share, described, standardized
from ..label.ranking import Choice, covering, several, with_foreground
from ..volumes import array, read
from .inspect import Facts

WAYS = ("coverage", "foreground", "random")


def label_first(cases: Sequence[Case], facts: Sequence[Facts], count: int, by: str = "coverage") -> list[Choice]:
    """The first images to label, each chosen as if those before it, and those that are labeled already, were.

    Args:
        cases: of the folder.
        facts: what is known of them.
        count: how many.
        by: ``coverage`` (k-center greedy over what images look like), ``foreground`` (random among images that are
            not mostly background, by Otsu's threshold) or ``random``.

    Raises:
        InputError: for another ``by``, or when no image without a label can be read.
    """
    require_choice(by=(by, WAYS))
    labeled = [f.case for f in facts if f.volumes]
    readable = {f.case for f in facts if f.shape}
    wanted = [case for case in cases if case.name in readable and (by == "coverage" or case.name not in labeled)]
    open_ones = [case.name for case in wanted if case.name not in labeled]
    if not open_ones:
        raise InputError("first: every image that can be read has a label already")
    if by == "random":
        return several(count, open_ones, lambda ids, taken: with_foreground(ids, {}, len(taken)))
    looked_at = {case.name: _looked_at(case) for case in wanted}
    if by == "foreground":
        shares = {name: body for name, (_, body) in looked_at.items()}
        return several(count, open_ones, partial(_draw, shares=shares))
    features = standardized({name: found for name, (found, _) in looked_at.items()})
    return several(count, open_ones, lambda ids, taken: covering(ids, features, [*labeled, *taken]))


def _draw(ids: Sequence[str], taken: Sequence[str], shares: Mapping[str, float]) -> Choice:
    """A random image of the half that shows most body, the same for the same folder."""
    middle = float(np.median([shares[id] for id in ids]))
    full = sorted(id for id in ids if shares[id] >= middle)
    chosen = random.Random(len(taken)).choice(full)
    reason = f"random among {len(full)} images of which at least {100 * middle:.0f} % is more than background"
    return Choice(chosen, reason, shares[chosen])


def _looked_at(case: Case) -> tuple[np.ndarray, float]:
    image = read(case.image)
    values = array(image)
    spacing = tuple(image.GetSpacing())[: values.ndim] if hasattr(image, "GetSpacing") else (1.0,) * values.ndim
    plain = values if values.ndim <= 3 else values[..., 0]
    return described(plain, spacing), body_share(plain)


def told(choices: Sequence[Choice]) -> str:
    """A line for each image."""
    return "".join(f"label {number}: {choice.id} ({choice.reason})\n" for number, choice in enumerate(choices, start=1))
