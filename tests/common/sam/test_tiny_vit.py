import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from common.errors import InputError
from common.sam import ARCHITECTURES, Sam, build_sam
from common.sam.architectures import Hierarchical
from common.sam.testing import tiny_sam
from common.sam.tiny_vit import Block, ConvNorm, Merging, TinyViT, WindowAttention, in_windows


def shaken(module):
    """The module with every tensor at random, variances positive."""
    for name, tensor in module.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif tensor.is_floating_point():
            tensor.normal_(std=0.3)
    return module


@pytest.mark.parametrize("arch", ["vit_t", "litemedsam"])
def test_published_architectures_have_their_parameters(arch):
    with torch.device("meta"):
        sam = Sam(arch, 256)
    count = [sum(p.numel() for p in part.parameters()) for part in (sam.image_encoder, sam)]
    # the stems differ by 3 x 3 instead of 1 x 1 kernels
    more = 8 * (3 * 32 + 32 * 64) if arch == "vit_t" else 0
    assert count == [5_726_740 + more, 9_791_300 + more]
    assert sam.image_pe.shape[2:] == ((16, 16) if arch == "vit_t" else (64, 64))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("kernel", "stride", "groups"), [(1, 1, 1), (3, 2, 1), (3, 1, 4)])
def test_a_convolution_with_norm_is_batch_norm_by_fixed_statistics(kernel, stride, groups, training):
    ours = shaken(ConvNorm(4, 8, kernel, stride, groups)).train(training)
    statistics = {name: tensor.clone() for name, tensor in ours.named_buffers()}
    norm = nn.BatchNorm2d(8).eval()
    norm.load_state_dict(ours.bn.state_dict(), strict=False)
    x = torch.randn(3, 4, 7, 10)
    torch.testing.assert_close(ours(x), norm(ours.c(x)), atol=1e-5, rtol=1e-5)
    ours(x).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in ours.parameters())
    assert all(torch.equal(tensor, statistics[name]) for name, tensor in ours.named_buffers())


def slow_attention(attention, window):
    """One window of tokens ``w * w, C``, pair by pair."""
    side, heads = math.isqrt(len(window)), attention.heads
    tokens = F.layer_norm(window, window.shape[-1:], attention.norm.weight, attention.norm.bias, 1e-5)
    width, out = window.shape[1] // heads, []
    for head in range(heads):
        rows = slice(3 * width * head, 3 * width * (head + 1))
        q, k, v = (tokens @ attention.qkv.weight[rows].T + attention.qkv.bias[rows]).split(width, dim=1)
        logits = torch.empty(len(window), len(window))
        for i in range(len(window)):
            for j in range(len(window)):
                down, right = abs(i // side - j // side), abs(i % side - j % side)
                bias = attention.attention_biases[head, down * side + right]
                logits[i, j] = q[i] @ k[j] / math.sqrt(width) + bias
        out.append(logits.softmax(dim=1) @ v)
    return torch.cat(out, dim=1) @ attention.proj.weight.T + attention.proj.bias


@torch.no_grad()
def test_attention_equals_the_sum_over_pairs():
    attention, windows = shaken(WindowAttention(12, 3, 3)), torch.randn(4, 9, 12)
    expected = torch.stack([slow_attention(attention, window) for window in windows])
    torch.testing.assert_close(attention(windows), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(5, 7), (6, 3), (2, 2)])
@torch.no_grad()
def test_windows_are_filled_with_zeros_at_the_bottom_and_right_that_are_attended_to(size):
    attention, (h, w) = shaken(WindowAttention(8, 2, 3)), size
    tokens, expected = torch.randn(2, h, w, 8), torch.empty(2, h, w, 8)
    for image in range(2):
        for top in range(0, h, 3):
            for left in range(0, w, 3):
                window, kept = torch.zeros(3, 3, 8), tokens[image, top : top + 3, left : left + 3]
                window[: kept.shape[0], : kept.shape[1]] = kept
                out = slow_attention(attention, window.view(9, 8)).view(3, 3, 8)
                expected[image, top : top + 3, left : left + 3] = out[: kept.shape[0], : kept.shape[1]]
    torch.testing.assert_close(in_windows(attention, tokens, 3), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_block_is_attention_then_a_convolution_then_a_perceptron():
    block, x = shaken(Block(8, 2, 3)), torch.randn(2, 8, 4, 5)
    tokens = x.movedim(1, 3)
    after = (tokens + in_windows(block.attn, tokens, 3)).movedim(3, 1)
    after = block.local_conv(after)
    tokens = F.layer_norm(after.movedim(1, 3), (8,), block.mlp.norm.weight, block.mlp.norm.bias)
    expected = after + block.mlp.fc2(F.gelu(block.mlp.fc1(tokens))).movedim(3, 1)
    torch.testing.assert_close(block(x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("stride", "size"), [(2, (4, 4)), (1, (7, 8))])
def test_merging_halves_extents_rounded_up(stride, size):
    assert Merging(4, 6, stride)(torch.randn(1, 4, 7, 8)).shape == (1, 6, *size)


@pytest.mark.parametrize(("fine", "stride"), [(True, 4), (False, 16)])
@pytest.mark.parametrize("cells", [(4, 4), (3, 5), (1, 2)])
def test_any_extents_have_embeddings(fine, stride, cells):
    sizes = Hierarchical((8, 16, 24, 32), (1, 1, 2, 1), (2, 3, 4), (3, 4, 3), fine=fine, prompt=32)
    assert sizes.stride == stride
    encoder = TinyViT(sizes).eval()
    x = torch.randn(2, 3, *(stride * cell for cell in cells))
    out = encoder(x)
    assert out.shape == (2, 32, *cells) and len(encoder.blocks) == 4
    torch.testing.assert_close(encoder(x[1:]), out[1:], atol=1e-5, rtol=1e-5)


def test_a_batch_does_not_change_how_its_images_are_seen_in_training_either():
    sam, x = tiny_sam(32, arch="tiny_t").train(), torch.randn(3, 3, 32, 32)
    torch.testing.assert_close(sam.encode(x)[:1], sam.encode(x[:1]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(sam.encode(x), sam.eval().encode(x))


@pytest.mark.parametrize(
    ("arch", "stride", "size"), [("tiny_t", 4, 30), ("litemedsam", 4, (256, 130)), ("vit_t", 16, 1000)]
)
def test_a_size_that_is_no_multiple_of_the_stride_is_one_line(arch, stride, size):
    with pytest.raises(InputError, match=f"the SAM {arch} needs a positive multiple of {stride} per side") as caught:
        build_sam(arch, size)
    assert "\n" not in str(caught.value)


def test_an_architecture_is_known_by_its_checkpoint():
    with torch.device("meta"):
        state = Sam("litemedsam", 256).state_dict()
    assert ARCHITECTURES["litemedsam"].fits(state) and not ARCHITECTURES["vit_t"].fits(state)
