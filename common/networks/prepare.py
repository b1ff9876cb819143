"""A network made ready for inference: batch norm folded into convolutions, weights laid out channels-last."""

from __future__ import annotations

import copy
import weakref

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .modes import keep_default_layout, to_channels_last

TOLERANCE = 1e-4  # of the largest output: what float32's rounding may change
_prepared: weakref.WeakKeyDictionary[nn.Module, tuple[tuple, nn.Module]] = weakref.WeakKeyDictionary()


def prepare_for_inference(network: nn.Module, example: Tensor, channels_last: bool = True) -> nn.Module:
    """A copy of ``network`` that gives the same output faster, or ``network`` itself where that is not possible.

    Batch norm with fixed statistics is a scale and a shift of each channel, and so is a part of the convolution before
    it. Which belongs to which is read off one pass over ``example``; the output on it is compared, and where it differs
    by more than rounding (a convolution whose output goes elsewhere too), nothing is folded. The copy is kept until a
    weight or a statistic changes, so that a validation sees the weights of its time.

    A network with a layer in training mode (batch statistics, dropout), a scripted one, and a pass that records
    gradients are left alone.

    Args:
        network: in evaluation mode.
        example: input of the network, ``B, C, spatial...``.
        channels_last: lay out the weights so.
    """
    unfit = isinstance(network, torch.jit.ScriptModule) or torch.is_grad_enabled()
    if unfit or not isinstance(network, nn.Module) or any(module.training for module in network.modules()):
        return network
    state = _state_of(network, channels_last)
    known = _prepared.get(network)
    if known is None or known[0] != state:
        known = state, _prepare(network, example[:1], channels_last)
        _prepared[network] = known
    return known[1]


def fold_batchnorm(network: nn.Module, example: Tensor) -> nn.Module:
    """A copy of ``network`` without the batch norms that follow a convolution.

    ``network`` itself where there are none, or outputs would differ.

    Source: Jacob et al., CVPR 2018, section 3.2.
    """
    device = example.device.type
    with torch.no_grad(), torch.autocast(device, enabled=False):
        example = example.float()
        pairs, wanted = _pairs(network, example)
        if not pairs:
            return network
        folded = copy.deepcopy(network)
        names = {module: name for name, module in network.named_modules()}
        for conv, norm in pairs:
            transposed = isinstance(conv, _ConvTransposeNd)
            _put(folded, names[conv], fuse_conv_bn_eval(conv, norm, transpose=transposed))
            _put(folded, names[norm], nn.Identity())
        apart = (_first(folded(example)) - wanted).abs().max()
    return folded if bool(apart <= TOLERANCE * wanted.abs().max()) else network


def _prepare(network: nn.Module, example: Tensor, channels_last: bool) -> nn.Module:
    folded = fold_batchnorm(network, example)
    if not channels_last:
        return folded
    keep_default_layout(folded)
    return to_channels_last(copy.deepcopy(network) if folded is network else folded)


def _pairs(network: nn.Module, example: Tensor) -> tuple[list[tuple[nn.Module, nn.Module]], Tensor]:
    """Convolutions with the batch norm that takes their output, and the network's output."""
    outputs: dict[int, tuple[nn.Module, Tensor]] = {}
    calls: dict[nn.Module, int] = {}
    found: dict[tuple[nn.Module, nn.Module], int] = {}

    def after_convolution(module: nn.Module, _, output: Tensor) -> None:
        calls[module] = calls.get(module, 0) + 1
        outputs[id(output)] = module, output  # kept, so that no other tensor gets its id

    def before_norm(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        calls[module] = calls.get(module, 0) + 1
        if id(inputs[0]) in outputs:
            pair = outputs[id(inputs[0])][0], module
            found[pair] = found.get(pair, 0) + 1

    hooks = [m.register_forward_hook(after_convolution) for m in network.modules() if isinstance(m, _ConvNd)]
    norms = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]
    hooks += [m.register_forward_pre_hook(before_norm) for m in norms]
    try:
        result = _first(network(example))
    finally:
        for hook in hooks:
            hook.remove()
    return [pair for pair, times in found.items() if all(calls[module] == times for module in pair)], result


def _first(output: Tensor | tuple | list) -> Tensor:
    return output if isinstance(output, Tensor) else output[0]


def _put(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, module)


def _state_of(network: nn.Module, channels_last: bool) -> tuple:
    """What changes when a weight or a statistic does, in place or by another tensor."""
    tensors = [*network.parameters(), *network.buffers()]
    return channels_last, tuple((id(tensor), tensor._version, tensor.device) for tensor in tensors)
