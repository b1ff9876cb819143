"""Settings of bundles that read several domains, coded masks and pictures, or take a SAM."""

from __future__ import annotations

from pathlib import Path

from common.datasets import load_domains
from common.errors import InputError, require_file

from .choices import Plan
from .fingerprint import Fingerprint
from .lists import Roles

BYTE = (0, 255)


def set_sources(plan: Plan, found: Fingerprint, roles: Roles) -> None:
    """Where cases are, and how images and masks are stored."""
    domain = roles.domain
    plan.set("layout", roles.layout, f"splits.json lists the cases of {'each' if domain else 'one'} domain")
    if (option := plan.method.domain_option) is not None:
        others = {"unlabeled": "unlabeled", "test": "for test"}[plan.method.others]
        plan.set(option, domain, f"images of all other domains are {others}" if domain else "there is one domain")
    plan.set("ratios", None, "the lists instead of shares")
    plan.set("encoding", found.encoding, f"masks hold {'0 and 255' if found.encoding == 'binary' else 'class numbers'}")
    low, _, high = found.intensities
    window = found.window
    if found.dims == 2 and low >= BYTE[0] and 1 < high <= BYTE[1]:
        plan.set("intensity_range", list(BYTE), "values of pictures")
    else:
        plan.set("intensity_range", window, "as CT values" if window else "each image's own")
    if found.dims == 3:
        plan.set("orientation", "RAS", "slices are cut along head-feet")


def set_sam(plan: Plan, sam: str | None) -> None:
    """The weights of a SAM, or what takes its place.

    Raises:
        InputError: for a file that does not exist, or a method that takes none.
    """
    if sam is not None and not plan.method.takes_sam:
        raise InputError(f"sam={sam}: {plan.method.name} takes no SAM (sam, method)")
    if sam is not None:
        path = Path(require_file(sam, "it should hold the weights of a SAM (sam)")).resolve()
        plan.set("sam#checkpoint", str(path), "as given; the memory it takes is not estimated")
    elif plan.method.takes_sam:
        for key, value in plan.facts.without_sam.items():
            plan.set(key, value, "no weights of a SAM are given (sam)")


def load(home: Path, roles: Roles, others: str) -> dict[str, list]:
    """The cases of each role, as a bundle will read them; ``others``: what other domains are to it."""
    return load_domains(home, roles.layout, roles.domain, **roles.values, others=others)
