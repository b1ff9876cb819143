"""Options of the bundles: their types, and the check of command lines, files and configurations against them.

What needs MONAI is imported when it is asked for: help on options must not wait for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .rules import whole_epochs
from .table import Table, table_of

if TYPE_CHECKING:
    from .context import Configuration, current_configuration
    from .request import checked_request
    from .running import check_ids, check_options

LATE = {
    "Configuration": "context",
    "current_configuration": "context",
    "check_ids": "running",
    "check_options": "running",
    "checked_request": "request",
}

__all__ = ["Table", "check_ids", "check_options", "checked_request", "Configuration", "current_configuration"]
__all__ += ["table_of", "whole_epochs"]


def __getattr__(name: str) -> Any:
    if name not in LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{LATE[name]}"), name)
