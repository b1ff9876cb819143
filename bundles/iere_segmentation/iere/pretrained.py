"""Pretrained weights of residual encoders, whoever saved them."""

from __future__ import annotations

from torch import nn

from common.tensors import fill, read_tensors

_PREFIXES = ("module.", "model.", "backbone.", "encoder.")


def load_pretrained(network: nn.Module, path: str) -> None:
    """Load an encoder, or a whole network of the same kind, from a file of tensors.

    A state dict of the whole network is taken as it is. Anything else must be a ResNet in torchvision's names, as
    ImageNet files of torchvision and timm and BYOL backbones are: prefixes of wrappers and the classifier ``fc`` are
    dropped, and a stem for RGB is summed over its channels for gray images.

    Args:
        network: has a submodule ``encoder``.
        path: the file, of which nothing but tensors is read.

    Raises:
        InputError: naming the file, for one that is missing, unreadable or does not fit.
    """
    state = read_tensors(path, "it should hold pretrained weights (init)")
    if any(key.startswith("decoder.") for key in state):
        fill(network, state, path)
        return
    state = {_stripped(key): value for key, value in state.items()}
    state = {key: value for key, value in state.items() if not key.startswith("fc.")}
    stem, own = state.get("conv1.weight"), network.encoder.conv1.weight
    if stem is not None and stem.dim() == 4 and stem.shape[1] == 3 and own.shape[1] == 1:
        state["conv1.weight"] = stem.sum(dim=1, keepdim=True)
    fill(network.encoder, state, path)


def _stripped(key: str) -> str:
    while prefix := next((p for p in _PREFIXES if key.startswith(p)), None):
        key = key.removeprefix(prefix)
    return key
