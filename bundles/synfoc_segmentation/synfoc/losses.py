"""Losses of SynFoC: pseudo-labels with a mask, and the consensus and divergence of two networks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.errors import require_choice
from common.losses import dice_squared_multiclass, entropy, one_hot
from common.transforms import resize_nearest


def masked_loss(
    logits: Tensor, target: Tensor, mask: Tensor | None = None, mask_background: bool = True, eps: float = 1e-5
) -> Tensor:
    r"""Cross-entropy plus squared Dice of all classes, restricted to a mask W.

    .. math:: \mathrm{mean}(W \, CE) + \frac{1}{K} \sum_k \Big(1 - \frac{2 \sum W p_k y_k + \epsilon}
              {\sum W p_k^2 + \sum W y_k^2 + \epsilon}\Big)

    The cross-entropy is divided by *all* pixels; Dice sums run over the batch and the pixels.

    Args:
        logits: ``B, K, H, W``.
        target: class indices ``B, 1, H, W``.
        mask: boolean ``B, 1, H, W``; ``None`` for everywhere (the supervised loss).
        mask_background: ``False``: the Dice of class 0 ignores the mask, as the published code does by accident.
        eps: smoothing (1e-10 in the published code).

    Source: SynFoC (CVPR 2025), equations 7, 11 and 12.
    """
    p = logits.float().softmax(dim=1)
    y = one_hot(target[:, 0], logits.shape[1])
    cross_entropy = F.cross_entropy(logits.float(), target[:, 0].long(), reduction="none")
    if mask is None:
        return cross_entropy.mean() + dice_squared_multiclass(p, y, eps)
    keep = mask.expand_as(p).clone()
    if not mask_background:
        keep[:, 0] = True
    return (cross_entropy * mask[:, 0]).mean() + dice_squared_multiclass(p * keep, y * keep, eps)


class ConsensusDivergence(nn.Module):
    r"""CDCR: confident where two networks agree, alike where they do not.

    .. math:: L_c = \mathrm{mean}(-p \log p \, M_c^s) + \mathrm{mean}(-q \log q \, M_c), \qquad
              L_d = \mathrm{mean}((p^\uparrow - q)^2 (1 - M_c))

    with p the foundation model's probabilities, q the U-Net's, :math:`M_c` the pixels where their classes agree, up
    and down by nearest pixels. Means run over all elements; both networks get the gradient.

    Args:
        mode: ``cdcr``; ``consensus`` or ``divergence`` alone; ``cr``, the squared difference everywhere; ``none``.
        half: halve the consensus loss, as the published code does.

    Source: SynFoC (CVPR 2025), equations 8 to 10; equation 10 is printed with a minus sign, which is a slip.
    """

    MODES = ("cdcr", "cr", "consensus", "divergence", "none")

    def __init__(self, mode: str = "cdcr", half: bool = False) -> None:
        super().__init__()
        require_choice(mode=(mode, self.MODES))
        self.mode, self.factor = mode, 0.5 if half else 1.0

    def forward(self, sam_logits: Tensor, unet_logits: Tensor, resize: Callable = resize_nearest) -> dict[str, Tensor]:
        """Terms of logits ``B, K, s, s`` and ``B, K, P, P``; ``agreement`` is the share of consensus pixels.

        ``resize`` brings maps up and down.
        """
        size, small = unet_logits.shape[2:], sam_logits.shape[2:]
        p, q = (logits.float().softmax(dim=1) for logits in (sam_logits, unet_logits))
        p_up = resize(p, size)
        agree = p_up.argmax(dim=1, keepdim=True) == q.argmax(dim=1, keepdim=True)
        terms = {"agreement": agree.float().mean()}
        if self.mode in ("cdcr", "consensus"):
            maps = zip((sam_logits, unet_logits), (resize(agree, small), agree))
            terms["consensus"] = sum((entropy(z) * m[:, 0]).mean() for z, m in maps) * (self.factor / p.shape[1])
        if self.mode in ("cdcr", "divergence", "cr"):
            where = torch.ones_like(agree) if self.mode == "cr" else ~agree
            terms["divergence"] = ((p_up - q).square() * where).mean()
        return terms
