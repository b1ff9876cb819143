"""Settings of the bundles that take slices alone, SynFoC and IERE; the others leave them out of account."""

from __future__ import annotations

from pathlib import Path

from common.data import load_domains
from common.errors import require_file

from .choices import Plan
from .fingerprint import Fingerprint
from .lists import Roles

TITLE = "# Read by bundles of slices alone, SynFoC and IERE:"
BYTE = (0, 255)
SECOND_RATE = 0.001  # learning rate of SynFoC's second U-Net, which starts at random where a SAM does not


def settings(found: Fingerprint, roles: Roles, window: list | None, sam: str | None) -> Plan:
    """Where cases are, how images and masks are stored, and what takes SAM's place without a checkpoint."""
    plan, domain = Plan(2), roles.domain
    plan.set("layout", roles.layout, f"splits.json lists the cases of {'each' if domain else 'one'} domain")
    only = "there is one domain"
    plan.set("labeled_domain", domain, "SynFoC: images of all other domains are unlabeled" if domain else only)
    plan.set("source", domain, "IERE: images of all other domains are for test" if domain else only)
    plan.set("ratios", None, "IERE: the lists instead of shares")
    stored = "0 and 255" if found.encoding == "binary" else "class numbers"
    plan.set("encoding", found.encoding, f"masks hold {stored}")
    low, _, high = found.intensities
    if found.dims == 2 and low >= BYTE[0] and 1 < high <= BYTE[1]:
        plan.set("intensity_range", list(BYTE), "values of pictures")
    else:
        plan.set("intensity_range", window, "as the window" if window else "each image's own")
    if found.dims == 3:
        plan.set("orientation", "RAS", "slices are cut along head-feet")
    if sam is None:
        without = "no checkpoint given (sam): SynFoC takes a second U-Net instead, IERE drops the term that needs it"
        plan.set("+sam", {"kind": "none"}, without)
        plan.set("learning_rate_sam", SECOND_RATE, "SynFoC: of the second U-Net")
        plan.set("deploy", "unet", "SynFoC: the first one is saved,")
        plan.set("deploy_teacher", True, "as its average: batch-norm statistics of unlabeled images too")
    else:
        path = Path(require_file(sam, "it should hold the weights of a SAM (sam)")).resolve()
        plan.set("+sam", {"checkpoint": str(path)}, "as given; the memory it takes is not estimated")
    return plan


def load(home: Path, roles: Roles, others: str) -> dict[str, list]:
    """The cases of each role, as a bundle will read them; ``others``: what other domains are to it."""
    return load_domains(home, roles.layout, roles.domain, **roles.values, others=others)
