"""Files of tensors: whatever is wrong with one is said in one line; they are written whole or not at all."""

from __future__ import annotations

import hashlib
import os
import pickle
import stat
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .errors import InputError
from .files import atomic_path

_LFS = b"version https://git-lfs.github.com/spec/"
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_WRAPPERS = ("state_dict", "model_state_dict", "model", "network")
_DEEPEST = 5  # wrappers inside each other
_VARIANCE = "running_var"  # of batch norm
_PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile
_OPTIONAL = "num_batches_tracked"  # which older files lack


def require_tensor_file(path: str | Path, purpose: str) -> Path:
    """Return ``path`` if it can be a file of ``torch.save``, judged by its first bytes and its table of contents.

    Args:
        path: the file.
        purpose: what it is needed for, for the message where it is missing.

    Raises:
        InputError: for anything else: nothing there, a folder or device, an empty, truncated or foreign file, a Git
            LFS pointer, a TorchScript archive.
    """
    path = Path(path)
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise InputError(f"{path}: is a folder; expected a file of weights")
        if not stat.S_ISREG(found.st_mode):
            raise InputError(f"{path}: is not a regular file; expected a file of weights")
        with open(path, "rb") as file:
            head = file.read(512)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {purpose}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({os.strerror(error.errno).lower()}); {purpose}") from None
    if wrong := _foreign(path, head):
        raise InputError(f"{path}: {wrong}")
    return path


def _foreign(path: Path, head: bytes) -> str | None:
    """What a file is instead of one of ``torch.save``, if that shows."""
    if not head:
        return "is empty (0 bytes); expected a file of weights"
    if head.startswith(_LFS):
        return "is a Git LFS pointer, not the weights themselves; fetch them with 'git lfs pull'"
    if head.startswith(_ZIP):
        try:
            with zipfile.ZipFile(path) as archive:
                records = archive.infolist()
        except Exception:  # whatever a damaged table of contents makes zipfile say
            return "is truncated or damaged; copy or download it again"
        names = {record.filename.partition("/")[2] for record in records}
        if "constants.pkl" in names:
            return "is a TorchScript archive; expected the state dict of the network, as in model.pt"
        if "data.pkl" not in names or any(record.compress_type != zipfile.ZIP_STORED for record in records):
            return "is an archive that PyTorch did not write; expected a file of weights"
        return None
    if head.startswith(_PICKLE):
        return None
    kind = "is no PyTorch file" if b"\0" in head else "is a text file"
    return f"{kind}; expected a file of weights"


def read_file(path: str | Path, purpose: str) -> Any:
    """The content of a file of ``torch.save`` on the CPU, once its checksums are found right.

    Args:
        path: the file; nothing but tensors and plain values is read from it, never code.
        purpose: see ``require_tensor_file``.

    Raises:
        InputError: see ``require_tensor_file``; and for a damaged file, or one that holds Python objects.
    """
    path = require_tensor_file(path, purpose)
    if zipfile.is_zipfile(path) and (record := _first_damaged(path)):
        raise InputError(f"{path}: is damaged, the checksum of {record} is wrong; copy or download it again")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InputError(
            f"{path}: holds Python objects, which are not read as they can carry code, or is damaged; expected a state "
            "dict of plain tensors"
        ) from None
    except Exception as error:  # whatever a damaged file makes torch say
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise InputError(f"{path}: is truncated or damaged ({reason})") from None


def _first_damaged(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip()
    except Exception as error:  # whatever a damaged header makes zipfile say
        return f"its records ({type(error).__name__})"


def read_tensors(path: str | Path, purpose: str) -> dict[str, Tensor]:
    """The state dict in a file, out of the wrappers and without the prefixes that training tools add.

    Args:
        path: the file.
        purpose: see ``require_tensor_file``.

    Raises:
        InputError: see ``read_file``; and for a file of anything but names mapped to plain tensors.
    """
    content = read_file(path, purpose)
    for _ in range(_DEEPEST):  # a wrapper may hold itself
        inner = [k for k in _WRAPPERS if isinstance(content, Mapping) and isinstance(content.get(k), Mapping)]
        content = content[inner[0]] if inner else content
    if isinstance(content, Tensor):
        raise InputError(f"{path}: holds one tensor of shape {tuple(content.shape)}, expected a state dict of them")
    if not isinstance(content, Mapping) or not content:
        raise InputError(f"{path}: holds {_a(content)}, expected a state dict, names mapped to tensors")
    if {"objective", "optimizers"} <= content.keys():
        raise InputError(f"{path}: is the state of a run, for resume; its weights are in model.pt")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise InputError(f"{path}: {key!r} is {_a(value)}, expected a state dict, names mapped to tensors")
        if value.layout != torch.strided or value.is_quantized or value.is_complex() or value.is_meta:
            raise InputError(f"{path}: {key!r} is no plain tensor but sparse, quantized, complex or without values")
    state = dict(content)
    while prefix := next((p for p in _PREFIXES if all(key.startswith(p) for key in state)), None):
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def fill(module: nn.Module, state: Mapping[str, Tensor], path: str | Path) -> None:
    """Copy a state dict into a module, all of it or nothing; floating types are converted to the module's own.

    Args:
        module: what is filled.
        state: tensors by name.
        path: where they come from, for messages.

    Raises:
        InputError: naming the file and the first name, for tensors that are missing or unknown, of another shape or
            kind, or not finite.
    """
    wanted = module.state_dict()
    _require_names(state, wanted, path)
    _require_shapes(state, wanted, path)
    converted = {}
    for key, value in state.items():
        if key not in wanted:  # a counter of another version
            continue
        kind = wanted[key].dtype
        if value.is_floating_point() != kind.is_floating_point:
            raise InputError(f"{path}: {key!r} holds {value.dtype}, the network needs {kind}")
        converted[key] = value.to(kind)
    if key := not_finite(converted):
        raise InputError(f"{path}: {key!r} has NaN or infinite values; the training failed, or the file is damaged")
    if key := next((k for k, v in converted.items() if k.endswith(_VARIANCE) and (v < 0).any()), None):
        raise InputError(f"{path}: {key!r} has values below 0, and a variance has none; the file is damaged")
    module.load_state_dict(converted, strict=False)


def not_finite(state: Mapping[str, Tensor]) -> str | None:
    """Name of the first tensor with a NaN or infinite value, if any."""
    return next((k for k, v in state.items() if v.is_floating_point() and not torch.isfinite(v).all()), None)


def _require_names(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: str | Path) -> None:
    missing = [key for key in wanted if key not in state and not key.endswith(_OPTIONAL)]
    unknown = [key for key in state if key not in wanted and not key.endswith(_OPTIONAL)]
    words = [f"{len(missing)} of its {len(wanted)} tensors are not there, the first {key!r}" for key in missing[:1]]
    words += [f"{len(unknown)} are unknown to it, the first {key!r}" for key in unknown[:1]]
    if words:
        raise InputError(f"{path}: these are weights of another network than the one configured: {'; '.join(words)}")


def _require_shapes(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: str | Path) -> None:
    wrong = {k: (tuple(state[k].shape), tuple(v.shape)) for k, v in wanted.items() if k in state}
    wrong = {key: (found, needed) for key, (found, needed) in wrong.items() if found != needed}
    if not wrong:
        return
    key, (found, needed) = next(iter(wrong.items()))
    ends = {_end(*shapes) for shapes in wrong.values()}
    if None not in ends and len({axis for axis, *_ in ends}) == len(ends):  # all else fits
        said = {0: "has {} classes, num_classes is {}", 1: "takes {} channels, in_channels is {}"}
        words = " and ".join(said[axis].format(*sizes) for axis, *sizes in sorted(ends))
        raise InputError(f"{path}: {words} ({key!r} has shape {found}, expected {needed})")
    more = f", and {len(wrong) - 1} more differ" if len(wrong) > 1 else ""
    raise InputError(f"{path}: {key!r} has shape {found}, the configured network needs {needed}{more}")


def _end(found: tuple[int, ...], needed: tuple[int, ...]) -> tuple[int, int, int] | None:
    """Axis and sizes where two shapes differ in their outputs (0) or inputs (1) alone."""
    axes = [axis for axis, (a, b) in enumerate(zip(found, needed)) if a != b]
    if len(found) != len(needed) or len(axes) != 1 or axes[0] > 1:
        return None
    return axes[0], found[axes[0]], needed[axes[0]]


def write_file(content: Any, path: str | Path) -> None:
    """``torch.save``, whole or not at all; see ``save`` for errors."""
    with atomic_path(path) as temporary:
        save(content, temporary)


def save(content: Any, path: Path) -> None:
    """``torch.save``, down to the disk.

    Raises:
        OSError: for what the file system says, where torch would say something else.
    """
    try:
        with open(path, "wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
    except RuntimeError as error:
        cause = error.__context__
        raise (cause if isinstance(cause, OSError) else error) from None


def plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous copies on the CPU without anything around them; tensors that share memory still do."""
    copies: dict[tuple, Tensor] = {}
    result = {}
    for name, tensor in tensors.items():
        place = (tensor.device, tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())
        if tensor.numel() == 0 or place not in copies:
            copies[place] = torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor.detach())
        result[name] = copies[place]
    return result


def mark_from_file(module: nn.Module, names: Collection[str], path: str | Path) -> None:
    """Note for each of the named parameters that its value came from a file; copies of it are not marked."""
    for name, parameter in module.named_parameters():
        if name in names:
            parameter.from_file = str(path)


def came_from_file(parameter: nn.Parameter) -> str | None:
    """The file that ``mark_from_file`` noted."""
    return getattr(parameter, "from_file", None)


def digest(tensor: Tensor) -> str:
    """Checksum of a tensor's values, the same on every device and in every memory layout."""
    values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return hashlib.blake2b(values.numpy(), digest_size=16).hexdigest()


def _a(value: Any) -> str:
    name = type(value).__name__
    if isinstance(value, Mapping) and not value:
        return f"an empty {name}"
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
