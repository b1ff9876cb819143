"""Values as they come, from a command line, a YAML file or Python, and the one form they are used in."""

import math
import re
from pathlib import Path as FilePath

import numpy as np
import pytest
import torch

from common.errors import InputError
from common.options.containers import Either, Mapping, Named, Optional, Sequence, inner, structure
from common.options.types import (
    Boolean,
    Choice,
    Device,
    Integer,
    Number,
    Option,
    Path,
    Precision,
    Reference,
    Template,
    Text,
)

POSITIVE = Integer(1)
SIDES = Sequence(Integer(1, 64), 2, 3, one_for_all=True)
SAM = Mapping(
    Option("kind", Choice("sam", "none"), "which"),
    Option("size", Integer(16), "its side"),
    Option("groups", Optional(Sequence(Sequence(Integer(1)))), "of classes"),
)


@pytest.mark.parametrize(
    ("type", "value", "expected"),
    [
        (POSITIVE, "4", 4),
        (POSITIVE, 4, 4),
        (POSITIVE, "1e2", 100),
        (POSITIVE, "2.0", 2),
        (POSITIVE, 7.0, 7),
        (POSITIVE, np.int64(3), 3),
        (POSITIVE, " 5 ", 5),
        (Integer(-3), "-2", -2),
        (Number(0, 1), "0.25", 0.25),
        (Number(0, 1), ".5", 0.5),
        (Number(0, 1), "1", 1),
        (Number(), "-1e-4", -1e-4),
        (Number(0, above=True), "1E-30", 1e-30),
        (Boolean(), True, True),
        *((Boolean(), word, True) for word in ("true", "True", "TRUE", "yes", "on", "1", 1)),
        *((Boolean(), word, False) for word in ("false", "False", "no", "No", "off", "0", 0, False)),
        (Choice("own", "copy"), "copy", "copy"),
        (Choice("independent", "off"), False, "off"),
        (Choice("con", "none"), "none", "none"),
        (Choice(0, 1), "1", 1),
        (Precision(), "auto", "auto"),
        (Precision(), "0", False),
        (Precision(), "yes", True),
        (Precision(), "bfloat16", "bfloat16"),
        (Device(), "cuda:1", "cuda:1"),
        (Device(), torch.device("cuda", 0), "cuda:0"),
        (Reference("network", "teacher"), "@teacher", "@teacher"),
        (Reference("network", "teacher"), "network", "@network"),
        (Path(), FilePath("a/b"), "a/b"),
        (Optional(POSITIVE), None, None),
        (Optional(POSITIVE), "null", None),
        (Optional(POSITIVE), "None", None),
        (Optional(POSITIVE), "~", None),
        (Optional(POSITIVE), "3", 3),
        (SIDES, "[16, 16, 8]", [16, 16, 8]),
        (SIDES, "(16,16)", [16, 16]),
        (SIDES, "16,16,8", [16, 16, 8]),
        (SIDES, (16, 16.0, "8"), [16, 16, 8]),
        (SIDES, "16", [16, 16, 16]),
        (SIDES, 16, [16, 16, 16]),
        (Sequence(Number(), 2, order="<"), "[-150, 250]", [-150, 250]),
        (Sequence(Number(), 2, order="<="), "[2, 2]", [2, 2]),
        (Sequence(Number(), order="<="), [1, 2, 2, 3], [1, 2, 2, 3]),
        (Sequence(Text()), "[no, 1e1, 2024_01]", ["no", "1e1", "2024_01"]),
        (Sequence(Text(), empty=True), "[]", []),
        (SAM, "{kind: none, size: 64, groups: null}", {"kind": "none", "size": 64, "groups": None}),
        (SAM, {"kind": "sam", "groups": [[2, 3], [3]]}, {"kind": "sam", "groups": [[2, 3], [3]]}),
        (Named(Sequence(Integer(1)), key=Text()), "{cup: [1], disc: [1, 2]}", {"cup": [1], "disc": [1, 2]}),
        (Named(Integer(0), key=Integer()), "{0: 0, 255: 1}", {0: 0, 255: 1}),
        (Either(Sequence(Path()), Path()), "[a.nii, b.nii]", ["a.nii", "b.nii"]),
        (Either(Sequence(Path()), Path()), "images", "images"),
        (Either(Sequence(Path()), Path()), "a,b", "a,b"),
        (Template(), "{patient}_*", "{patient}_*"),
    ],
)
def test_a_value_takes_its_canonical_form(type, value, expected):
    result = Option("name", type, "").parse(value)
    assert result == expected and result.__class__ is expected.__class__


@pytest.mark.parametrize(
    "text", ["2024_01", "a,b", "$HOME", "1e1", "@x", "%x", "None", "$1/0", "true", "a#b", "null_", "ä b"]
)
@pytest.mark.parametrize(
    "type", [Text(), Path("folder"), Optional(Text()), Optional(Path("file"))], ids=lambda t: t.words
)
def test_text_that_looks_like_a_value_is_text(type, text):
    assert Option("name", type, "").parse(text) == text


@pytest.mark.parametrize(
    ("type", "value", "expected"),
    [
        *((POSITIVE, value, "an integer of at least 1") for value in ("0", -3, "1.5", 1.5, "nan", "inf", math.nan)),
        *(
            (POSITIVE, value, "an integer of at least 1")
            for value in ("two", "", True, None, [1], "1_0", "0x10", "$2", "²")
        ),
        (POSITIVE, "1e300", "an integer of at least 1 and at most 1000000000"),
        (Number(0, 1, below=True), "1", "a number of at least 0 and below 1"),
        (Number(0, 10, above=True), 0, "a number above 0 and at most 10"),
        (Number(), math.inf, "a number"),
        (Integer(2, 255), "300", "an integer from 2 to 255"),
        (Boolean(), "maybe", "true or false"),
        (Boolean(), 2, "true or false"),
        (Boolean(), None, "true or false"),
        (Boolean(), 1.0, "true or false"),
        (Choice("own", "copy"), "Own", "one of own, copy"),
        (Choice("own", "copy"), True, "one of own, copy"),
        (Choice("own", "copy"), ["own"], "one of own, copy"),
        (Precision(), "maybe", "auto, true, false, bfloat16, float16 or float32"),
        (Precision(), "half", "auto, true, false, bfloat16, float16 or float32"),
        (Device(), "foo", "cpu, cuda"),
        (Device(), "cuda:-1", "cpu, cuda"),
        (Device(), 0, "cpu, cuda"),
        (Reference("network", "teacher"), "@objective", '"@network" or "@teacher"'),
        (Text(), 2024, "text, in quotes"),
        (Text(), "a\nb", "text"),
        (Text(), "x" * 5000, "text"),
        (Path("folder"), __file__, "a folder; there is a file of this name"),
        (Path("folder"), "\ud800", "a folder"),
        (Path("file"), str(FilePath(__file__).parent), "a file; there is a folder of this name"),
        (Path(), "x" * 256, "a path whose names have at most 255 characters"),
        (Path(), "a\0b", "a path"),
        (Path(), "", "a path"),
        (Optional(POSITIVE), "x", "an integer of at least 1, or null"),
        (SIDES, "[16, 16, 0]", "a list of 2 or 3 values, each an integer from 1 to 64; one value stands for all"),
        *(
            (SIDES, value, "a list of 2 or 3 values")
            for value in ("abc", "[16]", [16] * 4, "[16, [16], 8]", "[16, 16", None)
        ),
        (Sequence(Number(), 2, order="<"), [250, -150], "a list of 2 values, each a number, in increasing order"),
        (Sequence(Number(), 2, order="<"), [2, 2], "a list of 2 values, each a number, in increasing order"),
        (Sequence(Number(), 2, order="<="), [3, 2], "a list of 2 values, each a number, in increasing order"),
        (Sequence(Number(), order="<"), [1, 3, 2], "a list of values, each a number, in increasing order"),
        (Sequence(Text()), [], "a list of values, each text"),
        (SAM, "{}", "a mapping with the keys kind, size, groups"),
        (SAM, "sam", "a mapping with the keys kind, size, groups"),
        (Named(Integer(0), key=Text()), {"a": -1}, "a mapping from text to an integer of at least 0"),
        (Template(), "(", "a template such as {patient}_*"),
        (Template(), r"(patient\d+)", "a template such as {patient}_*"),
        (Template(), 7, "a template such as {patient}_*"),
    ],
)
def test_a_wrong_value_is_one_line_that_says_what_was_expected(type, value, expected):
    with pytest.raises(InputError) as caught:
        Option("name", type, "").parse(value)
    text = str(caught.value)
    assert text.startswith("--name") and f": expected {expected}" in text and "\n" not in text and len(text) < 400


def test_a_wrong_part_is_named():
    option = Option("sam", SAM, "")
    with pytest.raises(InputError, match="^--sam#size 8: expected an integer of at least 16$"):
        option.parse("{kind: sam, size: 8}")
    with pytest.raises(InputError, match="^--sam#colour red: expected only the keys kind, size, groups$"):
        option.parse({"colour": "red"})
    with pytest.raises(InputError, match="^mine.yaml: sam#kind none_: expected one of sam, none$"):
        option.parse({"kind": "none_"}, "mine.yaml: sam")


def test_a_list_on_a_command_line_is_bounded():
    for text in (
        "[" * 5000 + "]" * 5000,
        "[" + "1," * 200_000 + "]",
        "{a: *b}",
        "[!!python/object/apply:os.getcwd []]",
    ):
        with pytest.raises(InputError):
            Option("name", Sequence(Integer(1)), "").parse(text)
    assert structure("[$x, '@y', null]") == ["$x", "@y", "null"]


@pytest.mark.parametrize(
    ("value", "kind"), [({"a": 1}, Mapping), ([1], Sequence), ("a", Path), (5, Either), (None, Optional)]
)
def test_of_alternative_types_that_of_the_value_is_found(value, kind):
    either = Either(Mapping(Option("a", Integer(), "")), Sequence(Integer()), Path())
    assert isinstance(inner(Optional(either), value), kind)


@pytest.mark.parametrize(
    ("type", "longest", "longer"),
    [
        (Number(), "0." + 38 * "0", "0." + 39 * "0"),
        (Text(), 4096 * "x", 4097 * "x"),
        (Path(), 16 * (255 * "x" + "/"), 16 * (255 * "x" + "/") + "x"),
        (Path(), 127 * "ü" + "x", 128 * "ü"),
        (Sequence(Integer(), empty=True), f"[{99_998 * ' '}]", f"[{99_999 * ' '}]"),
        (Sequence(Sequence(Integer(), empty=True)), f"[{999 * '[],'}]", f"[{1000 * '[],'}]"),
    ],
    ids=["number", "text", "path", "name", "list", "brackets"],
)
def test_words_are_taken_up_to_a_length(type, longest, longer):
    Option("name", type, "").parse(longest)
    with pytest.raises(InputError):
        Option("name", type, "").parse(longer)


@pytest.mark.parametrize(("length", "shown"), [(80, 80 * "x"), (81, 77 * "x" + "...")])
def test_a_long_value_is_cut_in_the_message(length, shown):
    with pytest.raises(InputError, match=f"^--name {re.escape(shown)}: expected an integer$"):
        Option("name", Integer(), "").parse(length * "x")
