"""TinyViT, the image encoder of MobileSAM and LiteMedSAM."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .architectures import Hierarchical

_MERGING_STRIDES = (2, 2, 1)


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of maps ``B, C, H, W``."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Statistics(nn.Module):
    """Parameters and statistics of a batch norm of C channels, for ``ConvNorm`` to apply.

    It is no ``BatchNorm2d``, so that nothing that moves or replaces the statistics of batch norms takes it for one.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))


class ConvNorm(nn.Module):
    r"""A convolution without bias and batch norm by fixed statistics, as one convolution.

    .. math:: y = (g\,\sigma^{-1} W) * x + (b - g\,\sigma^{-1} \mu)

    Mean and deviation are those of the checkpoint, in training too; scale g, shift b and W may learn. So a batch
    changes nothing in how its images are seen, and no map is kept between convolution and norm.
    """

    def __init__(self, cin: int, cout: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.c = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = Statistics(cout)

    def forward(self, x: Tensor) -> Tensor:
        scale = self.bn.weight * (self.bn.running_var + self.bn.eps).rsqrt()
        shift = self.bn.bias - self.bn.running_mean * scale
        c = self.c
        return F.conv2d(x, c.weight * scale.view(-1, 1, 1, 1), shift, c.stride, c.padding, c.dilation, c.groups)


class InvertedBottleneck(nn.Module):
    """Wide depthwise convolution between two pointwise ones, with a shortcut; ``B, C, H, W`` stays."""

    def __init__(self, channels: int, expansion: int = 4) -> None:
        super().__init__()
        wide = expansion * channels
        self.conv1, self.conv2 = ConvNorm(channels, wide), ConvNorm(wide, wide, 3, groups=wide)
        self.conv3 = ConvNorm(wide, channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x + self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x))))))


class Merging(nn.Module):
    """From one stage to the next: another width and, with ``stride`` 2, half the extents (rounded up)."""

    def __init__(self, cin: int, cout: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = ConvNorm(cin, cout), ConvNorm(cout, cout, 3, stride, groups=cout)
        self.conv3 = ConvNorm(cout, cout)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))


class WindowAttention(nn.Module):
    r"""Self-attention of the tokens of a window, with one learned number per head and distance.

    .. math:: \mathrm{softmax}(d^{-1/2}\,q k^T + \beta_{|\Delta row|, |\Delta column|})\, v

    Shapes: tokens ``N, window ** 2, C`` of N windows, row by row. The fused projection gives q, k and v of the first
    head, then those of the second, and so on.

    Args:
        channels: C.
        heads: attention heads, C / heads channels each.
        window: side of a window in tokens.
    """

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.qkv = nn.LayerNorm(channels), nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window**2))
        self.register_buffer("distance", distances(window), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, channels = x.shape
        qkv = self.qkv(self.norm(x)).reshape(n, tokens, self.heads, 3, channels // self.heads)
        q, k, v = qkv.permute(3, 0, 2, 1, 4).unbind(0)
        bias = self.attention_biases[:, self.distance].to(q.dtype)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])
        return self.proj(out.transpose(1, 2).reshape(n, tokens, channels))


def distances(window: int) -> Tensor:
    """Column ``|drow| * window + |dcolumn|`` of the biases for every pair of tokens: ``window ** 2, window ** 2``."""
    row, column = torch.arange(window**2).div(window, rounding_mode="floor"), torch.arange(window**2) % window
    return (row[:, None] - row).abs() * window + (column[:, None] - column).abs()


def in_windows(attention: Callable[[Tensor], Tensor], x: Tensor, window: int) -> Tensor:
    """Apply ``attention`` to the windows of tokens ``B, H, W, C``.

    Zeros fill the last windows to the bottom and right. They are attended to like tokens, as in the published network:
    its weights have learned with them.
    """
    b, h, w, c = x.shape
    down, right = -h % window, -w % window
    padded = F.pad(x, (0, 0, 0, right, 0, down)) if down or right else x
    rows, columns = (h + down) // window, (w + right) // window
    windows = padded.view(b, rows, window, columns, window, c).transpose(2, 3).reshape(-1, window**2, c)
    out = attention(windows).view(b, rows, columns, window, window, c).transpose(2, 3)
    return out.reshape(b, h + down, w + right, c)[:, :h, :w]


class Mlp(nn.Module):
    """Layer norm and a perceptron with one hidden layer; ``..., C`` stays."""

    def __init__(self, channels: int, expansion: int = 4) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.fc1, self.fc2 = nn.Linear(channels, expansion * channels), nn.Linear(expansion * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(self.norm(x))))


class Block(nn.Module):
    """Attention in windows, a depthwise convolution across them, and a perceptron; ``B, C, H, W`` stays."""

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attn, self.mlp = WindowAttention(channels, heads, window), Mlp(channels)
        self.local_conv = ConvNorm(channels, channels, 3, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.permute(0, 2, 3, 1)
        tokens = tokens + in_windows(self.attn, tokens, self.window)
        tokens = self.local_conv(tokens.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return (tokens + self.mlp(tokens)).permute(0, 3, 1, 2)


class TinyViT(nn.Module):
    """Image encoder of four stages, under the parameter names of MobileSAM's and LiteMedSAM's checkpoints.

    There are no absolute positions, so it takes any extents. Maps are channels-last inside.

    Shapes: images ``B, 3, H, W`` to embeddings ``B, C, H / stride, W / stride`` (rounded up).

    Args:
        sizes: see ``Hierarchical``.

    Source: Wu et al., TinyViT, ECCV 2022; Zhang et al., MobileSAM, 2023; Ma et al., LiteMedSAM, 2024.
    """

    def __init__(self, sizes: Hierarchical) -> None:
        super().__init__()
        first, kernel, stride = sizes.widths[0], 1 if sizes.fine else 3, 1 if sizes.fine else 2
        self.patch_embed = nn.Module()
        self.patch_embed.seq = nn.Sequential(
            ConvNorm(3, first // 2, kernel, stride), nn.GELU(), ConvNorm(first // 2, first, kernel, stride)
        )
        self.layers = nn.ModuleList(nn.Module() for _ in sizes.widths)
        for stage, width, depth, heads, window in zip(
            self.layers, sizes.widths, sizes.depths, (0, *sizes.heads), (0, *sizes.windows), strict=True
        ):
            stage.blocks = nn.ModuleList(
                Block(width, heads, window) if heads else InvertedBottleneck(width) for _ in range(depth)
            )
        for stage, (cin, cout), step in zip(self.layers, pairwise(sizes.widths), _MERGING_STRIDES, strict=False):
            stage.downsample = Merging(cin, cout, step)
        self.neck = nn.Sequential(
            nn.Conv2d(sizes.widths[-1], sizes.prompt, 1, bias=False), ChannelNorm(sizes.prompt, eps=1e-6),
            nn.Conv2d(sizes.prompt, sizes.prompt, 3, padding=1, bias=False), ChannelNorm(sizes.prompt, eps=1e-6),
        )  # fmt: skip

    @property
    def blocks(self) -> list[Block]:
        """The blocks with attention, in order."""
        return [block for stage in self.layers[1:] for block in stage.blocks]

    def forward(self, x: Tensor, run: Callable[[nn.Module, Tensor], Tensor] | None = None) -> Tensor:
        """Embeddings; ``run`` applies a part to its input, in its own way if it likes (recomputed later, say)."""
        run = run or (lambda part, x: part(x))
        x = self.patch_embed.seq(x.contiguous(memory_format=torch.channels_last))
        for stage in self.layers:
            for part in stage.children():
                for block in part if isinstance(part, nn.ModuleList) else [part]:
                    x = run(block, x)
        return self.neck(x)
