"""``python -m tools parity``."""

from __future__ import annotations

import json
import sys

from common.errors import InputError
from common.files import atomic_path

from ..run import BUNDLES
from .certificate import CERTIFICATE, as_text, measure, missed
from .peer import peer_text
from .tables import TABLE, method_of, module_of


def parity(method: str, peer_repo: str | None = None, seed: int = 0, record: bool = False) -> None:
    """Print the certificate of a method: its presets against recorded results of the published code, measured now.

    Args:
        method: name of a method, or of its bundle.
        peer_repo: your clone of the published repository; its functions then run on fresh tensors beside ours, in a
            process of their own, as far as they can be called. That executes code of this folder.
        seed: of the fresh tensors.
        record: also write the certificate to ``docs/parity.json`` of the bundle, from which ``tables`` makes the page.

    Raises:
        InputError: for a method without recordings, without a clone of this repository, or for a missed tolerance.
    """
    method = method_of(method)
    if peer_repo is not None:
        sys.stdout.write(peer_text(method, str(peer_repo), int(seed)))
        return
    certificate = measure(module_of(method, TABLE).TABLE)
    sys.stdout.write(as_text(certificate))
    if missed(certificate):
        raise InputError(f"{method}: {len(missed(certificate))} comparisons are beyond their tolerance")
    if record:
        kept = {**certificate, "repaired": [repair[:2] for repair in certificate["repaired"]]}
        with atomic_path(BUNDLES / f"{method}_segmentation" / CERTIFICATE) as temporary:
            temporary.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
