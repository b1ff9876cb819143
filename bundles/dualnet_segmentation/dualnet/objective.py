"""DualNet: two different networks that teach each other by uncertainty-guided pseudo-labels."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from common.engines import Objective
from common.errors import require_choice
from common.losses import SupervisedLoss
from common.transforms import Batch

from .correction import ConsistencyCorrection
from .prototypes import PrototypeGuidedLearning
from .pseudo_labels import CosineConsistency, CrossPseudoSupervision, EntropyFilteredSupervision, UncertaintyEnhancement


class DualNetObjective(Objective):
    r"""Supervised losses of two networks, and four ways in which they teach each other.

    .. math:: L = L_s^A + L_s^B + 2 \beta L_{cr} + L_{cps} + L_{efs} + L_{ue} + \lambda_c(t) L_c

    Every term but the last two factors sums over both networks; beta and the ramp are the configuration's ``weights``.
    ``cosine``, of the published code, comes on top where it is enabled.

    Args:
        networks: A and B; each has ``forward_features``.
        supervised: loss of logits against a label map.
        terms: ``cr``, ``cps``, ``efs``, ``ue``, ``pgl`` and ``cosine``, each with its switch ``enabled``.
        weights: of ``supervised`` and the six.
        feature_tap: ``pre_dropout`` (default) or ``post_dropout`` (published code), for ``pgl``.

    Batch: images ``B, C, spatial``, labels ``B_l, 1, spatial``. Diagnostics: valid and reliable shares, foreground
    share of each network's pseudo-label, their agreement.

    Source: Lu, Wu, Chaddad et al., Knowledge-Based Systems 2025 (arXiv 2509.13084), equations 1 to 20.
    """

    TERMS = ("supervised", "cr", "cps", "efs", "ue", "pgl", "cosine")
    KINDS = {
        "cr": ConsistencyCorrection,
        "cps": CrossPseudoSupervision,
        "efs": EntropyFilteredSupervision,
        "ue": UncertaintyEnhancement,
        "pgl": PrototypeGuidedLearning,
        "cosine": CosineConsistency,
    }

    def __init__(
        self,
        networks: nn.ModuleList,
        supervised: SupervisedLoss,
        terms: Mapping[str, Mapping],
        weights: Mapping | None = None,
        feature_tap: str = "pre_dropout",
    ) -> None:
        super().__init__(weights)
        require_choice(feature_tap=(feature_tap, ("pre_dropout", "post_dropout")))
        self.networks, self.supervised = nn.ModuleList(networks), supervised
        self.parts = nn.ModuleDict({name: kind(**terms.get(name, {})) for name, kind in self.KINDS.items()})
        self.overlap = SupervisedLoss(supervised.dice, dice_weight=1.0, ce_weight=0.0)
        self.post_dropout = feature_tap == "post_dropout"

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        n, parts = batch.labeled, self.parts
        outputs = [network.forward_features(batch.image, self.post_dropout) for network in self.networks]
        logits = tuple(z for z, _ in outputs)
        labeled = tuple(z[:n] for z in logits)
        supervised = tuple(self.supervised(z, batch.label) for z in labeled)
        terms = {"supervised": sum(supervised)}
        if parts["cr"].enabled:
            terms["cr"] = parts["cr"](labeled, batch.label.squeeze(1).long())
        if parts["cosine"].enabled:
            terms["cosine"] = parts["cosine"](logits)
        unlabeled = tuple(z[n:] for z in logits)
        if not len(unlabeled[0]):
            return terms
        if parts["cps"].enabled:
            terms["cps"] = parts["cps"](unlabeled)
        if parts["efs"].enabled:
            terms["efs"], terms["valid"] = parts["efs"](unlabeled)
        if parts["ue"].enabled:
            terms["ue"] = parts["ue"](logits if parts["ue"].scope == "all" else unlabeled)
        if parts["pgl"].enabled:
            by_dice = parts["pgl"].nets == "loser_by_dice"
            losses = tuple(self.overlap(z.detach(), batch.label) for z in labeled) if by_dice else supervised
            terms["pgl"], terms["reliable"] = parts["pgl"](unlabeled, tuple(f[n:] for _, f in outputs), losses)
        a, b = (z.detach().argmax(dim=1) for z in unlabeled)
        shares = {"pseudo_foreground_a": (a > 0), "pseudo_foreground_b": (b > 0), "agreement": a == b}
        return {**terms, **{name: mask.float().mean() for name, mask in shares.items()}}
