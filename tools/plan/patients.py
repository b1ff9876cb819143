"""Which images are of one patient, where names alone do not say: those that look alike."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from common.datasets.likeness import Signature, find_pairs
from common.groups import patient_of, with_known

from ..check.families import families, group_by_names, suggest_group, too_many

SHOWN = 3  # groups in the note
HOW = ", and keeps images that look alike together"


@dataclass(frozen=True)
class Alike:
    """What names and looks say of patients.

    Attributes:
        group: template of names, or ``None``.
        how: what the reason for the template adds, where looks gave it.
        patients: of images that look like one of another patient by name, and of all others of these patients.
        groups: of names, the largest first, each now one patient.
        useless: number of images in a group that is too large to be a patient.
    """

    group: str | None = None
    how: str = ""
    patients: Mapping[str, str] = field(default_factory=dict)
    groups: Sequence[Sequence[str]] = ()
    useless: int = 0

    @classmethod
    def of(cls, names: Collection[str], patients: Mapping[str, str] | None = None, group: str | None = None) -> Alike:
        """By names, and by what was found before: ``patients`` and a template that looks gave."""
        return cls(group or group_by_names(list(names)), HOW if group else "", patients or {})

    def told(self, overruled: bool) -> str:
        """The groups in a line; ``overruled``: by the user's template, so that it is only said."""
        if self.useless:
            return f"{self.useless} images look alike, too many for a patient: not grouped; --group says who is whose"
        if not self.groups:
            return ""
        shown = "; ".join(", ".join(group) for group in self.groups[:SHOWN])
        more = f"; and {len(self.groups) - SHOWN} more" if len(self.groups) > SHOWN else ""
        if overruled:
            return f"alike, but not of one patient by --group: {shown}{more}"
        return f"alike, taken for one patient each: {shown}{more} (--group none takes each image for one)"


def look_alike(
    signatures: Mapping[str, Signature], group: str | None = None, known: Mapping[str, str] | None = None
) -> Alike:
    """Patients by what images look like, beside what their names say.

    Images whose fine structure is nearly that of another, shifted or not, are copies, frames of a series or scans of
    one patient: where they are of different patients by name, all images of these patients become one patient's. A
    group of most images is not believed.

    Args:
        signatures: of all images by name.
        group: the template that the user gives, which then decides alone.
        known: patients of images that lists name already, and the user may have changed: these stay as they are.
    """
    names, known = list(signatures), {} if group else known or {}
    found, how = (group, "") if group else (group_by_names(names), "")
    patient = with_known(patient_of(found), known)
    pairs = find_pairs(dict(signatures), lambda one, other: patient(one) == patient(other))
    joined = [(p.first, p.second) for p in pairs if not (p.first in known and p.second in known)]
    if not found and (suggested := suggest_group(names, joined)):
        found, how, patient = suggested, HOW, with_known(patient_of(suggested), known)
    owners = families([(a, b) for a, b in ((patient(x), patient(y)) for x, y in joined) if a != b])
    groups = [[name for name in names if patient(name) in family] for family in map(set, owners)]
    if groups and too_many(max(map(len, groups)), len(names)):
        return Alike(found, how, known, useless=max(map(len, groups)))
    if group:
        return Alike(found, groups=groups)
    new = {name: family[0] for family, members in zip(owners, groups, strict=True) for name in members}
    return Alike(found, how, {**known, **new}, groups)
