"""The V-Net of the semi-supervised community: 3x3x3 kernels, ReLU, plain stacks and additive skips."""

from __future__ import annotations

from collections.abc import Sequence

from monai.networks.blocks import Convolution
from torch import Tensor, nn

from ..errors import require_choice

INITS = ("torch_default", "kaiming_normal", "kaiming_weights")


def _conv(cin: int, cout: int, kernel: int = 3, stride: int = 1) -> nn.Module:
    padding = kernel // 2 if kernel == 3 else 0
    return Convolution(3, cin, cout, stride, kernel, "NA", ("RELU", {"inplace": True}), "BATCH", padding=padding)


def _up(cin: int, cout: int) -> nn.Module:
    return Convolution(
        3, cin, cout, 2, 2, "NA", ("RELU", {"inplace": True}), "BATCH", is_transposed=True, padding=0, output_padding=0
    )


def _stack(cin: int, cout: int, depth: int) -> nn.Sequential:
    return nn.Sequential(*(_conv(cin if i == 0 else cout, cout) for i in range(depth)))


class VNetDecoder(nn.Module):
    """Decoder of the V-Net: transposed convolution, plus the skip, then a stack of convolutions, four times.

    Args:
        channels: of the five levels, finest first.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.up = nn.ModuleList(_up(channels[i + 1], channels[i]) for i in (3, 2, 1, 0))
        self.stacks = nn.ModuleList(
            _stack(channels[i], channels[i], depth) for i, depth in zip((3, 2, 1, 0), (3, 3, 2, 1))
        )

    def forward(self, levels: list[Tensor]) -> Tensor:
        """Finest feature from the five encoder features, finest first."""
        x = levels[4]
        for step, (up, stack) in enumerate(zip(self.up, self.stacks)):
            x = stack(up(x) + levels[3 - step])
        return x


class DecodedNetwork(nn.Module):
    """An encoder of five levels, to be added by a subclass, with the V-Net's decoder, dropout and head."""

    def __init__(self, out_channels: int, base_channels: int, dropout: float) -> None:
        super().__init__()
        self.channels = [base_channels * 2**level for level in range(5)]
        self.decoder = VNetDecoder(self.channels)
        self.head_dropout = nn.Dropout3d(dropout)
        self.head = nn.Conv3d(base_channels, out_channels, kernel_size=1)

    def encode(self, x: Tensor) -> list[Tensor]:
        """Features of the five levels, finest first."""
        raise RuntimeError("a subclass brings the encoder")

    def features(self, x: Tensor) -> Tensor:
        """Last decoder feature before its dropout, ``B, base_channels, H, W, D``."""
        if x.shape[2] % 16 + x.shape[3] % 16 + x.shape[4] % 16 != 0:
            raise ValueError(f"the network needs extents that are multiples of 16, got {x.shape}")
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

    Shapes: input ``B, C, H, W, D`` with H, W, D multiples of 16; output logits ``B, K, H, W, D``.

    Args:
        in_channels: channels C of the image.
        out_channels: classes K, background included.
        base_channels: channels of the first level (16 in all papers); each level doubles them.
        dropout: probability of the two whole-channel dropouts, at the bottleneck and before the head.
        init: see ``initialise``: ``torch_default`` (SS-Net, SGRS-Net) or ``kaiming_normal`` (MCF, DualNet).

    Raises:
        ValueError: for an unknown ``init``, or when an extent of the input is no multiple of 16.

    Source: Milletari et al., 3DV 2016, in the variant of Yu et al. (UA-MT), MICCAI 2019.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 2,
        base_channels: int = 16,
        dropout: float = 0.5,
        init: str = "torch_default",
    ) -> None:
        super().__init__(out_channels, base_channels, dropout)
        c = self.channels
        self.encoder = nn.ModuleList(
            _stack(cin, cout, depth) for cin, cout, depth in zip([in_channels, *c[1:]], c, (1, 2, 3, 3, 3))
        )
        self.down = nn.ModuleList(_conv(c[i], c[i + 1], kernel=2, stride=2) for i in range(4))
        self.bottleneck_dropout = nn.Dropout3d(dropout)
        initialise(self, init)

    def encode(self, x: Tensor) -> list[Tensor]:
        """Features of the five levels, finest first; the last one after its dropout."""
        levels: list[Tensor] = []
        for stack, down in zip(self.encoder, self.down):
            x = stack(x)
            levels.append(x)
            x = down(x)
        levels.append(self.bottleneck_dropout(self.encoder[4](x)))
        return levels


def initialise(network: nn.Module, init: str) -> None:
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
