"""Which modules move into a release, and what their imports become."""

import pytest

from common.errors import InputError
from tools.release.vendor import imports_of, libraries, own_package, reached, renamed_imports, vendor


@pytest.fixture
def repository(tmp_path):
    """``common`` with two packages, of which ``losses`` is reached through ``engines``, and a bundle."""
    files = {
        "common/__init__.py": "",
        "common/engines/__init__.py": "from .trainer import Trainer\n",
        "common/engines/trainer.py": "import torch\nfrom ..losses.dice import dice\nfrom .. import errors\n",
        "common/errors.py": "import os\n",
        "common/losses/__init__.py": "",
        "common/losses/dice.py": "def late():\n    import scipy.ndimage\n",
        "common/losses/unused.py": "import pandas\n",
        "common/sam/__init__.py": "import segment_anything\n",
        "bundle/method/__init__.py": "from .objective import Objective\n",
        "bundle/method/objective.py": '"""from common"""\nfrom common.engines import (\n    Trainer,\n)\n',
        "bundle/method/deep/__init__.py": "from common.errors import os; from common import losses\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def names(paths, root):
    return [path.relative_to(root).as_posix() for path in paths]


def test_reached_modules_are_those_that_importing_runs(repository):
    found = names(reached(["common.engines.Trainer"], repository), repository)
    assert found == [
        "common/__init__.py", "common/engines/__init__.py", "common/engines/trainer.py", "common/errors.py",
        "common/losses/__init__.py", "common/losses/dice.py",
    ]  # fmt: skip
    assert reached(["torch.nn.Module"], repository) == []


def test_libraries_beside_common_are_no_part_of_it(repository):
    """Where a wheel is installed, ``common`` lies in the folder of all packages."""
    beside = repository / "torch" / "__init__.py"
    beside.parent.mkdir()
    beside.write_text("import numpy\n", encoding="utf-8")
    found = reached(["common.engines.Trainer"], repository)
    assert beside not in found and libraries(found, repository) == {"torch", "scipy.ndimage"}
    vendor(repository / "bundle", repository, ["torch.nn.Module"], repository / "released")
    assert not list((repository / "released").rglob("torch*"))


def test_imports_are_absolute_dotted_names(repository):
    path = repository / "common" / "engines" / "trainer.py"
    assert list(imports_of(path, repository)) == ["torch", "common.losses.dice.dice", "common.errors"]
    init = repository / "common" / "engines" / "__init__.py"
    assert list(imports_of(init, repository)) == ["common.engines.trainer.Trainer"]


def test_libraries_leave_out_the_standard_library_and_own_packages(repository):
    assert libraries((repository / "common" / "losses").glob("*.py"), repository) == {"scipy.ndimage", "pandas"}
    assert libraries([repository / "common" / "errors.py"], repository) == set()
    late = repository / "common" / "late.py"
    late.write_text(
        "from importlib.util import find_spec\nfind_spec('h5py')\noptional_import('highdicom')\n", encoding="utf-8"
    )
    assert libraries([late], repository) == {"h5py"}  # optional_import names what one can do without


def test_vendored_package_imports_its_own_copy(repository, tmp_path):
    target = tmp_path / "release"
    vendor(repository / "bundle", repository, ["common.losses.unused"], target)
    assert own_package(target) == "method"
    assert (target / "method" / "objective.py").read_text(encoding="utf-8") == (
        '"""from common"""\nfrom .common.engines import (\n    Trainer,\n)\n'
    )
    assert (target / "method" / "common" / "losses" / "unused.py").is_file()
    assert not (target / "method" / "common" / "sam").exists()


def test_relative_imports_count_the_folders(repository):
    path = repository / "bundle" / "method" / "deep" / "__init__.py"
    assert renamed_imports(path, "..") == "from ..common.errors import os; from ..common import losses\n"


def test_an_import_without_a_relative_form_is_refused(repository):
    path = repository / "bundle" / "method" / "objective.py"
    path.write_text("import torch\nimport common.losses as losses\n", encoding="utf-8")
    with pytest.raises(InputError, match="objective.py, line 2: write 'from common... import ...'"):
        renamed_imports(path, ".")


def test_a_bundle_has_one_package(repository):
    (repository / "bundle" / "other").mkdir()
    (repository / "bundle" / "other" / "__init__.py").touch()
    with pytest.raises(InputError, match="expected one Python package"):
        own_package(repository / "bundle")
