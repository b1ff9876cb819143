"""The options that MONAI Label shows, as a request gives them."""

from __future__ import annotations

from typing import Any

from ..errors import InputError
from .context import current_configuration
from .table import table_of
from .types import Boolean, Option

SHOWN = "displayable_configs"
ANSWER = Option("uncertainty_map", Boolean(), "answer with the uncertainty in percent instead of labels")


def checked_request() -> dict[str, Any]:
    """Values of ``displayable_configs``, each read by the type of the option of its name.

    A component of ``inference.yaml``. A request is text from outside: MONAI Label puts its values into the
    configuration as they are, where text that begins with ``$`` would be run. Here they are read as they are written
    and never resolved; an entry that only refers to the option of its name has that option's value.

    Raises:
        InputError: naming the option, for a value that is not of its type or an unknown name.
    """
    configuration = current_configuration()
    table = table_of(str(configuration.value("bundle_root")), "inference")
    known = {**table, ANSWER.name: ANSWER}
    values: dict[str, Any] = {}
    for name, value in dict(configuration.written(SHOWN)).items():
        if name not in known:
            raise InputError(f"{name}: no such option; there are {', '.join(configuration.written(SHOWN))}")
        option = known[name]
        if value == f"@{name}":
            value = configuration.value(name)
        values[name] = option.parse(value, name)
    return values
