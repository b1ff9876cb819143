"""Numbers and switches that a call gets which leaves them out, written down a second time.

Most are a paper's or a published code's. The configurations name theirs, so that tests of whole methods don't notice
another default; whoever imports the modules relies on it. One that is meant to change is changed in ``defaults.txt``.
A method without lines there isn't looked at.
"""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KNOWN = (Path(__file__).parent / "defaults.txt").read_text(encoding="utf-8").splitlines()
FOLDERS = sorted({"/".join(line.split("/")[: 2 if line.startswith("bundles/") else 1]) for line in KNOWN})


def defaults(tree):
    """``place(argument=value)`` of everything public in a module."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and (method.name == "__init__" or method.name[0] != "_"):
                    yield from of_function(method, f"{node.name}.{method.name}".removesuffix(".__init__"))
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield from of_function(node, node.name)


def of_function(node, name):
    arguments = [*node.args.posonlyargs, *node.args.args]
    given = [*zip(arguments[len(arguments) - len(node.args.defaults) :], node.args.defaults)]
    given += [pair for pair in zip(node.args.kwonlyargs, node.args.kw_defaults) if pair[1] is not None]
    for argument, default in given:
        if any(isinstance(part, ast.Constant) and isinstance(part.value, (int, float)) for part in ast.walk(default)):
            yield f"{name}({argument.arg}={ast.unparse(default)})"


def found():
    for path in (path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))):
        for line in defaults(ast.parse(path.read_text(encoding="utf-8"))):
            yield f"{path.relative_to(ROOT)}: {line}"


def test_defaults_are_those_that_are_known():
    assert list(found()) == KNOWN


def test_private_places_and_texts_are_left_out():
    source = """
def f(a, b=-1, c="x", *, d=(2, None), e): ...
def _g(a=1): ...
class C:
    def __init__(self, on=False): ...
    def run(self, n=3): ...
    def _run(self, n=3): ...
"""
    assert list(defaults(ast.parse(source))) == ["f(b=-1)", "f(d=(2, None))", "C(on=False)", "C.run(n=3)"]
