"""Whether what a configuration names is there: devices, and components that take the arguments it gives them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pydoc import ErrorDuringImport, locate
from typing import Any

import torch
from monai.bundle import ConfigComponent

from ..errors import InputError
from .context import Configuration
from .explain import origin_of

PLAIN_MODE = (None, "default")


def check_devices(values: Mapping[str, Any]) -> None:
    """Raise ``InputError`` for a device that this machine does not have."""
    for name in ("device", "cache_device"):
        if (word := str(values.get(name, "cpu"))) == "disk":
            continue
        device = torch.device(word)
        count = torch.cuda.device_count() if device.type == "cuda" else int(torch.backends.mps.is_available())
        if device.type != "cpu" and (device.index or 0) >= count:
            raise InputError(f"{origin_of(name)} {device}: this machine has {count or 'no'} {device.type} devices")


def check_components(configuration: Configuration) -> None:
    """Raise ``InputError`` for a ``_target_`` that cannot be found or an argument that it does not take.

    What a component would find out itself, once all data are read, is known here before.
    """
    for id, item in list(configuration.resolver.items.items()):
        written = item.get_config()
        if not isinstance(item, ConfigComponent) or not isinstance(written, Mapping) or "_disabled_" in written:
            continue
        target = written.get("_target_")
        if not isinstance(target, str) and not callable(target):
            raise InputError(f"{origin_of(id)}: _target_ {target}: expected the name of a class or function")
        if isinstance(target, str) and not target.startswith(("$", "@", "%")):
            _check(origin_of(id), item, written)


def _check(name: str, item: ConfigComponent, written: Mapping) -> None:
    path = item.resolve_module_name()
    try:
        component = locate(path)
    except ErrorDuringImport as error:
        raise InputError(f"{name}: {path} cannot be imported ({error.value})") from error
    if component is None:
        raise InputError(f"{name}: there is no {path} (_target_)")
    if not callable(component) or written.get("_mode_") not in PLAIN_MODE:
        return
    try:
        signature = inspect.signature(component)
        signature.bind_partial(**item.resolve_args())
    except TypeError as error:
        raise InputError(f"{name}: {path.rpartition('.')[2]}: {error}") from None
    except ValueError:
        return  # builtins tell no signature
