"""Every command of ``docs/`` names verbs and options that exist."""

import inspect
import re
import shlex
from pathlib import Path

import pytest

import tools.__main__ as verbs
from tools.check.remedies import REMEDIES
from tools.release.readme import BLOCK, check_command, commands

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
LINES = [
    (page, line)
    for page in PAGES
    for block in BLOCK.findall(page.read_text(encoding="utf-8"))
    for line in block.splitlines()
]


@pytest.mark.parametrize(("page", "line"), [(page, line) for page, line in LINES if "-m tools" in line])
def test_tools_command_exists(page, line):
    words = shlex.split(line)
    verb = verbs.verb(words[words.index("tools") + 1])
    parameters = inspect.signature(verb).parameters
    free = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    for word in words:
        assert free or not word.startswith("--") or word[2:] in parameters, word


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_bundle_command_exists(page):
    for words in commands(page.read_text(encoding="utf-8")):
        check_command(words, DOCS)


def test_links_lead_somewhere():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert link.startswith("http") or (page.parent / link).exists(), (page.name, link)


def test_every_failure_names_tests_that_exist():
    text = (DOCS / "failures.md").read_text(encoding="utf-8")
    rows = [line for line in text.partition("## Who is trusted")[0].splitlines() if line.startswith("| ")][2:]
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)`", row.rpartition(" | ")[2])
        assert named and all((DOCS.parent / name).is_file() for name in named), row


def test_own_data_tells_the_remedy_of_every_finding():
    text = (DOCS / "own_data.md").read_text(encoding="utf-8")
    table = text.partition("| finding | what to do |\n| --- | --- |\n")[2].partition("\n\n")[0]
    assert table == "\n".join(f"| {kind} | {remedy} |" for kind, remedy in REMEDIES.items())
