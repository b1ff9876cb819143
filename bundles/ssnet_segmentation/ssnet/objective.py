"""SS-Net: smoothness of the prediction and separation of the classes, with one network and no teacher."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from common.engines import Objective
from common.errors import require_choice
from common.losses import VirtualAdversarialLoss, arg_max
from common.transforms import Batch

from .separation import PrototypeSeparation


class SSNetObjective(Objective):
    r"""Supervised Dice, local distributional smoothness (LDS) and inter-class separation.

    .. math:: L = L_{seg} + \lambda(t) \big(L_{lds} + 0.1 (L_{con}^l + L_{con}^u)\big)

    LDS acts on the whole batch; separation on labeled voxels with their labels and on unlabeled ones with the arg max
    of the prediction. The weights, the ramp included, are the configuration's.

    Args:
        network: has ``forward_features``.
        supervised: loss of logits ``B_l, K, ...`` against a label map.
        lds: the smoothness term.
        separation: the separation term; it owns projector, predictor, selectors and prototypes.
        weights: of the terms ``supervised``, ``lds`` and ``separation``.
        feature_tap: ``post_dropout`` (published code) or ``pre_dropout``.

    Batch: images ``B, C, spatial``, labels ``B_l, 1, spatial``.

    Source: Wu et al., MICCAI 2022, equations 1 to 5.
    """

    TERMS = ("supervised", "lds", "separation")
    FEATURE_TAPS = ("post_dropout", "pre_dropout")

    def __init__(
        self,
        network: nn.Module,
        supervised: nn.Module,
        lds: VirtualAdversarialLoss,
        separation: PrototypeSeparation,
        weights: Mapping | None = None,
        feature_tap: str = "post_dropout",
    ) -> None:
        super().__init__(weights)
        require_choice(feature_tap=(feature_tap, self.FEATURE_TAPS))
        self.network, self.supervised, self.lds, self.separation = network, supervised, lds, separation
        self.post_dropout = feature_tap == "post_dropout"

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        n = batch.labeled
        image = batch.image
        if self.lds.enabled and self.lds.from_main_pass:
            image = image.detach().requires_grad_()
        logits, features = self.network.forward_features(image, self.post_dropout)
        prediction = arg_max(logits.detach())
        terms = {"supervised": self.supervised(logits[:n], batch.label)}
        if self.separation.enabled:
            terms["separation"] = self.separation(features, prediction, batch.label.squeeze(1).long())
        if self.lds.enabled:
            terms["lds"] = self.lds(self.network, image, logits)
        if len(batch.image) > n:
            terms["pseudo_foreground"] = (prediction[n:] > 0).float().mean()
        return terms
