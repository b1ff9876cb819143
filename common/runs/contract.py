"""What may change when a run is continued, and what may not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import InputError

FREE = {
    "how long, and how often it is looked at": (
        "iterations",
        "epoch_length",
        "val_interval",
        "check_every",
        "progress",
        "tensorboard",
    ),
    "the learning rate": ("learning_rate", "learning_rate_sam", "pretrain#learning_rate", "sam#learning_rate"),
    "where": ("output_dir", "ckpt_dir", "bundle_root", "device", "cache_device", "dist_backend", "is_main", "threads"),
    "how it is started": ("resume", "overwrite", "studies", "layers", "displayable_configs"),
    "where it started from, which its state replaces": ("init", "pretrained", "checkpoint", "sam#checkpoint"),
    "final evaluation": ("test_stride", "largest_component", "split", "empty_policy", "metric_spacing"),
    "the machinery around it": (
        *("imports", "initialize", "preflight", "run", "finalize", "add_path", "stretch"),
        *("train#trainer", "train#handlers", "validate#handlers", "validate#evaluator"),
        *("tracking_uri", "experiment_name", "run_name", "save_execute_config", "is_not_rank0"),
    ),
}
_FREE = tuple(name for names in FREE.values() for name in names)
_ALLOWED = "more iterations, another learning rate, epoch length, device or number of processes may"


def as_written(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Entries of a merged configuration by name (``sam#kind``), references and expressions as text.

    A value that follows from others, such as ``$@iterations // 2``, is the same setting as long as its text is.
    """
    return {
        name: value
        for id, node in configuration.items()
        if not str(id).startswith("_")
        for name, value in _leaves(str(id), node)
    }


def _leaves(name: str, node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for key, child in node.items():
            yield from _leaves(f"{name}#{key}", child)
    elif isinstance(node, (list, tuple)) and any(isinstance(child, (Mapping, list, tuple)) for child in node):
        for number, child in enumerate(node):
            yield from _leaves(f"{name}#{number}", child)
    elif isinstance(node, (list, tuple)):
        yield name, [_plain(child) for child in node]
    else:
        yield name, _plain(node)


def _plain(value: Any) -> Any:
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def check_resumable(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Compare the settings a run was started with and those it is to be continued with.

    Args:
        before: plain values by name, see ``as_written``.
        now: the same of this start.

    Raises:
        InputError: for the first setting that differs and is not ``FREE``, with both values.
    """
    for name in [*before, *(name for name in now if name not in before)]:
        if not is_free(name) and not _same(before.get(name, _UNSET), now.get(name, _UNSET)):
            raise InputError(
                f"resume: {name} was {_shown(before.get(name, _UNSET))} when this run was started and is "
                f"{_shown(now.get(name, _UNSET))} now; it cannot change within a run ({_ALLOWED})"
            )


def check_same_data(before: Mapping[str, Mapping], now: Mapping[str, Mapping]) -> None:
    """Compare the cases a run was started with and those it is to be continued with.

    Args:
        before: for each list (``labeled``, ``unlabeled``, ``validation``) its cases, by name, with anything plain that
            tells their content, such as checksums of their files, or ``None`` where that is not known.
        now: the same of this start.

    Raises:
        InputError: naming the first case that has moved, is gone or new, or has another content.
    """
    roles_before, roles_now = _roles(before), _roles(now)
    for case in sorted(roles_before.keys() | roles_now.keys()):
        old, new = roles_before.get(case), roles_now.get(case)
        if old != new:
            raise InputError(
                f"resume: case {case!r} was in {_lists(old)} when this run was started and is in {_lists(new)} now; "
                "a run continues on the same cases"
            )
        contents = before[old[0]].get(case), now[old[0]].get(case)
        if None not in contents and not _same(*contents):
            raise InputError(f"resume: case {case!r} ({old[0]}) has another content than when this run was started")


def is_free(name: str) -> bool:
    """Whether a setting may change within a run."""
    return any(name == free or name.startswith(f"{free}#") for free in _FREE)


def _roles(data: Mapping[str, Mapping]) -> dict[str, tuple[str, ...]]:
    roles: dict[str, tuple[str, ...]] = {}
    for role, cases in data.items():
        for case in cases:
            roles[case] = (*roles.get(case, ()), role)
    return roles


def _lists(roles: tuple[str, ...] | None) -> str:
    return f"the list {' and '.join(roles)}" if roles else "no list"


class _Unset:
    def __repr__(self) -> str:
        return "not set"


_UNSET = _Unset()


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _same(one: Any, other: Any) -> bool:
    """Equal, whatever the kind of a sequence and whether a whole number is written 1 or 1.0."""
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return one == other
