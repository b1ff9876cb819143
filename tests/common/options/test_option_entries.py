"""Quoted text, and what is code."""

import pytest

from common.options.entries import is_literal, literal, quoted


@pytest.mark.parametrize("value", ["$'a'", "$[1, 2]", "$None", "$-1.5"])
def test_literals_are_told_from_code(value):
    assert is_literal(value) and literal(value) is not NotImplemented


@pytest.mark.parametrize("value", ["a", "@a", "$a", "$os.getpid()", "$1 +", "", 5, None, ["$1"]])
def test_all_else_is_no_literal(value):
    assert not is_literal(value)


def test_quoted_text_comes_back():
    assert literal(quoted("$x @y %z")) == "$x @y %z" and quoted("plain") == "plain"
