"""What a wheel holds: every file of the packages and of the bundles, and a console command."""

import configparser
import subprocess
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("bundles", "common", "tools")


@pytest.fixture
def setup():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def test_every_file_is_code_or_data_of_a_package(setup):
    listed = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True)
    files = listed.stdout.split() or [str(p.relative_to(ROOT)) for n in PACKAGES for p in (ROOT / n).rglob("*.yaml")]
    patterns = ["*.py", *setup["options.package_data"]["*"].split()]
    assert files and not [name for name in files if not any(fnmatch(Path(name).name, one) for one in patterns)]


def test_packages_are_found_without_init_files(setup):
    assert setup["options"]["packages"] == "find_namespace:"
    assert {name.rstrip("*") for name in setup["options.packages.find"]["include"].split()} == set(PACKAGES)


def test_the_console_command_exists(setup, monkeypatch, capsys):
    name, _, place = setup["options.entry_points"]["console_scripts"].strip().partition(" = ")
    module, function = place.split(":")
    monkeypatch.setattr("sys.argv", [name, "--help"])
    getattr(import_module(module), function)()
    assert "experiment" in capsys.readouterr().out


def test_constraints_hold_every_requirement_at_a_version_it_allows():
    lines = (ROOT / "docs" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    pinned = {canonicalize_name(name): version for name, version in pinned.items()}
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            wanted = Requirement(line)
            assert canonicalize_name(wanted.name) in pinned, f"{line}: docs/constraints.txt has no line of it"
            assert wanted.specifier.contains(pinned[canonicalize_name(wanted.name)]), line
