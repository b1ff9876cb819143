"""Strided pointwise convolutions of few channels stay channels-first on a CPU."""

import os
import platform
import subprocess
import sys
from copy import deepcopy

import pytest
import torch
from torch import nn

from common.networks import keep_default_layout, make_teacher, modes, to_channels_last

CONVOLUTIONS = [(nn.Conv2d, torch.channels_last), (nn.Conv3d, torch.channels_last_3d)]


def image_for(conv, channels, side=8):
    return torch.randn(2, channels, *[side] * (2 if conv is nn.Conv2d else 3))


def gradients(network, x):
    """Of the sum of squares, in the parameters and the input."""
    x = x.detach().requires_grad_()
    y = network(x)
    return [y, *torch.autograd.grad(y.square().sum(), [x, *network.parameters()])]


@pytest.mark.parametrize(("conv", "layout"), CONVOLUTIONS)
@pytest.mark.parametrize(
    ("channels", "kernel", "stride", "groups", "kept"),
    [(1, 1, 2, 1, True), (4, 1, 2, 1, True), (7, 1, 2, 1, True), (12, 1, 3, 1, True), (15, 1, 2, 1, True),
     (32, 1, 2, 4, True), (16, 1, 2, 1, False), (64, 1, 2, 1, False), (4, 1, 1, 1, False), (4, 2, 2, 1, False),
     (4, 3, 2, 1, False)],
)  # fmt: skip
def test_which_layers_keep_the_default_layout(conv, layout, channels, kernel, stride, groups, kept):
    layer = conv(channels, 32, kernel, stride, groups=groups)
    assert keep_default_layout(nn.Sequential(layer)) == ([layer] if kept else [])
    to_channels_last(layer)
    assert kept or layer.weight.is_contiguous(memory_format=layout)
    assert not kept or layer.weight.stride()[1:] == (1,) * (layer.weight.dim() - 1)


@pytest.mark.parametrize("conv", [nn.Conv2d, nn.Conv3d])
def test_a_stride_along_one_axis_is_a_stride(conv):
    dims = 2 if conv is nn.Conv2d else 3
    assert keep_default_layout(conv(4, 8, 1, [1] * (dims - 1) + [2]))
    assert not keep_default_layout(conv(4, 8, [1] * (dims - 1) + [3], 2))


@pytest.mark.parametrize(("conv", "layout"), CONVOLUTIONS)
@pytest.mark.parametrize("channels", [1, 4])
def test_such_a_layer_sees_the_default_layout_and_computes_the_same(conv, layout, channels):
    layer, x, seen = conv(channels, 8, 1, 2), image_for(conv, channels), []
    expected = gradients(layer, x)
    to_channels_last(layer)
    layer.register_forward_hook(lambda layer, inputs, output: seen.append((inputs[0].stride(), output.is_contiguous())))
    found = gradients(layer, to_channels_last(x))
    assert seen == [(x.stride(), True)]
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_the_layer_is_prepared_once():
    layer = nn.Conv2d(4, 8, 1, 2)
    for _ in range(3):
        to_channels_last(nn.Sequential(layer))
    assert len(layer._forward_pre_hooks) == 1


@pytest.mark.parametrize("copy", [deepcopy, make_teacher])
def test_copies_and_wrapped_networks_do_so_too(copy):
    network = to_channels_last(nn.ModuleDict({"module": nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 8, 1, 2))}))
    seen, twin = [], copy(network)["module"]
    twin[1].register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0].is_contiguous()))
    x = to_channels_last(image_for(nn.Conv2d, 1))
    assert torch.equal(twin(x), network["module"](x))
    assert seen == [True]


GRADIENTS = """
import runpy, torch
from torch import nn

modes = runpy.run_path({modes!r})
to_channels_last = modes["to_channels_last"]
if not {guarded}:
    to_channels_last.__globals__["BLOCK"] = 0
torch.manual_seed(0)
for layer, shape in (
    (nn.Conv2d(4, 64, 1, 2), (8, 4, 64, 64)),
    (nn.Conv2d(2, 8, 1, 2), (4, 2, 32, 32)),
    (nn.Conv2d(12, 32, 1, 2), (4, 12, 32, 32)),
    (nn.Conv3d(4, 8, 1, 2), (2, 4, 16, 16, 16)),
    (nn.Conv3d(12, 32, 1, 2), (2, 12, 16, 16, 16)),
):
    network = nn.Sequential(nn.Identity(), layer, nn.ReLU())
    x = torch.randn(shape)
    expected = torch.autograd.grad(network(x).sum(), list(network.parameters()))
    to_channels_last(network)
    for _ in range(5):
        found = torch.autograd.grad(network(to_channels_last(x)).sum(), list(network.parameters()))
        for a, b in zip(found, expected):
            assert (a - b).norm() <= 1e-4 * b.norm(), (network, a, b)
print("right", torch.ops.mkldnn._is_mkldnn_bf16_supported())
"""


def run_with(isa, guarded, limit):
    """The gradients of a few layers in a process whose oneDNN takes the paths of an instruction set."""
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive", "ONEDNN_MAX_CPU_ISA": isa}
    command = [sys.executable, "-c", GRADIENTS.format(modes=modes.__file__, guarded=guarded)]
    return subprocess.run(command, env=environment, capture_output=True, timeout=limit, text=True)


@pytest.mark.parametrize("isa", ["AVX2", "ALL"])
def test_gradients_of_few_channels_are_right_with_two_threads(isa):
    result = run_with(isa, guarded=True, limit=120)
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.startswith("right")
    if isa == "AVX2":  # the switch took effect
        assert result.stdout.split() == ["right", "False"]


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the fault is in code for x86-64")
def test_without_the_guard_they_are_not():
    """Wrong, crashed or hanging; if this fails, the installed oneDNN is mended and the guard can go."""
    try:
        result = run_with("AVX2", guarded=False, limit=30)
    except subprocess.TimeoutExpired:
        return
    assert result.returncode != 0
