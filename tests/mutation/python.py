"""Mutants of Python code; docstrings, annotations, messages, the log and what only speed depends on stay."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .mutant import Mutant

COMPARISONS = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==", ast.Is: "is not",
    ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
OPERATORS = {
    ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.FloorDiv: "*", ast.Pow: "*", ast.BitAnd: "|",
    ast.BitOr: "&", ast.BitXor: "|",
}  # fmt: skip
SPEED = {
    "batch_size", "channels_last", "chunk", "desc", "disable", "indent", "inplace", "leave", "max_workers",
    "memory_format", "mininterval", "newline", "non_blocking", "num_workers", "print_lr", "print_log", "progress",
    "set_to_none", "stacklevel", "sw_batch_size", "unit", "use_reentrant", "workers",
}  # fmt: skip
SAYS = {
    "InputError", "ValueError", "TypeError", "RuntimeError", "DivergedError", "debug", "info", "warning", "warn",
    "error", "exception", "getLogger",
}  # fmt: skip
COMMUTATIVE = {"equal", "logical_and", "logical_or", "logical_xor", "max", "maximum", "min", "minimum"}
GUARD = 1e-6  # smaller numbers keep a division finite, and twice as much does so as well


class _Finder(ast.NodeVisitor):
    """Collects the mutants of a module."""

    def __init__(self, path: str, source: str) -> None:
        self.path, self.source, self.found = path, source, []
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.bytes = [line.encode() for line in source.splitlines(keepends=True)]

    def place(self, line: int, column: int) -> int:
        """Offset in characters of a place that ``ast`` gives in bytes."""
        return self.starts[line - 1] + len(self.bytes[line - 1][:column].decode())

    def span(self, node: ast.AST) -> tuple[int, int]:
        return self.place(node.lineno, node.col_offset), self.place(node.end_lineno, node.end_col_offset)

    def text(self, node: ast.AST) -> str:
        start, end = self.span(node)
        return self.source[start:end]

    def add(self, kind: str, node: ast.AST, start: int, end: int, text: str) -> None:
        self.found.append(Mutant(self.path, kind, start, end, text, node.lineno))

    def replace(self, kind: str, node: ast.AST, text: str) -> None:
        self.add(kind, node, *self.span(node), text)

    def between(self, kind: str, node: ast.AST, left: ast.AST, right: ast.AST, text: str) -> None:
        """Replace the operator between two operands; parentheses around them stay."""
        start, end = self.span(left)[1], self.span(right)[0]
        gap = self.source[start:end]
        token = gap.strip("() \n\\")
        if token and "#" not in token:
            at = start + gap.index(token)
            self.add(kind, node, at, at + len(token), text)

    # ---- what is passed over

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:  # noqa: N802
        if node.name in ("__repr__", "__str__"):
            return
        arguments = [*node.args.posonlyargs, *node.args.args]
        pairs = [*zip(arguments[len(arguments) - len(node.args.defaults) :], node.args.defaults)]
        pairs += [(a, d) for a, d in zip(node.args.kwonlyargs, node.args.kw_defaults) if d is not None]
        for argument, default in pairs:
            if argument.arg not in SPEED:
                self.visit(default)
        for statement in node.body:
            self.visit(statement)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:  # noqa: N802
        if node.value is not None:
            self.visit(node.value)

    def visit_Raise(self, node: ast.Raise) -> None:  # noqa: N802
        return

    def visit_Assert(self, node: ast.Assert) -> None:  # noqa: N802
        return

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:  # noqa: N802
        return

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg not in SPEED:
            self.visit(node.value)

    def visit_If(self, node: ast.If) -> None:  # noqa: N802
        if self.text(node.test) != "TYPE_CHECKING":
            self.generic_visit(node)

    # ---- what is changed

    def visit_Expr(self, node: ast.Expr) -> None:  # noqa: N802
        if isinstance(node.value, ast.Constant):
            return
        if isinstance(node.value, ast.Call) and called(node.value) not in SAYS:
            self.replace("statement removed", node, "pass")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:  # noqa: N802
        if called(node) in SAYS:
            return
        first = [a for a in node.args[:2] if not isinstance(a, ast.Starred)]
        differ = len(first) == 2 and self.text(first[0]) != self.text(first[1])
        if differ and called(node) not in COMMUTATIVE:
            start, end = self.span(first[0])[0], self.span(first[1])[1]
            middle = self.source[self.span(first[0])[1] : self.span(first[1])[0]]
            swapped = f"{self.text(first[1])}{middle}{self.text(first[0])}"
            self.add("arguments swapped", node, start, end, swapped)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "detach" and not node.args:
            self.replace("detach removed", node, self.text(node.func.value))
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:  # noqa: N802
        left = node.left
        for operator, right in zip(node.ops, node.comparators):
            self.between("comparison", node, left, right, COMPARISONS[type(operator)])
            left = right
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:  # noqa: N802
        words = any(isinstance(side, ast.JoinedStr) or is_text(side) for side in (node.left, node.right))
        if type(node.op) in OPERATORS and not words:
            self.between("arithmetic", node, node.left, node.right, OPERATORS[type(node.op)])
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:  # noqa: N802
        word = "or" if isinstance(node.op, ast.And) else "and"
        for left, right in zip(node.values, node.values[1:]):
            self.between("and/or", node, left, right, word)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:  # noqa: N802
        if isinstance(node.op, ast.Not | ast.USub | ast.Invert):
            self.replace("sign or negation removed", node, self.text(node.operand))
        if not isinstance(node.operand, ast.Constant):
            self.visit(node.operand)

    def visit_Constant(self, node: ast.Constant) -> None:  # noqa: N802
        value = node.value
        if isinstance(value, bool):
            self.replace("constant", node, str(not value))
        elif isinstance(value, int):
            self.replace("constant", node, {0: "1", 1: "0"}.get(value, str(2 * value)))
        elif isinstance(value, float) and abs(value) >= GUARD:
            self.replace("constant", node, {1.0: "0.0"}.get(value, str(2 * value)))
        elif value == 0.0 and isinstance(value, float):
            self.replace("constant", node, "1.0")


def called(node: ast.Call) -> str:
    """Last name of what is called."""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def mutants(path: str, source: str) -> Iterator[Mutant]:
    """Mutants of a module that can be parsed and differ from it."""
    finder = _Finder(path, source)
    tree = ast.parse(source)
    finder.visit(tree)
    original = ast.dump(tree)
    for mutant in finder.found:
        try:
            changed = ast.dump(ast.parse(mutant.apply(source)))
        except SyntaxError:
            continue
        if changed != original:
            yield mutant
