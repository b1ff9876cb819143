"""Roles of the cases of a data set with several domains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import InputError, require_choice, require_file
from ..groups import grouping
from .case import ROLES, Case, Entry
from .datalist import load_datalist, require_different_images
from .draws import by_lists
from .layouts import LAYOUTS
from .lists import FILE
from .ratios import ratio_counts
from .sides import check_disjoint, split_groups

OTHERS = ("unlabeled", "test")
ONE_DOMAIN = "lists"  # the layout of load_datalist


def load_domains(
    dataset_dir: str | Path,
    layout: str,
    labeled_domain: str | None = None,
    labeled: int | None = None,
    validation: int | None = None,
    group: str | None = None,
    by_patient: bool | None = None,
    others: str = "unlabeled",
    ratios: Mapping[str, float] | None = None,
    targets: Sequence[str] | None = None,
    studies: str = "",
    splits: str | None = None,
    training: bool = True,
) -> dict[str, list[Entry]]:
    """Read and check the case lists of a multi-domain data set, in the form of ``load_datalist``.

    Labeled are the first cases of one domain's training list, which is sorted by file name where the layout has no
    list of its own. Unlabeled are its other training cases and, by ``others``, those of all other domains.

    Args:
        dataset_dir: the folder.
        layout: one of ``LAYOUTS``, or ``lists``: one domain, whose lists ``load_datalist`` reads; of the options below
            ``labeled``, ``validation`` and ``group`` count then.
        labeled_domain: the domain of the labeled cases; may be left out where there is only one.
        labeled: how many images, or patients, are labeled; ``None`` for the whole training list of the domain.
        validation: hold out the last so many images, or patients, of *each* domain's training list; ``None`` takes
            the validation list of the layout, if it has one.
        group: template of names such as ``{patient}_*``, see ``common.groups``, which names the patient within a
            domain. Replaces the patients that the layout knows of.
        by_patient: counts are of patients; ``None``: wherever all patients are known.
        others: the other domains are ``unlabeled`` (their training cases are, and their test cases are tested: mixed
            domains), or are ``test`` with all their cases (unseen domains).
        ratios: split all images, or patients, of the labeled domain anew and in their order by ``ratio_counts``;
            ``labeled`` and ``validation`` still replace its numbers. ``None``: the lists of the layout.
        targets: leave out all other domains but these.
        studies: the folder MONAI Label serves, see ``load_datalist``.
        splits: file of lists inside ``dataset_dir``, as ``draw_lists`` makes them, in place of the layout's: its cases
            alone count, in its order. Other domains that are tested keep their validation list apart.
        training: a labeled list is needed, see ``load_datalist``.

    Returns:
        For each of labeled, unlabeled, validation and test the cases as ``Case.entry``. Unlabeled cases carry no label,
        whether a file exists or not.

    Raises:
        InputError: naming file, option and expectation, for a missing folder, list, image or mask file, an unknown
            domain, too few cases, an empty labeled list, or a case (patient) on two sides.
    """
    if studies or layout == ONE_DOMAIN:
        if ratios is not None and not studies:
            raise InputError("layout='lists' splits by its own lists: set ratios to null")
        lists = splits or FILE
        roles = load_datalist(dataset_dir, labeled, validation, group, lists, studies, training)
        return roles if group is None or studies else _with_patients(roles, group)
    root = Path(dataset_dir)
    if not root.is_dir():
        raise InputError(f"{root}: no such data folder (dataset_dir)")
    if layout not in LAYOUTS:
        raise InputError(f"layout={layout!r}: expected one of {', '.join([*LAYOUTS, ONE_DOMAIN])}")
    require_choice(others=(others, OTHERS))
    cases = list(LAYOUTS[layout](root))
    cases = _name_patients(cases if splits is None else by_lists(cases, root / splits), group)
    domain = _labeled_domain(cases, labeled_domain, root, layout, training)
    if targets is not None:
        cases = _only(cases, domain, targets)
    by_name = {case.name: case for case in cases}
    if len(by_name) < len(cases):
        names = [case.name for case in cases]
        raise InputError(f"{root}: {next(n for n in names if names.count(n) > 1)} is listed twice")
    if by_patient is None:
        by_patient = all(case.patient for case in cases)
    unit_of = _unit(by_name, by_patient)
    if ratios is not None:
        cases, by_ratio = _resplit(cases, domain, ratios, unit_of)
        labeled = by_ratio if labeled is None else labeled
    drawn = _assign(cases, domain, labeled, validation, unit_of, others, training, drawn=splits is not None)
    if training and not drawn["labeled"]:
        told = "" if ratios is None else f"; ratios label none of its {_units(cases, domain, unit_of)}: say labeled=N"
        raise InputError(f"domain {domain}: the labeled list is empty{told}")
    check_disjoint(drawn, lambda name: by_name[name].owner, root)
    found = {role: [_with_files(by_name[name], role) for name in drawn[role]] for role in ROLES}
    require_different_images([case for role in ROLES for case in found[role]])
    return {role: [case.entry() for case in found[role]] for role in ROLES}


def _name_patients(cases: list[Case], group: str | None) -> list[Case]:
    if group is None:
        return cases
    patient_of = grouping(group)
    return [replace(case, patient=f"{case.domain}/{patient_of(case.name)}") for case in cases]


def _with_patients(roles: dict[str, list[Entry]], group: str) -> dict[str, list[Entry]]:
    patient_of = grouping(group)
    return {role: [{**case, "patient": patient_of(str(case["case"]))} for case in roles[role]] for role in ROLES}


def _unit(by_name: dict[str, Case], by_patient: bool) -> Callable[[str], str]:
    """Function from a case's name to what is counted: its patient or itself."""
    return lambda name: by_name[name].owner if by_patient else name


def _units(cases: list[Case], domain: str, unit_of: Callable[[str], str]) -> int:
    return len({unit_of(case.name) for case in cases if case.domain == domain})


def _labeled_domain(cases: list[Case], chosen: str | None, root: Path, layout: str, training: bool) -> str:
    domains = list(dict.fromkeys(case.domain for case in cases))
    if not domains:
        made = layout != "manifest" and (root / "manifest.csv").is_file()
        told = "; it was made by prepare: layout=manifest and encoding=index, which count patients where known"
        raise InputError(f"{root}: no images in the layout '{layout}' here (dataset_dir, layout){told if made else ''}")
    if chosen is None and len(domains) == 1:
        return domains[0]
    if chosen not in domains and not (chosen and not training):
        raise InputError(f"labeled_domain={chosen!r}: expected one of {', '.join(domains)} ({root})")
    return chosen


def _only(cases: list[Case], domain: str, targets: Sequence[str]) -> list[Case]:
    domains = {case.domain for case in cases}
    if unknown := [name for name in targets if name not in domains]:
        raise InputError(f"targets={list(targets)}: {unknown[0]} is none of the domains {', '.join(sorted(domains))}")
    return [case for case in cases if case.domain in {domain, *targets}]


def _resplit(
    cases: list[Case], domain: str, ratios: Mapping[str, float], unit_of: Callable[[str], str]
) -> tuple[list[Case], int]:
    """The cases with new roles for those of ``domain``, and how many of its images, or patients, are labeled."""
    units = list(dict.fromkeys(unit_of(case.name) for case in cases if case.domain == domain))
    labeled, unlabeled, validation, test = ratio_counts(len(units), ratios)
    roles = ["train"] * (labeled + unlabeled) + ["validation"] * validation + ["test"] * test
    role_of = dict(zip(units, roles))
    return [
        replace(case, role=role_of[unit_of(case.name)]) if case.domain == domain else case for case in cases
    ], labeled


def _assign(
    cases: list[Case],
    domain: str,
    labeled: int | None,
    validation: int | None,
    unit_of: Callable[[str], str],
    others: str,
    training: bool,
    drawn: bool,
) -> dict[str, list[str]]:
    roles: dict[str, list[str]] = {role: [] for role in ROLES}
    for name in dict.fromkeys(case.domain for case in cases):
        lists = {
            role: [c.name for c in cases if c.domain == name and c.role == role]
            for role in ("train", "validation", "test")
        }
        if name != domain and others == "test":
            kept = lists["validation"] if drawn else []  # for choices: no figure may be measured on them
            roles["test"] += [case for names in lists.values() for case in names if case not in kept]
            roles["validation"] += kept
            continue
        pool, held_out = lists["train"], lists["validation"]
        if validation is not None and (training or pool):
            where = f"domain {name}: validation={validation}"
            pool, held_out = split_groups(pool, validation, unit_of, where, from_end=True)
        if name == domain and labeled is not None and (training or pool):
            roles["labeled"], pool = split_groups(pool, labeled, unit_of, f"domain {name}: labeled={labeled}")
        elif name == domain:
            roles["labeled"], pool = pool, []
        roles["unlabeled"] += pool
        roles["validation"] += held_out
        roles["test"] += lists["test"]
    return roles


def _with_files(case: Case, role: str) -> Case:
    """The case as training and evaluation see it, its files looked up."""
    if not case.image.is_dir():
        require_file(case.image, f"it is an image of domain {case.domain}")
    if role == "unlabeled":
        return replace(case, role=role, labels=())
    if not case.labels:
        raise InputError(f"{case.image}: has no mask, and {case.name} is in the list '{role}'")
    for path in case.labels:
        require_file(path, f"it is the mask of {case.name}")
    return replace(case, role=role)
