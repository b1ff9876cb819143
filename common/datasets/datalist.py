"""Which cases of one domain are labeled, unlabeled, for validation and for test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import InputError
from .case import ROLES, Case, Entry
from .endings import image_files
from .finder import Finder
from .lists import FILE, Lists, read_lists
from .sides import check_disjoint, split_groups


def load_datalist(
    dataset_dir: str | Path,
    labeled: int | None = None,
    validation: int | None = None,
    group: str | None = None,
    splits: str | None = None,
    studies: str = "",
    training: bool = True,
) -> dict[str, list[Entry]]:
    """Read and check the case lists of a data set.

    A data set is a folder with ``images/<case>``, ``labels/<case>`` or ``masks/<case>`` (for labeled, validation and
    test cases) and a ``splits.json`` in one of two forms: lists ``labeled``, ``unlabeled``, ``validation``, ``test``
    (each optional but the first; ``seed`` records how they were drawn), or the community's ``train``, ``val``,
    ``test``, where the order of ``train`` decides which cases are labeled. ``files`` maps cases that lie elsewhere to
    their ``{"image", "label"}``, ``patients`` cases to patients that the names do not tell.

    Args:
        dataset_dir: the folder.
        labeled: how many cases, or groups, are labeled: the first ones of the list. Their followers are unlabeled.
            ``None`` takes the list ``labeled`` as it is.
        validation: hold out the last so many training cases, or groups, instead of the list in the file: they are
            neither labeled nor unlabeled. ``None`` takes the list ``validation`` or ``val``.
        group: template of names such as ``{patient}_*``, see ``common.groups``; counts are then counts of patients,
            and a patient on both sides of a split is an error.
        splits: name of the lists' file inside ``dataset_dir``; ``splits.json`` by default.
        studies: the folder MONAI Label serves, which then counts instead of ``dataset_dir``: its images are the list
            ``unlabeled`` and the server brings the others. A DICOMweb address has no images that can be listed.
        training: a labeled list is needed; without, lists of nothing but ``test`` or ``validation`` cases will do.

    Returns:
        For each of labeled, unlabeled, validation and test the cases as ``Case.entry``. Unlabeled cases carry no
        label, whether a file exists or not.

    Raises:
        InputError: naming file, key and expectation, for a missing folder or file, malformed lists, too few cases, an
            empty labeled list, a case (patient) on two sides, or one image under two names.
    """
    if studies:
        return {**{role: [] for role in ROLES}, "unlabeled": studies_of(studies)}
    root = Path(dataset_dir)
    if not root.is_dir():
        raise InputError(f"{root}: no such data folder (dataset_dir)")
    lists = read_lists(root / (splits or FILE), training).require_one_domain()
    group_of = lists.patient(group)
    roles = _assign(lists, labeled, validation, group_of, training)
    check_disjoint(roles, group_of, lists.path)
    finder = Finder(root, lists)
    cases = {role: [finder.case(name, role, role != "unlabeled") for name in roles[role]] for role in ROLES}
    require_different_images([case for role in ROLES for case in cases[role]])
    return {role: [case.entry() for case in cases[role]] for role in ROLES}


def studies_of(studies: str) -> list[Entry]:
    """Images of the folder that MONAI Label serves."""
    files = image_files(Path(studies)) if Path(studies).is_dir() else []
    return [{"image": str(file)} for file in files]


def require_different_images(cases: list[Case]) -> None:
    """Raise ``InputError`` where two cases are one file, whichever way its path is written or linked."""
    known: dict[tuple[int, int], Case] = {}
    for case in cases:
        state = case.image.stat()
        other = known.setdefault((state.st_dev, state.st_ino), case)
        if other is not case:
            raise InputError(
                f"{case.image}: is the image of {other.name} ({other.role}) and of {case.name} ({case.role})"
            )


def _assign(
    lists: Lists, labeled: int | None, validation: int | None, group_of: Callable[[str], str], training: bool
) -> dict[str, list[str]]:
    path, held_out = lists.path, lists.names("validation")
    first, pool = _training_lists(lists)
    rest: list[str] = []
    if validation is not None and (training or pool):
        pool, held_out = split_groups(pool, validation, group_of, f"{path}: validation={validation}", from_end=True)
    if labeled is not None and (training or pool):
        first, rest = split_groups(pool, labeled, group_of, f"{path}: labeled={labeled}")
    elif first is not None:
        rest = [case for case in pool if case not in set(first)]
        first = [case for case in pool if case in set(first)]
    elif training:
        raise InputError(f"{path}: it has a list 'train' but none 'labeled': say how many are labeled (labeled=N)")
    if training and not first:
        raise InputError(f"{path}: the labeled list is empty")
    return {"labeled": first or [], "unlabeled": rest, "validation": held_out, "test": lists.names("test")}


def _training_lists(lists: Lists) -> tuple[list[str] | None, list[str]]:
    """The list ``labeled``, if there is one, and all training cases."""
    if "labeled" not in lists.roles:
        return None, lists.names("train")
    first, unlabeled = lists.names("labeled"), lists.names("unlabeled")
    if both := set(first) & set(unlabeled):
        raise InputError(f"{lists.path}: {min(both)} is in both 'labeled' and 'unlabeled'")
    return first, [*first, *unlabeled]
