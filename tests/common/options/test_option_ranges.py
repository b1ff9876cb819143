"""What every option takes, written down a second time: files of users rely on it, and nothing else shows a slip.

A range that is meant to change is changed in ``ranges.txt`` too. A method without lines there isn't looked at.
"""

import re
from pathlib import Path

import pytest

from common.options.containers import Either, Mapping, Optional
from common.options.table import SHARED, own_module
from common.options.types import FAR, Number, Option, Type

ROOT = Path(__file__).resolve().parents[3]
KNOWN = (Path(__file__).parent / "ranges.txt").read_text(encoding="utf-8").splitlines()


def shown(value):
    """A type with everything that decides what it takes."""
    if isinstance(value, Optional):
        return f"{shown(value.type)} or null"
    if isinstance(value, Either):
        return " or ".join(map(shown, value.types))
    if isinstance(value, Mapping):
        return f"{'component' if value.component else 'mapping'}({' '.join(value.options)})"
    if isinstance(value, Type):
        parts = {name: part for name, part in vars(value).items() if name not in ("words", "code")}
        told = [f"{name} {shown(part)}" for name, part in parts.items() if part or part == 0 and part is not False]
        return f"{type(value).__name__.lower()}({', '.join(told)})"
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    if isinstance(value, re.Pattern):
        return value.pattern
    return "yes" if value is True else str(value).replace(str(FAR), "far")


def lines(options, above=""):
    """One for each option, and for each key below it."""
    for option in options:
        name = f"{above}{option.name}"
        yield f"{name} of {option.base}: {shown(option.type)}" if option.base else f"{name}: {shown(option.type)}"
        for kind in inside(option.type):
            if isinstance(kind, Mapping):
                yield from lines(kind.options.values(), f"{name}#")


def inside(kind):
    """A type and those that it is made of, up to the next mapping."""
    yield kind
    parts = kind.types if isinstance(kind, Either) else [part for part in vars(kind).values() if isinstance(part, Type)]
    for part in parts:
        yield from inside(part)


def known_of(owner):
    return [line.removeprefix(f"{owner}: ") for line in KNOWN if line.startswith(f"{owner}: ")]


def test_shared_options_take_what_they_are_known_to_take():
    assert list(lines(SHARED)) == known_of("shared")


@pytest.mark.parametrize("method", sorted({line.partition(":")[0] for line in KNOWN} - {"shared"}))
def test_options_take_what_they_are_known_to_take(method):
    own = own_module(ROOT / "bundles" / f"{method}_segmentation")
    found = [f"patches in multiples of {getattr(own, 'PATCH_MULTIPLE', 1)}", *lines(own.OPTIONS)]
    assert found == known_of(method)


def test_a_key_below_an_option_is_shown_with_its_range():
    option = Option("a", Optional(Mapping(Option("b", Number(0, 7, above=True), ""))), "")
    assert list(lines([option])) == ["a: mapping(b) or null", "a#b: number(low 0, high 7, above yes)"]
