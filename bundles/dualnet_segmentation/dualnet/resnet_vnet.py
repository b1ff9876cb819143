"""A V-Net with a residual encoder, the second network of DualNet."""

from __future__ import annotations

from torch import Tensor, nn

from common.networks.vnet import DecodedNetwork, initialize


class BasicBlock3d(nn.Module):
    """Two 3x3x3 convolutions with batch norm and a shortcut (He et al., CVPR 2016)."""

    def __init__(self, cin: int, cout: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(cin, cout, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm3d(cout)
        self.conv2 = nn.Conv3d(cout, cout, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm3d(cout)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or cin != cout:
            self.shortcut = nn.Sequential(nn.Conv3d(cin, cout, 1, stride, bias=False), nn.BatchNorm3d(cout))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(self.relu(self.norm1(self.conv1(x)))))
        return self.relu(y + self.shortcut(x))


class ResNetVNet(DecodedNetwork):
    """ResNet-34 encoder of width 16 with the decoder of the V-Net; 17,930,354 parameters for two classes.

    A 7x7x7 stem at full resolution without pooling, then four stages of 3, 4, 6 and 3 basic blocks that halve the
    resolution each. One whole-channel dropout, before the head. ``monai.networks.nets.resnet34`` is four times as wide
    and starts with a strided stem.

    Shapes: input ``B, C, H, W, D`` with H, W, D multiples of 16; output logits ``B, K, H, W, D``.

    Args:
        in_channels: channels C of the image.
        out_channels: classes K, background included.
        base_channels: channels of the first level; each level doubles them.
        dropout: probability of the dropout before the head.
        init: ``kaiming_normal`` (MCF, DualNet) or ``torch_default``.

    Source: MCF (Wang et al., CVPR 2023); DualNet (Lu et al., Knowledge-Based Systems 2025).
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 2,
        base_channels: int = 16,
        dropout: float = 0.5,
        init: str = "kaiming_normal",
    ) -> None:
        super().__init__(out_channels, base_channels, dropout)
        c = self.channels
        self.stem = nn.Sequential(
            nn.Conv3d(in_channels, c[0], 7, 1, 3, bias=False), nn.BatchNorm3d(c[0]), nn.ReLU(inplace=True)
        )
        self.stages = nn.ModuleList(_stage(c[i], c[i + 1], blocks) for i, blocks in enumerate((3, 4, 6, 3)))
        initialize(self, init)

    def encode(self, x: Tensor) -> list[Tensor]:
        """Features of the five levels, finest first."""
        x = self.stem(x)
        levels: list[Tensor] = [x]
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        return levels


def _stage(cin: int, cout: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock3d(cin, cout, 2), *(BasicBlock3d(cout, cout, 1) for _ in range(blocks - 1)))
