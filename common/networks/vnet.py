"""The V-Net of the semi-supervised community: 3x3x3 kernels, ReLU, plain stacks and additive skips."""

from __future__ import annotations

from monai.networks.blocks import Convolution
from torch import Tensor, nn

INITS = ("torch_default", "kaiming_normal")


def _conv(cin: int, cout: int, kernel: int = 3, stride: int = 1) -> nn.Module:
    padding = kernel // 2 if kernel == 3 else 0
    return Convolution(3, cin, cout, stride, kernel, "NA", ("RELU", {"inplace": True}), "BATCH", padding=padding)


def _up(cin: int, cout: int) -> nn.Module:
    return Convolution(
        3, cin, cout, 2, 2, "NA", ("RELU", {"inplace": True}), "BATCH", is_transposed=True, padding=0, output_padding=0
    )


class VNet(nn.Module):
    """V-Net as used by UA-MT, SS-Net, SGRS-Net and others; 9,448,866 parameters for one channel and two classes.

    It differs from ``monai.networks.nets.VNet`` (45.6 M parameters) in kernel size, activation, the absence of
    residual connections and the added, not concatenated, skips.

    Shapes: input ``B, C, H, W, D`` with H, W, D multiples of 16; output logits ``B, K, H, W, D``.

    Args:
        in_channels: channels C of the image.
        out_channels: classes K, background included.
        base_channels: channels of the first level (16 in all papers); each level doubles them.
        dropout: probability of the two whole-channel dropouts, at the bottleneck and before the head.
        init: ``torch_default`` (SS-Net, SGRS-Net) or ``kaiming_normal`` on every convolution (MCF, DualNet).

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
        super().__init__()
        c = [base_channels * 2**level for level in range(5)]
        self.encoder = nn.ModuleList(
            self._stack(cin, cout, n) for cin, cout, n in zip([in_channels, *c[1:]], c, (1, 2, 3, 3, 3))
        )
        self.down = nn.ModuleList(_conv(c[i], c[i + 1], kernel=2, stride=2) for i in range(4))
        self.up = nn.ModuleList(_up(c[i + 1], c[i]) for i in (3, 2, 1, 0))
        self.decoder = nn.ModuleList(self._stack(c[i], c[i], n) for i, n in zip((3, 2, 1, 0), (3, 3, 2, 1)))
        self.bottleneck_dropout = nn.Dropout3d(dropout)
        self.head_dropout = nn.Dropout3d(dropout)
        self.head = nn.Conv3d(c[0], out_channels, kernel_size=1)
        initialise(self, init)

    @staticmethod
    def _stack(cin: int, cout: int, n: int) -> nn.Sequential:
        return nn.Sequential(*(_conv(cin if i == 0 else cout, cout) for i in range(n)))

    def features(self, x: Tensor) -> Tensor:
        """Last decoder feature before its dropout, ``B, base_channels, H, W, D``."""
        if x.shape[2] % 16 + x.shape[3] % 16 + x.shape[4] % 16 != 0:
            raise ValueError(f"VNet needs extents that are multiples of 16, got {x.shape}")
        skips: list[Tensor] = []
        for stack, down in zip(self.encoder, self.down):
            x = stack(x)
            skips.append(x)
            x = down(x)
        x = self.bottleneck_dropout(self.encoder[4](x))
        for level, (up, stack) in enumerate(zip(self.up, self.decoder)):
            x = stack(up(x) + skips[3 - level])
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``B, K, H, W, D``."""
        return self.head(self.head_dropout(self.features(x)))

    def forward_features(self, x: Tensor, post_dropout: bool = True) -> tuple[Tensor, Tensor]:
        """Logits and the last decoder feature, taken after (SS-Net) or before its dropout."""
        before = self.features(x)
        after = self.head_dropout(before)
        return self.head(after), after if post_dropout else before


def initialise(network: nn.Module, init: str) -> None:
    """Apply ``init`` (one of ``INITS``) to every convolution and batch norm of ``network`` in place."""
    if init not in INITS:
        raise ValueError(f"init must be one of {INITS}, got {init!r}")
    if init == "torch_default":
        return
    for module in network.modules():
        if isinstance(module, (nn.Conv3d, nn.ConvTranspose3d)):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm3d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
