"""Which cases are labeled, unlabeled, for validation and for test: ``splits.json`` and its checks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath

from ..errors import InputError, require_file
from ..groups import grouping

ROLES = ("labeled", "unlabeled", "validation", "test")
LONGEST_NAME = 240  # bytes of a file's name without its ending
SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".png")


def load_datalist(
    dataset_dir: str | Path,
    labeled: int | None = None,
    validation: int | None = None,
    group: str | None = None,
    splits: str = "splits.json",
    studies: str = "",
) -> dict[str, list[dict[str, str]]]:
    """Read and check the case lists of a data set.

    A data set is a folder with ``images/<case>``, ``labels/<case>`` (for labeled, validation and test cases) and a
    ``splits.json`` in one of two forms: lists ``labeled``, ``unlabeled``, ``validation``, ``test`` (each optional but
    the first; ``seed`` records how they were drawn), or the community's ``train``, ``val``, ``test``, where the order
    of ``train`` decides which cases are labeled. ``files`` maps cases that lie elsewhere to their
    ``{"image", "label"}``.

    Args:
        dataset_dir: the folder.
        labeled: how many cases, or groups, are labeled: the first ones of the list. Their followers are unlabeled.
            ``None`` takes the list ``labeled`` as it is.
        validation: hold out the last so many training cases, or groups, instead of the list in the file: they are
            neither labeled nor unlabeled. ``None`` takes the list ``validation`` or ``val``.
        group: template of names such as ``{patient}_*``, see ``common.groups``; counts are then counts of patients,
            and a patient on both sides of a split is an error.
        splits: name of the lists' file inside ``dataset_dir``.
        studies: the folder MONAI Label serves, which then counts instead of ``dataset_dir``: its images are the list
            ``unlabeled`` and the server brings the others. A DICOMweb address has no images that can be listed.

    Returns:
        For each of labeled, unlabeled, validation and test the cases as ``{"case", "image"[, "label"]}``. Unlabeled
        cases carry no label, whether a file exists or not.

    Raises:
        InputError: naming file, key and expectation, for a missing folder or file, malformed lists, too few cases, an
            empty labeled list, or a case (patient) on two sides.
    """
    if studies:
        files = sorted(Path(studies).iterdir()) if Path(studies).is_dir() else []
        unlabeled = [{"image": str(file)} for file in files if file.name.endswith(SUFFIXES)]
        return {**{role: [] for role in ROLES}, "unlabeled": unlabeled}
    root = Path(dataset_dir)
    if not root.is_dir():
        raise InputError(f"{root}: no such data folder (dataset_dir)")
    lists = read_lists(root / splits)
    roles = _assign(lists, labeled, validation, grouping(group), root / splits)
    check_disjoint(roles, grouping(group), root / splits)
    files = lists.get("files", {})
    return {role: [_locate(root, case, role != "unlabeled", files) for case in roles[role]] for role in ROLES}


def load_json(path: Path, purpose: str) -> object:
    """Content of a JSON file in UTF-8, with or without a byte order mark.

    Raises:
        InputError: naming the file, for one that is missing (``purpose`` says what it must do) or no JSON, and for a
            key that stands twice in a mapping, where JSON would silently take the last.
    """
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"), object_pairs_hook=_unique)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {purpose}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not valid JSON (not UTF-8 text)") from None
    except RecursionError:
        raise InputError(f"{path}: not valid JSON (nested too deeply)") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error})") from None


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key '{repeated}' is there twice")
    return content


def require_name(case: str, where: str) -> None:
    """Raise ``InputError`` unless ``case`` can name files below a folder: no absolute path, none that leads out."""
    parts = PurePath(case).parts
    if not parts or PurePath(case).is_absolute() or ".." in parts or not case.isprintable():
        raise InputError(f"{where}: {case!r} is no name of a case: expected a path inside the folder of the images")
    if any(len(part.encode()) > LONGEST_NAME for part in parts):
        raise InputError(f"{where}: {case[:40]}... is too long for the name of a file")


def read_lists(path: Path) -> dict:
    """Content of a ``splits.json``; ``InputError`` for a missing file or malformed lists."""
    content = load_json(path, "it must list the cases ('labeled' or 'train', ...)")
    if not isinstance(content, Mapping) or not ("labeled" in content or "train" in content):
        raise InputError(f"{path}: expected a list 'labeled' or 'train'")
    lists = {key: content[key] for key in ("train", "val", *ROLES) if key in content}
    files = content.get("files", {})
    if not isinstance(files, Mapping) or not all(isinstance(entry, Mapping) for entry in files.values()):
        raise InputError(f"{path}: key 'files' must map each case to its image and label")
    for key, cases in lists.items():
        if not isinstance(cases, list) or not all(isinstance(case, str) for case in cases):
            raise InputError(f"{path}: key '{key}' must be a list of case names")
        for case in cases:
            require_name(case, f"{path}: key '{key}'")
        if len(set(cases)) != len(cases):
            repeated = next(case for case in cases if cases.count(case) > 1)
            raise InputError(f"{path}: key '{key}' names the case {repeated} twice")
    return {**content, "files": files}


def _assign(lists: Mapping, labeled: int | None, validation: int | None, group_of, path: Path) -> dict[str, list[str]]:
    if "labeled" in lists:
        first = lists["labeled"]
        pool = [*first, *lists.get("unlabeled", [])]
        if both := set(first) & set(lists.get("unlabeled", [])):
            raise InputError(f"{path}: {min(both)} is in both 'labeled' and 'unlabeled'")
    else:
        pool, first = lists["train"], None
    held_out = lists.get("validation", lists.get("val", []))
    if validation is not None:
        pool, held_out = split_groups(pool, validation, group_of, f"{path}: validation={validation}", from_end=True)
    if labeled is not None:
        first, rest = split_groups(pool, labeled, group_of, f"{path}: labeled={labeled}")
    elif first is None:
        raise InputError(f"{path}: it has a list 'train' but none 'labeled': say how many are labeled (labeled=N)")
    else:
        rest = [case for case in pool if case not in set(first)]
        first = [case for case in pool if case in set(first)]
    if not first:
        raise InputError(f"{path}: the labeled list is empty")
    return {"labeled": first, "unlabeled": rest, "validation": held_out, "test": lists.get("test", [])}


def split_groups(
    cases: Sequence[str], count: int, group_of, where: str, from_end: bool = False
) -> tuple[list[str], list[str]]:
    """Split after the first ``count`` groups, or before the last ``count``."""
    groups = list(dict.fromkeys(group_of(case) for case in cases))
    if not 0 <= count <= len(groups):
        raise InputError(f"{where}: expected a number between 0 and the {len(groups)} in the list")
    chosen = set(groups[: len(groups) - count if from_end else count])
    return [c for c in cases if group_of(c) in chosen], [c for c in cases if group_of(c) not in chosen]


def check_disjoint(roles: Mapping[str, list[str]], group_of, path: Path) -> None:
    """A case belongs to one list; a patient's cases may be labeled and unlabeled, but not on both sides of a split."""
    side = {"labeled": "training", "unlabeled": "training"}
    for name_of, list_of in ((str, lambda role: role), (group_of, lambda role: side.get(role, role))):
        owner: dict[str, str] = {}
        for role in ROLES:
            for name in map(name_of, roles[role]):
                other = owner.setdefault(name, role)
                if list_of(other) != list_of(role):
                    raise InputError(f"{path}: {name} is in both '{other}' and '{role}'")


def _locate(root: Path, case: str, with_label: bool, elsewhere: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    found = {"case": case}
    for key, folder in (("image", "images"), ("label", "labels")):
        if key == "label" and not with_label:
            continue
        if case in elsewhere:
            found[key] = require_file(root / elsewhere[case].get(key, ""), f"'files' must name the {key} of {case}")
            continue
        files = [root / folder / f"{case}{suffix}" for suffix in SUFFIXES]
        path = next((file for file in files if file.is_file()), None)
        if path is None:
            raise InputError(f"{root / folder / case}: no file with one of the endings {', '.join(SUFFIXES)}")
        found[key] = str(path)
    return found


def require_cases(cases: Sequence, name: str) -> None:
    """Raise ``InputError`` when the list ``name`` of a data set is empty."""
    if not cases:
        raise InputError(
            f"the list '{name}' of the data set is empty: there is nothing to evaluate (split, validation)"
        )
