"""Who may import whom, in Python and in configuration files."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from tools.release.render import targets

ROOT = Path(__file__).resolve().parent.parent
BUNDLES = sorted(path for path in (ROOT / "bundles").iterdir() if (path / "configs").is_dir())
METHODS = {next(p.name for p in bundle.iterdir() if (p / "__init__.py").is_file()) for bundle in BUNDLES}

LEAVES = {"losses", "transforms", "networks", "metrics"}
ALLOWED = {
    **dict.fromkeys(LEAVES, LEAVES),
    "options": {"options"},
    "data": {"data", "datasets", "transforms"},
    "datasets": {"datasets"},
    "inferers": {"inferers", "networks", "transforms"},
    "handlers": {"handlers", "metrics"},
    "runs": {"runs", "data", "datasets", "engines", "handlers", "networks"},
    "sam": {"sam", "losses", "transforms"},
    "engines": {"engines", "handlers", "losses", "transforms", "data", "networks"},
}
ROOT_MODULES = {"errors", "files", "groups", "memory", "options", "outlines", "precision", "tensors", "wheels"}


def imported(path):
    """(module, level) of every import statement of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", node.level


@pytest.mark.parametrize("path", sorted((ROOT / "common").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_common_imports_downwards_and_relatively(path):
    parts = path.relative_to(ROOT / "common").parts
    package = parts[0] if len(parts) > 1 else None
    for module, level in imported(path):
        top = module.split(".")[0]
        if level == 0:
            assert top not in {"common", "tools", "bundles"} | METHODS
        elif level == len(parts) and package is not None:
            assert top in ALLOWED[package] | ROOT_MODULES, f"{package} must not import {module}"


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda p: p.name)
def test_a_bundle_imports_common_but_no_bundle_and_no_tools(bundle):
    for path in bundle.rglob("*.py"):
        for module, level in imported(path):
            assert level or module.split(".")[0] not in {"tools", "bundles"} | METHODS


def strings(path):
    """Text in a file's code: neither docstrings nor defaults of arguments."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    left_out = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    left_out |= {id(value) for node in ast.walk(tree) if isinstance(node, ast.arguments) for value in node.defaults}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in left_out:
            yield node.value


@pytest.mark.parametrize("path", sorted((ROOT / "tools").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_tools_know_no_method(path):
    """What they must know of one stands in its bundle; the demo says what it shows, a scaffold what it copies."""
    if path.name not in ("demo.py", "new_method.py"):
        assert not [text for text in strings(path) if any(method in text.lower() for method in METHODS)]


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda p: p.name)
def test_the_idea_of_a_method_is_small(bundle):
    """What a method alone uses may stand beside its objective, however much that is; the objective is its idea."""
    (objective,) = bundle.glob("*/objective.py")
    assert len(objective.read_text(encoding="utf-8").splitlines()) <= 200


@pytest.mark.parametrize(
    "path", sorted((ROOT / "bundles").glob("*/configs/*.yaml")), ids=lambda p: f"{p.parts[-3]}-{p.stem}"
)
def test_configs_name_common_their_own_package_and_libraries(path):
    own = {p.name for p in path.parent.parent.iterdir() if (p / "__init__.py").is_file()}
    text = path.read_text(encoding="utf-8")
    imports = re.findall(r"\$(?:from|import) +([\w.]+)", text)
    for target in [*targets(yaml.safe_load(text)), *imports]:
        top = target.split(".")[0]
        assert "." not in target or top in {"common", "torch", "monai", "ignite"} | own, target
        if path.stem == "inference":
            assert not target.startswith(("common.engines", "common.handlers", "common.losses")), target


def test_no_module_outgrows_the_house_rule():
    for path in [*(ROOT / "common").rglob("*.py"), *(ROOT / "bundles").rglob("*.py"), *(ROOT / "tools").rglob("*.py")]:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 300, path
