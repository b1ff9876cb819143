"""One case: an image, its masks, and what is known of its place in a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

Entry = dict[str, str | list[str]]  # of a list, as MONAI's transforms take it
ROLES = ("labeled", "unlabeled", "validation", "test")  # of cases that training and evaluation see


@dataclass(frozen=True)
class Case:
    """An image, with its label where there is one.

    Attributes:
        name: of the image's file without its ending, behind the folders that tell it from others of that name.
        image: file, or folder or first file of a DICOM series.
        labels: files that together are its label, none for an unlabeled case.
        role: ``labeled``, ``unlabeled``, ``train`` where either is open, ``validation``, ``test``, or ``unlisted``.
        domain: where the data set has several.
        patient: where known; otherwise every case is a patient of its own.
    """

    name: str
    image: Path
    labels: tuple[Path, ...] = ()
    role: str = "unlisted"
    domain: str = ""
    patient: str = ""

    @property
    def label(self) -> Path | None:
        """The first of the label's files."""
        return self.labels[0] if self.labels else None

    @property
    def owner(self) -> str:
        """The patient, or the case itself where no patient is known."""
        return self.patient or self.name

    def entry(self, with_label: bool = True) -> Entry:
        """What transforms are given: ``{"case", "image"[, "label"][, "domain"][, "patient"]}`` of paths and names.

        ``label`` is a list where several files make it up.
        """
        known: Entry = {"case": self.name, "image": str(self.image)}
        if with_label and self.labels:
            known["label"] = plain_paths(self.labels)
        more = {"domain": self.domain, "patient": self.patient}
        return known | {key: value for key, value in more.items() if value}


def plain_paths(paths: Sequence[PurePath]) -> str | list[str]:
    """One path as a string, several as a list of them."""
    return str(paths[0]) if len(paths) == 1 else [str(path) for path in paths]
