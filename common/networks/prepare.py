"""A network made ready for inference: batch norm and activations within convolutions, weights channels-last."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .modes import keep_default_layout, to_channels_last

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
ACTIVATIONS = (nn.ReLU, nn.LeakyReLU)
TOLERANCE = 1e-4  # of the largest output: what float32's rounding may change
_prepared: weakref.WeakKeyDictionary[nn.Module, tuple[tuple, nn.Module]] = weakref.WeakKeyDictionary()


def prepare_for_inference(network: nn.Module, example: Tensor, channels_last: bool = True) -> nn.Module:
    """A copy of ``network`` that gives the same output faster, or ``network`` itself where that is not possible.

    Batch norm with fixed statistics is a scale and a shift of each channel, and so is a part of the convolution before
    it. Which belongs to which is read off one pass over ``example``; the output on it is compared, and where it differs
    by more than rounding (a convolution whose output goes elsewhere too), nothing is folded. On a CPU convolutions then
    call oneDNN themselves, with the activation after them: torch takes a way several times slower for a single small
    window, and for a 1x1 kernel in one thread. The copy is kept until a weight or a statistic changes, so that a
    validation sees the weights of its time.

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
        pairs, _, wanted = _pairs(network, example, _is_fixed_norm)
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


class OneDNNConvolution(nn.Module):
    """A convolution and the activation after it in one call of oneDNN; for inference on a CPU.

    Like a convolution it computes in the number type of autocast, where that is on. In a type that oneDNN lacks on this
    processor it calls the layers.

    Args:
        conv: one of ``CONVOLUTIONS``, padded with zeros.
        activation: one of ``ACTIVATIONS``, or ``None``.

    Source of the calls: what ``torch.compile`` makes of a convolution on a CPU (torch/_inductor/fx_passes).
    """

    def __init__(self, conv: _ConvNd, activation: nn.Module | None = None) -> None:
        super().__init__()
        self.conv, self.activation = conv, activation or nn.Identity()
        leaky = isinstance(activation, nn.LeakyReLU)
        self.scalars = [activation.negative_slope] if leaky else []
        self.attr = "none" if activation is None else "leaky_relu" if leaky else "relu"
        self.types = {torch.float32}
        if torch.ops.mkldnn._is_mkldnn_bf16_supported():
            self.types.add(torch.bfloat16)
        self.known: dict[torch.dtype, tuple[Tensor, Tensor | None]] = {}

    def forward(self, x: Tensor) -> Tensor:
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        if dtype not in self.types:
            return self.activation(self.conv(x))
        conv = self.conv
        if dtype not in self.known:
            bias = None if conv.bias is None else conv.bias.to(dtype)
            self.known[dtype] = conv.weight.to(dtype), bias
        places, call = [list(conv.padding)], torch.ops.mkldnn._convolution_pointwise
        if isinstance(conv, _ConvTransposeNd):
            places, call = [*places, list(conv.output_padding)], torch.ops.mkldnn._convolution_transpose_pointwise
        steps = list(conv.stride), list(conv.dilation), conv.groups
        return call(x.to(dtype), *self.known[dtype], *places, *steps, self.attr, self.scalars, "")


def call_onednn(network: nn.Module, example: Tensor) -> nn.Module:
    """A copy of ``network`` whose convolutions call oneDNN with the activations after them, for a CPU.

    ``network`` itself where its convolutions are of other kinds, torch lacks the calls, or outputs would differ.
    """
    calls = all(hasattr(torch.ops.mkldnn, f"_convolution{kind}_pointwise") for kind in ("", "_transpose"))
    if example.device.type != "cpu" or not calls or not torch.backends.mkldnn.is_available():
        return network
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        example = example.float()
        pairs, called, wanted = _pairs(network, example, lambda module: type(module) in ACTIVATIONS)
        names = {module: name for name, module in network.named_modules()}
        layers = [module for module in names if module in called and _suits_onednn(module)]
        copied, after = copy.deepcopy(network), dict(pairs)
        for conv in layers:
            _put(copied, names[conv], OneDNNConvolution(copied.get_submodule(names[conv]), after.get(conv)))
            if conv in after:
                _put(copied, names[after[conv]], nn.Identity())
        try:
            apart = (_first(copied(example)) - wanted).abs().max()
        except (RuntimeError, AttributeError):  # oneDNN has no such convolution; weights that are read elsewhere too
            return network
    return copied if layers and bool(apart <= TOLERANCE * wanted.abs().max()) else network


def _suits_onednn(module: nn.Module) -> bool:
    if type(module) not in CONVOLUTIONS or module._forward_pre_hooks or module._forward_hooks:
        return False
    return isinstance(module.padding, tuple) and module.padding_mode == "zeros" and module.weight.dtype is torch.float32


def _is_fixed_norm(module: nn.Module) -> bool:
    return isinstance(module, _BatchNorm) and module.running_mean is not None


def _prepare(network: nn.Module, example: Tensor, channels_last: bool) -> nn.Module:
    folded = fold_batchnorm(network, example)
    if channels_last:
        keep_default_layout(folded)
        folded = to_channels_last(copy.deepcopy(network) if folded is network else folded)
    return call_onednn(folded, example)


def _pairs(
    network: nn.Module, example: Tensor, follows: Callable[[nn.Module], bool]
) -> tuple[list[tuple[nn.Module, nn.Module]], set[nn.Module], Tensor]:
    """Convolutions with the layer of a kind that takes their output, all that were called, the network's output."""
    outputs: dict[int, tuple[nn.Module, Tensor]] = {}
    calls: dict[nn.Module, int] = {}
    found: dict[tuple[nn.Module, nn.Module], int] = {}

    def after_convolution(module: nn.Module, _, output: Tensor) -> None:
        calls[module] = calls.get(module, 0) + 1
        outputs[id(output)] = module, output  # kept, so that no other tensor gets its id

    def before_next(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        calls[module] = calls.get(module, 0) + 1
        if id(inputs[0]) in outputs:
            pair = outputs[id(inputs[0])][0], module
            found[pair] = found.get(pair, 0) + 1

    hooks = [m.register_forward_hook(after_convolution) for m in network.modules() if isinstance(m, _ConvNd)]
    hooks += [m.register_forward_pre_hook(before_next) for m in network.modules() if follows(m)]
    try:
        result = _first(network(example))
    finally:
        for hook in hooks:
            hook.remove()
    pairs = [pair for pair, times in found.items() if all(calls[module] == times for module in pair)]
    return pairs, set(calls), result


def _first(output: Tensor | tuple | list) -> Tensor:
    return output if isinstance(output, Tensor) else output[0]


def _put(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, module)


def _state_of(network: nn.Module, channels_last: bool) -> tuple:
    """What changes when a weight or a statistic does, in place or by another tensor."""
    tensors = [*network.parameters(), *network.buffers()]
    return channels_last, tuple((id(tensor), tensor._version, tensor.device) for tensor in tensors)
