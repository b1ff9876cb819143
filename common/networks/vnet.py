"""The V-Net of the semi-supervised community: 3x3x3 kernels, ReLU, plain stacks and additive skips."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.blocks import Convolution
from torch import Tensor, nn

from ..errors import InputError, require_choice

LEVELS = 4  # halvings below the finest level
INITS = ("torch_default", "kaiming_normal", "kaiming_weights")


def halvings(pooling: Sequence[int] | None) -> list[tuple[int, ...]]:
    """By how much each of the four steps down divides each axis, 2 or 1.

    Args:
        pooling: how often each axis is halved, 0 to 4; in the last steps, so that an axis of thick slices waits until
            the others are as coarse. ``None``: in every step.

    Raises:
        InputError: for anything but three numbers from 0 to 4.

    Source: nnU-Net (Isensee et al., Nature Methods 2021) halves an axis from where its spacing is less than twice the
    finest.
    """
    pooling = (LEVELS,) * 3 if pooling is None else pooling
    if len(pooling) != 3 or any(n not in range(LEVELS + 1) for n in pooling):
        raise InputError(f"pooling={list(pooling)}: expected three numbers from 0 to {LEVELS}, halvings of each axis")
    return [tuple(2 if step >= LEVELS - n else 1 for n in pooling) for step in range(LEVELS)]


def kernels(pooling: Sequence[int] | None) -> list[tuple[int, ...]]:
    """Kernel of each of the five levels: 3, but 1 along an axis that is not halved yet; 3 at the coarsest."""
    return [*(tuple(3 if step == 2 else 1 for step in steps) for steps in halvings(pooling)), (3, 3, 3)]


def _conv(cin: int, cout: int, kernel: Sequence[int] | int = 3, stride: Sequence[int] | int = 1) -> nn.Module:
    sides = (kernel,) * 3 if isinstance(kernel, int) else tuple(kernel)
    padding = tuple(side // 2 if side == 3 else 0 for side in sides)
    return Convolution(3, cin, cout, stride, sides, "NA", ("RELU", {"inplace": True}), "BATCH", padding=padding)


def _up(cin: int, cout: int, stride: Sequence[int]) -> nn.Module:
    return Convolution(
        *(3, cin, cout, stride, stride, "NA", ("RELU", {"inplace": True}), "BATCH"),
        is_transposed=True, padding=0, output_padding=0,
    )  # fmt: skip


def _stack(cin: int, cout: int, depth: int, kernel: Sequence[int]) -> nn.Sequential:
    return nn.Sequential(*(_conv(cin if i == 0 else cout, cout, kernel) for i in range(depth)))


class VNetDecoder(nn.Module):
    """Decoder of the V-Net: transposed convolution, plus the skip, then a stack of convolutions, four times.

    Args:
        channels: of the five levels, finest first.
        pooling: see ``halvings``.
    """

    def __init__(self, channels: Sequence[int], pooling: Sequence[int] | None = None) -> None:
        super().__init__()
        steps, sides = halvings(pooling), kernels(pooling)
        self.up = nn.ModuleList(_up(channels[i + 1], channels[i], steps[i]) for i in (3, 2, 1, 0))
        self.stacks = nn.ModuleList(
            _stack(channels[i], channels[i], depth, sides[i]) for i, depth in zip((3, 2, 1, 0), (3, 3, 2, 1))
        )

    def forward(self, levels: list[Tensor]) -> Tensor:
        """Finest feature from the five encoder features, finest first."""
        x = levels[4]
        for step, (up, stack) in enumerate(zip(self.up, self.stacks)):
            x, skip = up(x), levels[3 - step]
            x = stack(x + skip if torch.is_grad_enabled() else x.add_(skip))  # memory anew is a tenth of inference
        return x


class DecodedNetwork(nn.Module):
    """An encoder of five levels, to be added by a subclass, with the V-Net's decoder, dropout and head."""

    def __init__(
        self, out_channels: int, base_channels: int, dropout: float, pooling: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        self.channels = [base_channels * 2**level for level in range(5)]
        multiples = [2**n for n in (pooling or (LEVELS,) * 3)]
        self.width, self.height, self.depth = multiples  # what extents must be multiples of; read when scripted too
        self.expected = "16" if set(multiples) == {16} else " x ".join(map(str, multiples))
        self.decoder = VNetDecoder(self.channels, pooling)
        self.head_dropout = nn.Dropout3d(dropout)
        self.head = nn.Conv3d(base_channels, out_channels, kernel_size=1)

    def encode(self, x: Tensor) -> list[Tensor]:
        """Features of the five levels, finest first."""
        raise RuntimeError("a subclass brings the encoder")

    def features(self, x: Tensor) -> Tensor:
        """Last decoder feature before its dropout, ``B, base_channels, H, W, D``."""
        if x.shape[2] % self.width + x.shape[3] % self.height + x.shape[4] % self.depth != 0:
            raise ValueError(f"the network needs extents that are multiples of {self.expected}, got {x.shape}")
        return self.decoder(self.encode(x))

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``B, K, H, W, D``."""
        return self.head(self.head_dropout(self.features(x)))

    def forward_features(self, x: Tensor, post_dropout: bool = True) -> tuple[Tensor, Tensor]:
        """Logits and the last decoder feature, taken after (SS-Net) or before its dropout."""
        before = self.features(x)
        after = self.head_dropout(before)
        return self.head(after), after if post_dropout else before


class VNet(DecodedNetwork):
    """V-Net as used by UA-MT, SS-Net, SGRS-Net and others; 9,448,866 parameters for one channel and two classes.

    It differs from ``monai.networks.nets.VNet`` (45.6 M parameters) in kernel size, activation, the absence of
    residual connections and the added, not concatenated, skips.

    Shapes: input ``B, C, H, W, D`` with H, W, D multiples of 16, or of 2 to the power of an axis' ``pooling``; output
    logits ``B, K, H, W, D``.

    Args:
        in_channels: channels C of the image.
        out_channels: classes K, background included.
        base_channels: channels of the first level (16 in all papers); each level doubles them.
        dropout: probability of the two whole-channel dropouts, at the bottleneck and before the head.
        init: see ``initialize``: ``torch_default`` (SS-Net, SGRS-Net) or ``kaiming_normal`` (MCF, DualNet).
        pooling: how often each axis is halved, e.g. ``[4, 4, 1]`` for thick slices, see ``halvings``; ``None``: four
            times, as in all papers.

    Raises:
        ValueError: for an unknown ``init``, or when an extent of the input is no such multiple.

    Source: Milletari et al., 3DV 2016, in the variant of Yu et al. (UA-MT), MICCAI 2019.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 2,
        base_channels: int = 16,
        dropout: float = 0.5,
        init: str = "torch_default",
        pooling: Sequence[int] | None = None,
    ) -> None:
        super().__init__(out_channels, base_channels, dropout, pooling)
        c = self.channels
        self.encoder = nn.ModuleList(
            _stack(cin, cout, depth, kernel)
            for cin, cout, depth, kernel in zip([in_channels, *c[1:]], c, (1, 2, 3, 3, 3), kernels(pooling))
        )
        self.down = nn.ModuleList(_conv(c[i], c[i + 1], step, step) for i, step in enumerate(halvings(pooling)))
        self.bottleneck_dropout = nn.Dropout3d(dropout)
        initialize(self, init)

    def encode(self, x: Tensor) -> list[Tensor]:
        """Features of the five levels, finest first; the last one after its dropout."""
        levels: list[Tensor] = []
        for stack, down in zip(self.encoder, self.down):
            x = stack(x)
            levels.append(x)
            x = down(x)
        levels.append(self.bottleneck_dropout(self.encoder[4](x)))
        return levels


def initialize(network: nn.Module, init: str) -> None:
    """Apply ``init`` to every convolution and batch norm of ``network`` in place.

    ``torch_default`` does nothing. ``kaiming_normal`` draws the weights of convolutions from a normal distribution by
    their inputs and sets biases to 0. ``kaiming_weights`` leaves the biases as torch draws them (published code of MCF
    and DualNet), which only the head feels, as batch norm takes all others away.
    """
    require_choice(init=(init, INITS))
    if init == "torch_default":
        return
    for module in network.modules():
        if isinstance(module, (nn.Conv3d, nn.ConvTranspose3d)):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None and init == "kaiming_normal":
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm3d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
