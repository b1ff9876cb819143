"""Write a synthetic data set."""

from __future__ import annotations

from collections.abc import Sequence

from common.data import Phantom, write_phantom_domains, write_phantoms
from common.errors import require_whole


def phantom(
    output: str,
    size: Sequence[int] = (64, 64, 32),
    classes: int = 2,
    difficulty: float = 0.5,
    domain: int = 0,
    labeled: int = 2,
    unlabeled: int = 16,
    validation: int = 2,
    test: int = 8,
    seed: int = 0,
    domains: int = 0,
    separation: float = 0.1,
) -> str:
    """Write phantom volumes (or, for two extents, images) with labels and splits.json into the folder ``output``.

    With ``domains``, so many sites of pictures, ``labeled + unlabeled`` training cases each. ``separation`` is the
    contrast between organs of different classes; 0.4 suits short runs.
    """
    require_whole(1, labeled=labeled)
    require_whole(0, domain=domain, domains=domains, unlabeled=unlabeled, validation=validation, test=test, seed=seed)
    family = Phantom(tuple(size), classes, difficulty, domain, separation)
    if domains:
        return str(write_phantom_domains(output, family, domains, labeled + unlabeled, validation, test, seed))
    return str(write_phantoms(output, family, labeled, unlabeled, validation, test, seed))
