"""Entry point: ``python -m tools <verb>``; ``python -m tools`` lists the verbs."""

from __future__ import annotations

import ast
import io
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

from common.errors import InputError, one_line_errors, without_controls
from common.options.names import hint

from .arguments import taken

VERBS = {  # where each is; the module is imported when its verb is asked for
    "benchmark": "benchmark.command",
    "check": "check.command",
    "demo": "demo",
    "draw": "draw",
    "ensemble": "ensemble",
    "experiment": "experiment.command",
    "export": "export",
    "fit": "fit",
    "folds": "folds",
    "new_method": "new_method",
    "nnunet": "nnunet",
    "package": "package",
    "parity": "parity.command",
    "phantom": "phantom",
    "pictures": "pictures",
    "plan": "plan.command",
    "prepare": "prepare.command",
    "pretrain_sam": "pretrain_sam",
    "record": "results",
    "report": "report",
    "rounds": "rounds",
    "run": "run",
    "sam_boxes": "sam_boxes",
    "score": "score",
    "serve": "label.serve",
    "tables": "results",
    "verify": "verify",
}
HELP = ("--help", "-h", "help")


def verb(name: str) -> Callable:
    """The function of a verb; ``InputError`` for one that does not exist."""
    name = name.replace("-", "_")
    if name not in VERBS:
        raise InputError(f"{name}: no such verb; python -m tools lists them{hint(name, VERBS)}")
    return getattr(import_module(f"{__package__}.{VERBS[name]}"), name)


def overview() -> str:
    """All verbs with the first line of their documentation, which is read without importing them."""
    width = max(map(len, VERBS))
    lines = [f"  {name:{width}}  {_summary(name)}" for name in VERBS]
    return "\n".join(
        ["usage: python -m tools <verb> ...", "", *lines, "", "python -m tools <verb> --help tells more.", ""]
    )


def _summary(name: str) -> str:
    return (ast.get_docstring(_source(name)[0]) or "").partition("\n")[0]


def _source(name: str) -> tuple[ast.FunctionDef, dict[str, ast.expr]]:
    """The function of a verb as it is written, and the constants of its module."""
    file = Path(__file__).parent.joinpath(*VERBS[name].split(".")).with_suffix(".py")
    nodes = ast.parse(file.read_text(encoding="utf-8")).body
    found = next(node for node in nodes if isinstance(node, ast.FunctionDef) and node.name == name)
    named = [(n.targets[0], n.value) for n in nodes if isinstance(n, ast.Assign)]
    return found, {target.id: value for target, value in named if isinstance(target, ast.Name)}


def outline(name: str) -> Callable:
    """Name, arguments, defaults and documentation of a verb, read without importing it: all that help needs."""
    function, constants = _source(name.replace("-", "_"))
    function.body, function.decorator_list = function.body[:1], []
    for defaults in (function.args.defaults, function.args.kw_defaults):  # literals, or constants of the module
        defaults[:] = [constants.get(d.id, d) if isinstance(d, ast.Name) else d for d in defaults]
    future = ast.ImportFrom("__future__", [ast.alias("annotations")], 0)
    module = ast.fix_missing_locations(ast.Module([future, function], []))
    namespace: dict[str, Callable] = {}
    exec(compile(module, __file__, "exec"), {"sys": sys}, namespace)  # of a file of this package
    return namespace[function.name]


def main(arguments: Sequence[str]) -> None:
    """Do what a command line says."""
    one_line_errors()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # names of files need not be text in this terminal's encoding; in a log, lines stand as they are said
            stream.reconfigure(errors="backslashreplace", line_buffering=True)
    with redirect_stdout(Printable(sys.stdout)):
        _do(arguments)


class Printable:
    """A stream to which names of files and cases are written without what a terminal would obey."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        return self.stream.write(without_controls(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _do(arguments: Sequence[str]) -> None:
    if not arguments or arguments[0] in HELP:
        sys.stdout.write(overview())
    elif arguments[0] == "run":  # reads its own words: text stays text there
        verb("run")
        import_module(f"{__package__}.run").command(arguments[1:])
    elif arguments[0].replace("-", "_") not in VERBS:
        verb(arguments[0])
    elif HELP[0] in arguments[1:] or (len(arguments) == 2 and arguments[1] in HELP):
        name = f"python -m tools {arguments[0]}"
        told = io.StringIO()  # fire writes help to the error stream, below a line on how it was asked for
        try:
            with redirect_stderr(told):
                import_module("fire").Fire(outline(arguments[0]), command=[HELP[0]], name=name)
        finally:
            sys.stdout.write(told.getvalue().partition("\n\n")[2].replace(f"'{name}'", name))
    else:
        positional, named = taken(arguments[0], outline(arguments[0]), arguments[1:])
        result = verb(arguments[0])(*positional, **named)
        for line in [result] if isinstance(result, str) else result if isinstance(result, list) else []:
            sys.stdout.write(f"{line}\n")  # files; what a verb found it has said


def entry() -> None:
    """The console command ``few-label``: what ``python -m tools`` is, from any folder."""
    main(sys.argv[1:])


if __name__ == "__main__":
    entry()
