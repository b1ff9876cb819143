"""How many patients of one domain are labeled, unlabeled, for validation and for test."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import InputError

RATIOS = ("labeled", "unlabeled", "validation")


def ratio_counts(total: int, ratios: Mapping[str, float]) -> tuple[int, int, int, int]:
    r"""Numbers of labeled, unlabeled, validation and test patients.

    .. math:: t = \lfloor (l + u) N \rfloor, \quad n_l = \lfloor t \, l / (l + u) \rfloor, \quad n_u = t - n_l, \quad
              n_v = \lfloor v (N - t) \rfloor

    The rest is for test.

    Args:
        total: N.
        ratios: l and u, shares of N, and v, the share of validation among what is not for training; named as
            ``RATIOS``.

    Raises:
        InputError: for other names, shares outside [0, 1] or l + u outside (0, 1].

    Source: IERE's published code: of 30 patients and 0.14, 0.56, 0.3 they are 4, 17, 2 and 7.
    """
    if set(ratios) != set(RATIOS) or not all(0 <= share <= 1 for share in ratios.values()):
        raise InputError(f"ratios={dict(ratios)}: expected shares in [0, 1] named {', '.join(RATIOS)}")
    share = ratios["labeled"] + ratios["unlabeled"]
    if not 0 < share <= 1:
        raise InputError(f"ratios={dict(ratios)}: labeled and unlabeled must make up more than 0 and at most 1")
    train = _floor(share * total)
    labeled, validation = _floor(ratios["labeled"] / share * train), _floor(ratios["validation"] * (total - train))
    return labeled, train - labeled, validation, total - train - validation


def _floor(value: float) -> int:
    return int(value + 1e-9)  # 0.14 + 0.56 and the like are a hair off
