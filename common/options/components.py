"""Whether the components that a configuration names exist and take the arguments it gives them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pydoc import ErrorDuringImport, locate

from monai.bundle import ConfigComponent

from ..errors import InputError
from .context import Configuration

PLAIN_MODE = (None, "default")


def check_components(configuration: Configuration) -> None:
    """Raise ``InputError`` for a ``_target_`` that cannot be found or an argument that it does not take.

    What a component would find out itself, once all data are read, is known here before.
    """
    for id, item in list(configuration.resolver.items.items()):
        written = item.get_config()
        if not isinstance(item, ConfigComponent) or not isinstance(written, Mapping) or "_disabled_" in written:
            continue
        target = written.get("_target_")
        if isinstance(target, str) and not target.startswith(("$", "@", "%")):
            _check(id.replace("::", "#"), item, written)


def _check(name: str, item: ConfigComponent, written: Mapping) -> None:
    path = item.resolve_module_name()
    try:
        component = locate(path)
    except ErrorDuringImport as error:
        raise InputError(f"--{name}: {path} cannot be imported ({error.value})") from error
    if component is None:
        raise InputError(f"--{name}: there is no {path} (_target_)")
    if not callable(component) or written.get("_mode_") not in PLAIN_MODE:
        return
    try:
        signature = inspect.signature(component)
        signature.bind_partial(**item.resolve_args())
    except TypeError as error:
        raise InputError(f"--{name}: {path.rpartition('.')[2]}: {error}") from None
    except ValueError:
        return  # builtins tell no signature
