"""Words of a command line as arguments of a verb, by its annotations."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence

import pytest

import tools.__main__ as entry
from common.errors import InputError
from tools.arguments import read_as, taken, type_of


def verb(
    folder: str,
    count: int | None = None,
    share: float = 0.5,
    strict: bool = False,
    sizes: Sequence[int] = (3,),
    names: str | Sequence[str] | None = None,
    url: str = "",
    runs: Mapping[str, str] | None = None,
    **options: object,
) -> None:
    """Only its signature counts."""


@pytest.mark.parametrize(
    ("words", "positional", "named"),
    [
        (["2024_01"], ["2024_01"], {}),
        (["5", "7"], ["5", 7], {}),
        (["a", "--count", "None", "--share=1e-3"], ["a", None, 0.001], {}),
        (["a", "--strict"], ["a", None, 0.5, True], {}),
        (["a", "--strict", "no"], ["a", None, 0.5, False], {}),
        (["a", "--sizes", "4"], ["a", None, 0.5, False, [4]], {}),
        (["a", "--sizes", "4,5"], ["a", None, 0.5, False, [4, 5]], {}),
        (["a", "--sizes=[4, 5]"], ["a", None, 0.5, False, [4, 5]], {}),
        (["a", "--names", "b,c"], ["a", None, 0.5, False, (3,), ["b", "c"]], {}),
        (["a", "--names", "b"], ["a", None, 0.5, False, (3,), "b"], {}),
        (["--folder", "a", "--url", ""], ["a", None, 0.5, False, (3,), None, ""], {}),
        (["a", "--runs", "{x: runs/1}"], ["a", None, 0.5, False, (3,), None, "", {"x": "runs/1"}], {}),
        (["a", "--more", "1e3", "--flag"], ["a"], {"more": "1e3", "flag": True}),
    ],
)
def test_words_are_read_by_the_annotations(words, positional, named):
    args, kwargs = taken("verb", verb, words)
    bound = inspect.signature(verb).bind(*args, **kwargs)
    wanted = inspect.signature(verb).bind(*positional, **named)
    bound.apply_defaults()
    wanted.apply_defaults()
    assert bound.arguments == wanted.arguments


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a", "--count", "two"], "^--count two: expected an integer, or null$"),
        (["a", "--count", "1.5"], "^--count 1.5: expected an integer, or null$"),
        (["a", "--count"], "^--count: expected an integer, or null behind it$"),
        (["a", "--share", "nan"], "^--share nan: expected a number$"),
        (["a", "--share", "much"], "^--share much: expected a number$"),
        (["a", "--strict", "maybe"], "^--strict maybe: expected true or false$"),
        (["a", "--sizes", "[4, x]"], r"^--sizes \[4, x\]: expected an integer, or a list of such$"),
        (["a", "--names", "{b: c}"], "^--names {b: c}: expected text, or a list of such, or null$"),
        (["a", "--url"], "^--url: expected text behind it$"),
        ([""], "^--folder : expected text$"),
        (["a", "--runs", "x"], "^--runs x: expected a mapping from text to text, or null$"),
    ],
)
def test_a_value_of_another_type_is_told_by_its_option(words, said):
    with pytest.raises(InputError, match=said):
        taken("verb", verb, words)


@pytest.mark.parametrize(("word", "value"), [("1.5", 1.5), ("1,2", [1, 2]), ("[1, 2.5]", [1, 2.5]), ("null", None)])
@pytest.mark.parametrize("annotation", ["Sequence[float] | float | None", "float | Sequence[float] | None"])
def test_one_or_several_numbers(annotation, word, value):
    assert read_as(annotation, word, "--spacing") == value
    assert read_as(annotation, (1.0, 2.0), "--spacing") == [1.0, 2.0]


def test_what_is_there_as_a_file_is_one_word(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a,b").touch()
    assert read_as("str | Sequence[str]", "a,b", "--names") == "a,b"


@pytest.mark.parametrize("name", [name for name in entry.VERBS if name != "run"])
def test_every_annotation_of_a_verb_is_a_type(name):
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    for parameter in inspect.signature(entry.outline(name)).parameters.values():
        if parameter.kind not in kinds:
            assert type_of(str(parameter.annotation)).words
