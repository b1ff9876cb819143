"""The 2D U-Net of the semi-supervised community (ACDC)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .norms import make_norm


def _block(cin: int, cout: int, dropout: float, norm: str) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(cin, cout, 3, padding=1),
        make_norm(norm, cout),
        nn.LeakyReLU(0.01),
        nn.Dropout(dropout),
        nn.Conv2d(cout, cout, 3, padding=1),
        make_norm(norm, cout),
        nn.LeakyReLU(0.01),
    )


class UNet2D(nn.Module):
    """2D U-Net of SSL4MIS / PyMIC; 1,813,764 parameters for one channel and four classes.

    ``monai.networks.nets.BasicUNet`` is close but not equal (one dropout rate, 1x1 head, wider last level).

    Shapes: input ``B, C, H, W`` with H, W multiples of 16; output logits ``B, K, H, W``.

    Args:
        in_channels: channels C of the image.
        out_channels: classes K, background included.
        base_channels: channels of the first level (16 in the papers); each level doubles them.
        dropout: probability at the deepest encoder level; the levels above get 0.6, 0.4, 0.2 and 0.1 of it
            (0.05, 0.1, 0.2, 0.3, 0.5 from top to bottom at the default). The decoder has none.
        norm: of every convolution but the head, see ``make_norm``.

    Raises:
        ValueError: when an extent of the input is no multiple of 16.

    Source: Ronneberger et al., MICCAI 2015, in the variant of SSL4MIS (Luo).
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 4,
        base_channels: int = 16,
        dropout: float = 0.5,
        norm: str = "batch",
    ) -> None:
        super().__init__()
        c = [base_channels * 2**level for level in range(5)]
        rates = [dropout * share for share in (0.1, 0.2, 0.4, 0.6, 1.0)]
        self.encoder = nn.ModuleList(_block(cin, cout, p, norm) for cin, cout, p in zip([in_channels, *c], c, rates))
        self.reduce = nn.ModuleList(nn.Conv2d(c[i + 1], c[i], 1) for i in (3, 2, 1, 0))
        self.decoder = nn.ModuleList(_block(2 * c[i], c[i], 0.0, norm) for i in (3, 2, 1, 0))
        self.head = nn.Conv2d(c[0], out_channels, 3, padding=1)

    def features(self, x: Tensor) -> Tensor:
        """Last decoder feature, ``B, base_channels, H, W``."""
        if x.shape[2] % 16 + x.shape[3] % 16 != 0:
            raise ValueError(f"UNet2D needs extents that are multiples of 16, got {x.shape}")
        skips: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            x = block(x if level == 0 else F.max_pool2d(x, 2))
            skips.append(x)
        for level, (reduce, block) in enumerate(zip(self.reduce, self.decoder)):
            x = F.interpolate(reduce(x), scale_factor=2.0, mode="bilinear", align_corners=True)
            x = block(torch.cat([skips[3 - level], x], dim=1))
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``B, K, H, W``."""
        return self.head(self.features(x))

    def forward_features(self, x: Tensor, post_dropout: bool = True) -> tuple[Tensor, Tensor]:
        """Logits and the last decoder feature; there is no dropout after it, so ``post_dropout`` changes nothing."""
        feature = self.features(x)
        return self.head(feature), feature
