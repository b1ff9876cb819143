"""Every command in the documents names bundles, layers and options that exist."""

import re
import shlex
from pathlib import Path

import pytest

from common.options import check_ids
from tools.run import BUNDLES, config_file

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted(BUNDLES.glob("*/docs/README.md")),
]
COMMANDS = [
    (document, line)
    for document in DOCUMENTS
    for block in re.findall(r"```bash\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)
    for line in block.strip().splitlines()
    if "monai.bundle run" in line or "tools run" in line
]


def options(words):
    return [word[2:] for word in words if word.startswith("--")]


@pytest.mark.parametrize(("document", "line"), COMMANDS, ids=[line[-60:] for _, line in COMMANDS])
def test_command_is_runnable(document, line):
    words = shlex.split(line)
    words = words[words.index("-m", len(words) - words[::-1].index("run") - 3) :]  # without those of a launcher
    if "tools" in words:
        bundle, *rest = words[words.index("run") + 1 :]
        layers = rest[: next((i for i, w in enumerate(rest) if w.startswith("--")), len(rest))]
        layers = [layer for layer in layers if not layer.endswith(".yaml")]  # the user's own, of tools plan
        base = "inference" if {"inference", "evaluate"} & set(layers) else "train"
        files = [config_file(BUNDLES / bundle, layer) for layer in dict.fromkeys([base, *layers])]
    else:
        given = words[words.index("--config_file") + 1]
        names = re.findall(r"[\w/.]+\.yaml", given)
        root = ROOT if document.parent == ROOT else document.parent.parent
        files = [root / name for name in names]
    assert files and all(file.is_file() for file in files), files
    names = [name for name in options(words) if name not in ("config_file", "help")]
    check_ids(names, [str(file) for file in files])


def test_ci_runs_the_test_command_of_the_readme():
    assert "grep -m 1 'bin/python -m pytest' README.md" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert (
        len(
            re.findall(
                r"^python3 -m venv .*bin/python -m pytest$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M
            )
        )
        == 1
    )
