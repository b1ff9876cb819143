"""The numbered equations of each paper are all named by the tests of them."""

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
PAPERS = {  # name, first and last number; of SynFoC 1 and 2, and of IERE all but 7, are not known as printed
    "ssnet": ("SS-Net", 1, 5),
    "dualnet": ("DualNet", 1, 20),
    "sgrsnet": ("SGRS-Net", 1, 17),
    "synfoc": ("SynFoC", 3, 12),
    "iere": ("IERE", 7, 7),
}


def named(text: str) -> set[int]:
    """Numbers in ``eq. 3``, ``eqs. 1, 2 and 5`` and ``eqs. 3 to 7``."""
    numbers = set()
    for listed in re.findall(r"eqs?\. ((?:\d+(?:, | and | to )?)+)", text):
        for first, last in re.findall(r"(\d+)(?: to (\d+))?", listed):
            numbers |= set(range(int(first), int(last or first) + 1))
    return numbers


@pytest.mark.parametrize("method", PAPERS)
def test_every_equation_is_named_by_a_test_of_it(method):
    name, first, last = PAPERS[method]
    tree = ast.parse((HERE / f"test_{method}_equations.py").read_text(encoding="utf-8"))
    tests = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    found = set()
    for documented in filter(None, map(ast.get_docstring, tests)):
        if documented.startswith(f"{name} eq"):
            found |= named(documented)
    assert found == set(range(first, last + 1))
