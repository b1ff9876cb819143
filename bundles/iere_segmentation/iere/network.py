"""A 2D U-Net on a residual encoder, whose decoder may feed several heads."""

from __future__ import annotations

from collections.abc import Sequence

from monai.networks.nets.flexible_unet import UNetDecoder
from monai.networks.nets.resnet import ResNet
from torch import Tensor, nn
from torch.nn import functional as F

from common.errors import InputError, require_choice
from common.networks import monai_norm, require_groups

from .pretrained import load_pretrained

BACKBONES = {
    "resnet18": ("basic", 1, [2, 2, 2, 2]),
    "resnet34": ("basic", 1, [3, 4, 6, 3]),
    "resnet50": ("bottleneck", 4, [3, 4, 6, 3]),
}
HEAD_INITS = {"xavier_normal": nn.init.xavier_normal_, "xavier_uniform": nn.init.xavier_uniform_}


class ResNetUNet(nn.Module):
    """2D U-Net with a ResNet encoder; 32,514,978 parameters for resnet50, one channel and two classes.

    The encoder gives features at 1/2 (after the stem's ReLU) to 1/32; five decoder blocks upsample by nearest
    neighbor, append the encoder's feature except at full resolution, and convolve twice. Parts are MONAI's, the
    topology is that of ``FlexibleUNet(backbone="resnet50", pre_conv=None, norm="batch")``; here the encoder has
    torchvision's keys at every depth, and the input is padded at its end to multiples of 32 (``stride``): train and
    infer with multiples, or the network meets image where it has learned padding.

    Shapes: input ``B, C, H, W`` of any extents; output logits ``B, K, H, W``.

    Args:
        in_channels: channels C of the image.
        out_channels: classes K, background included.
        backbone: ``resnet18``, ``resnet34`` or ``resnet50``.
        base_channels: of the encoder's first level (64 in the ResNets); the decoder ends with a quarter of it.
        dropout: probability of a whole-channel dropout of the deepest feature; none in the paper.
        init: file of pretrained weights of the encoder or of the whole network, see ``load_pretrained``; ``None``:
            random.
        norm: of encoder and decoder, see ``common.networks.make_norm``.

    Raises:
        InputError: when ``init`` cannot be read or does not fit.

    Source: He et al., CVPR 2016; Ronneberger et al., MICCAI 2015; layout of segmentation_models_pytorch.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 2,
        backbone: str = "resnet50",
        base_channels: int = 64,
        dropout: float = 0.0,
        init: str | None = None,
        norm: str = "batch",
    ) -> None:
        super().__init__()
        require_choice(backbone=(backbone, BACKBONES))
        if base_channels % 4:
            raise ValueError(f"base_channels must be a multiple of 4, got {base_channels}")
        require_groups(base_channels // 4, norm)  # the width of the decoder's end
        kind, expansion, layers = BACKBONES[backbone]
        planes = [base_channels * 2**level for level in range(4)]
        self.encoder = ResNet(
            kind, layers, planes, spatial_dims=2, n_input_channels=in_channels, conv1_t_stride=2,
            feed_forward=False, bias_downsample=False, norm=monai_norm(norm),
        )  # fmt: skip
        self.decoder = UNetDecoder(
            spatial_dims=2, encoder_channels=[in_channels, base_channels, *(expansion * p for p in planes)],
            decoder_channels=[4 * base_channels // 2**level for level in range(5)], act=("relu", {"inplace": True}),
            norm=monai_norm(norm), dropout=0.0, bias=False, upsample="nontrainable", pre_conv=None,
            interp_mode="nearest", align_corners=None, is_pad=False,
        )  # fmt: skip
        for module in self.decoder.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
        self.dropout = nn.Dropout2d(dropout)
        self.classes, self.width, self.stride = out_channels, base_channels // 4, 32
        self.head = self.make_head("xavier_normal")
        if init is not None:
            load_pretrained(self, init)

    def make_head(self, init: str = "xavier_uniform") -> nn.Conv2d:
        """A new head for ``features``: 3x3 convolution, Xavier weights, zero biases."""
        require_choice(init=(init, HEAD_INITS))
        head = nn.Conv2d(self.width, self.classes, 3, padding=1)
        HEAD_INITS[init](head.weight)
        nn.init.zeros_(head.bias)
        return head

    def require_size(self, size: Sequence[int], name: str) -> None:
        """Raise ``InputError`` for training at a ``size`` that would be padded; ``name`` is the option that sets it."""
        if any(side % self.stride for side in size):
            raise InputError(f"{name}={list(size)}: the network takes multiples of {self.stride}")

    def features(self, x: Tensor) -> Tensor:
        """Last decoder feature ``B, base_channels / 4, H', W'``, with H' and W' the next multiples of 32."""
        encoder = self.encoder
        x = F.pad(x, [0, -x.shape[3] % self.stride, 0, -x.shape[2] % self.stride])
        x = encoder.act(encoder.bn1(encoder.conv1(x)))
        skips = [x]
        x = encoder.layer1(encoder.maxpool(x))
        skips.append(x)
        x = encoder.layer2(x)
        skips.append(x)
        x = encoder.layer3(x)
        skips.append(x)
        x = self.dropout(encoder.layer4(x))
        for level, block in enumerate(self.decoder.blocks):
            x = block(x, skips[3 - level] if level < 4 else None)
        return x

    def logits(self, x: Tensor, head: nn.Module | None = None) -> Tensor:
        """Logits ``B, K, H, W`` of another head, or of this network's own."""
        return self.classify(self.features(x), self.head if head is None else head, x)

    @staticmethod
    def classify(features: Tensor, head: nn.Module, x: Tensor) -> Tensor:
        """What ``head`` makes of the ``features`` of x."""
        return head(features)[:, :, : x.shape[2], : x.shape[3]]

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``B, K, H, W``."""
        return self.head(self.features(x))[:, :, : x.shape[2], : x.shape[3]]
