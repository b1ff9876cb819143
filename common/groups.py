"""Which cases belong together: templates of names such as ``{patient}_*``."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from .errors import InputError

PATIENT, NUMBER, FOLDER = "{patient}", "{number}", "{folder}/"
ANY = ("*", NUMBER)  # stand for any number of characters, of digits
EXPECTED = "a template such as {patient}_*: {patient} is what cases share, * anything, {number} digits, ? one character"
LONGEST = 200  # characters of a template
TOKEN = re.compile(r"\{patient\}|\{number\}|.")


def check_template(template: Any) -> str:
    """Return the template, or raise ``ValueError`` saying what was expected."""
    if not isinstance(template, str) or template.count(PATIENT) != 1:
        raise ValueError(EXPECTED)
    if len(template) > LONGEST or not template.isprintable():
        raise ValueError(f"{EXPECTED}; in one line of at most {LONGEST} characters")
    before, after = _sides(template)
    if {"{", "}"} & {*before, *after}:
        raise ValueError(f"{EXPECTED}; no other braces")
    if before[-1:] in ([sign] for sign in ANY) or after[:1] in ([sign] for sign in ANY):
        raise ValueError(f"{EXPECTED}; with something between {PATIENT} and * or {NUMBER}")
    return template


def grouping(template: str | None) -> Callable[[str], str]:
    """Function from a case's name to its patient, by a template; the name itself without one.

    A template stands for a whole name: ``*`` for any number of characters, ``?`` for one, ``{number}`` for digits,
    ``{patient}`` for at least one character, all else for itself. ``{patient}`` is as short as possible and, among
    equally short ones, stands first: ``{patient}_*`` takes what is before the first underscore, ``{patient}_{number}``
    what is before the number at the end. Of a name with folders the last part counts; a template with slashes takes as
    many parts as it has itself: ``{patient}/*`` means the folder that a file lies in. ``{folder}/`` at the beginning
    takes all other folders, which then tell patients apart too. Time grows with the product of the lengths of name and
    template, whatever they are.

    Args:
        template: holds ``{patient}`` once, not beside a ``*`` or ``{number}``.

    Raises:
        InputError: for another kind of template, regular expressions among them; and, from the function, for a name
            that does not fit.
    """
    if template is None:
        return lambda case: case
    try:
        before, after = _sides(check_template(template))
    except ValueError as error:
        raise InputError(f"group {template!r}: expected {error}") from None

    with_folders, depth = template.startswith(FOLDER), 1 + template.removeprefix(FOLDER).count("/")

    def patient_of(case: str) -> str:
        parts = case.split("/")
        name = "/".join(parts[-depth:])
        starts = _beginnings(before, name)
        ends = [len(name) - length for length in reversed(_beginnings(after[::-1], name[::-1]))]
        spans = [(ends[k] - start, start) for start in starts if (k := bisect_right(ends, start)) < len(ends)]
        spans = [(length, start) for length, start in spans if "/" not in name[start : start + length]]
        if not spans:
            raise InputError(f"case {case}: does not fit the template {template!r} (group)")
        length, start = min(spans)
        return "/".join([*(parts[:-depth] if with_folders else ()), name[start : start + length]])

    return patient_of


def patient_of(template: str | None, names: Collection[str] = ()) -> Callable[[str], str]:
    """As ``grouping``, except that names which do not fit stand alone; one that fits none of ``names`` is refused."""
    group_of = grouping(template)
    if names and not any(_fits(group_of, name) for name in names):
        raise InputError(f"group {template!r}: fits no case, such as {next(iter(names))}; expected {EXPECTED}")

    def patient(name: str) -> str:
        try:
            return group_of(name)
        except InputError:
            return name

    return patient


def with_known(patient: Callable[[str], str], known: Mapping[str, str]) -> Callable[[str], str]:
    """``patient``, except for the names whose patient is ``known``."""
    return (lambda name: known[name] if name in known else patient(name)) if known else patient


def _fits(group_of: Callable[[str], str], name: str) -> bool:
    try:
        return bool(group_of(name))
    except InputError:
        return False


def _sides(template: str) -> tuple[list[str], list[str]]:
    """What stands before and behind the patient, sign by sign."""
    before, after = template.removeprefix(FOLDER).split(PATIENT)
    return TOKEN.findall(before), TOKEN.findall(after)


def _beginnings(signs: Sequence[str], text: str) -> list[int]:
    """Lengths of the beginnings of ``text`` that signs stand for; no wildcard stands for a slash."""
    reached = {0}
    for sign in signs:
        if sign == NUMBER:
            reached = _spread({n + 1 for n in reached if _is_digit(text[n : n + 1])}, text, _is_digit)
        elif sign == "*":
            reached = _spread(reached, text, lambda other: other != "/")
        else:
            fits = {sign} if sign != "?" else set(text) - {"/"}
            reached = {n + 1 for n in reached if text[n : n + 1] in fits}
    return sorted(reached)


def _spread(reached: set[int], text: str, fits: Callable[[str], bool]) -> set[int]:
    """The lengths, and those that further fitting characters make of them."""
    spread, running = set(), False
    for n in range(len(text) + 1):
        running = n in reached or (running and fits(text[n - 1]))
        if running:
            spread.add(n)
    return spread


def _is_digit(sign: str) -> bool:
    return sign.isascii() and sign.isdigit()
