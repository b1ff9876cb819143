"""The modules of the ``segment-anything`` distribution, without the torchvision that importing it asks for."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

from ..errors import InputError

_ALIAS = f"{__package__}._modeling"


@cache
def modeling() -> ModuleType:
    """The package ``segment_anything.modeling`` under a private name.

    The distribution's own ``__init__`` imports torchvision for its predictor, which nothing here uses. Its networks do
    not need it, so only their sub-package is executed; ``segment_anything`` itself can still be imported elsewhere.

    Raises:
        InputError: when the distribution is not installed.
    """
    found = importlib.util.find_spec("segment_anything")
    if found is None or not found.submodule_search_locations:
        raise InputError("the package segment-anything is not installed: pip install segment-anything==1.0")
    folder = Path(found.submodule_search_locations[0]) / "modeling"
    spec = importlib.util.spec_from_file_location(
        _ALIAS, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[_ALIAS] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[_ALIAS]
        raise
    return module
