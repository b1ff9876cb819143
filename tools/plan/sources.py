"""Settings of bundles that read several domains, coded masks and pictures, or take a SAM."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from common.datasets import load_domains
from common.errors import InputError, require_file
from common.wheels import WHEELS, installed, require_installed

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
    plan.set("encoding", found.encoding, f"labels hold {_held(found.encoding)}")
    low, _, high = found.intensities
    window = found.window
    if found.dims == 2 and low >= BYTE[0] and 1 < high <= BYTE[1]:
        plan.set("intensity_range", list(BYTE), "values of pictures")
    else:
        plan.set("intensity_range", window, "as CT values" if window else "each image's own")
    if found.dims == 3:
        plan.set("orientation", "RAS", "slices are cut along head-feet")


def set_supervised(plan: Plan) -> None:
    """A training on labeled images alone, where there are no others."""
    why = "every image has a label; --labeled N would take the others for unlabeled"
    plan.set("consistency", False, why)
    plan.set("unlabeled_batch", 0, "there are no unlabeled images")


def _held(encoding: str | Mapping[int, int]) -> str:
    if isinstance(encoding, str):
        return {"binary": "0 and 255"}.get(encoding, "class numbers")
    return "these values, and so will segmentations"


def set_sam(plan: Plan, sam: str, device: str = "cpu") -> None:
    """The weights of a SAM, or what takes its place.

    Args:
        plan: to add to.
        sam: ``auto``, the first SAM that the method can take from an installed package; ``none``; the name of such a
            package's weights; or a path.
        device: cpu or cuda, to be trained on.

    Raises:
        InputError: for a file that does not exist, a package that is not installed, or a method that takes no SAM.
    """
    if not plan.method.takes_sam:
        if sam not in ("auto", "none"):
            raise InputError(f"sam={sam}: {plan.method.name} takes no SAM (sam, method)")
        return
    offered = plan.facts.with_sam
    if sam in offered:
        require_installed(sam, "sam:")
    name = next(filter(installed, offered), "none") if sam == "auto" else sam
    if name in offered:
        why = f"the SAM of {WHEELS[name].requirement}, {'which is installed' if sam == 'auto' else 'as given'} (sam)"
        for key, value in offered[name].items():
            plan.set(key, value, why)
        for key, value in plan.facts.with_sam_on_cpu.items() if device == "cpu" else ():
            plan.set(key, value, "affordable on a CPU")
    elif name == "none":
        how = " or ".join(WHEELS[name].command for name in offered)
        why = "as given (sam)" if sam == "none" else f"no weights of a SAM are installed ({how}) or given (sam)"
        for key, value in plan.facts.without_sam.items():
            plan.set(key, value, why)
    else:
        path = Path(require_file(name, "it should hold the weights of a SAM (sam)")).resolve()
        plan.set("sam#checkpoint", str(path), "as given; the memory it takes is not estimated")


def load(home: Path, roles: Roles, others: str) -> dict[str, list]:
    """The cases of each role, as a bundle will read them; ``others``: what other domains are to it."""
    return load_domains(home, roles.layout, roles.domain, **roles.values, others=others)
