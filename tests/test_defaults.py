"""Numbers and switches that a call gets which leaves them out, and numbers with a name, written down a second time.

Most defaults are a paper's or a published code's. The configurations name theirs, so that tests of whole methods don't
notice another default; whoever imports the modules relies on it. Numbers with a name are limits and tolerances, of
which tests see far sides. One that is meant to change is changed in ``defaults.txt``; a method without lines there
isn't looked at.
"""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KNOWN = (Path(__file__).parent / "defaults.txt").read_text(encoding="utf-8").splitlines()
FOLDERS = sorted({"/".join(line.split("/")[: 2 if line.startswith("bundles/") else 1]) for line in KNOWN})
PLAIN = (ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop, ast.Tuple, ast.Load)


def defaults(source):
    """``NAME = value`` and ``place(argument=value)`` of everything public in a module, as they are written there."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and all(isinstance(part, PLAIN) for part in ast.walk(node.value)):
            if any(map(is_number, ast.walk(node.value))):
                yield " ".join(ast.get_source_segment(source, node).split())
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for part in node.body:
                if isinstance(part, ast.AnnAssign) and part.value and any(map(is_number, ast.walk(part.value))):
                    yield f"{node.name}({part.target.id}={ast.get_source_segment(source, part.value)})"
                if isinstance(part, ast.FunctionDef) and (part.name == "__init__" or part.name[0] != "_"):
                    yield from of_function(source, part, f"{node.name}.{part.name}".removesuffix(".__init__"))
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield from of_function(source, node, node.name)


def is_number(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, (int, float))


def of_function(source, node, name):
    arguments = [*node.args.posonlyargs, *node.args.args]
    given = [*zip(arguments[len(arguments) - len(node.args.defaults) :], node.args.defaults)]
    given += [pair for pair in zip(node.args.kwonlyargs, node.args.kw_defaults) if pair[1] is not None]
    for argument, default in given:
        if any(map(is_number, ast.walk(default))):
            yield f"{name}({argument.arg}={ast.get_source_segment(source, default)})"


def found():
    for path in (path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))):
        for line in defaults(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(ROOT).as_posix()}: {line}"


def test_defaults_are_those_that_are_known():
    assert list(found()) == KNOWN


def test_private_places_and_texts_are_left_out():
    source = """
LIMIT = 2**20
PAIR = (-1.5, "x")
NAME = "x"
TABLE = {1: 2}
def f(a, b=-1, c="x", *, d=(2, None), e): ...
def _g(a=1): ...
class C:
    field: int = 2
    none: str = "x"
    def __init__(self, on=False): ...
    def run(self, n=3): ...
    def _run(self, n=3): ...
"""
    named = ["LIMIT = 2**20", 'PAIR = (-1.5, "x")']
    assert list(defaults(source)) == [*named, "f(b=-1)", "f(d=(2, None))", "C(field=2)", "C(on=False)", "C.run(n=3)"]
