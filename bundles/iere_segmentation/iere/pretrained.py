"""Pretrained weights of residual encoders, whoever saved them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from common.errors import InputError, require_file

_WRAPPERS = ("state_dict", "model", "network")
_PREFIXES = ("module.", "model.", "backbone.", "encoder.")


def load_pretrained(network: nn.Module, path: str) -> None:
    """Load an encoder, or a whole network of the same kind, from a file of tensors.

    A state dict of the whole network is taken as it is. Anything else must be a ResNet in torchvision's names, as
    ImageNet files of torchvision and timm and BYOL backbones are: prefixes of wrappers and the classifier ``fc`` are
    dropped, and a stem for RGB is summed over its channels for grey images.

    Args:
        network: has a submodule ``encoder``.
        path: the file, read with ``weights_only``.

    Raises:
        InputError: naming the file, for one that is missing, unreadable or does not fit.
    """
    require_file(path, "it should hold pretrained weights (init)")
    state = _read(path)
    if any(key.startswith("decoder.") for key in state):
        _load(network, state, path)
        return
    state = {_stripped(key): value for key, value in state.items()}
    state = {key: value for key, value in state.items() if not key.startswith("fc.")}
    stem, own = state.get("conv1.weight"), network.encoder.conv1.weight
    if stem is not None and stem.dim() == 4 and stem.shape[1] == 3 and own.shape[1] == 1:
        state["conv1.weight"] = stem.sum(dim=1, keepdim=True)
    _load(network.encoder, state, path)


def _read(path: str) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0][:120]
        raise InputError(f"{path}: cannot be read as a file of tensors ({reason})") from error
    for key in _WRAPPERS:
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path}: expected a state dict, names mapped to tensors")
    return dict(state)


def _stripped(key: str) -> str:
    while prefix := next((p for p in _PREFIXES if key.startswith(p)), None):
        key = key.removeprefix(prefix)
    return key


def _load(module: nn.Module, state: dict[str, Tensor], path: str) -> None:
    own = module.state_dict()
    state = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    other = [key for key, value in state.items() if key not in own or own[key].shape != value.shape]
    if missing or other:
        first = f"lacks {missing[0]}" if missing else f"has {other[0]} of shape {tuple(state[other[0]].shape)}"
        raise InputError(f"{path}: these weights do not fit the network ({first}; {len(missing) + len(other)} in all)")
    module.load_state_dict(state, strict=False)
