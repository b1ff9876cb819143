"""Where a prediction is not to be trusted."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from torch import Tensor

from ..errors import InputError

KINDS = ("entropy", "disagreement")


class UncertaintyMapd(MapTransform):
    r"""Add a map of the uncertainty per voxel, 0 (certain) to 1, of softmax maps ``K, spatial...``.

    ``entropy`` is the predictive entropy as a share of its maximum, :math:`-\sum_c p_c \log p_c / \log K`.
    ``disagreement`` is the last channel of a network that says how far its members differ (``MeanSoftmax``); the
    channel is taken off the softmax maps.

    Args:
        keys: softmax maps.
        kind: ``entropy`` or ``disagreement``.
        offered: the kinds that the network supports.
        output: key of the map, ``1, spatial...``.

    Raises:
        InputError: for a kind that the network does not support.
    """

    def __init__(
        self,
        keys: KeysCollection,
        kind: str = "entropy",
        offered: Sequence[str] = ("entropy",),
        output: str = "uncertainty",
    ) -> None:
        super().__init__(keys)
        if kind not in offered or kind not in KINDS:
            raise InputError(f"uncertainty={kind!r}: this method offers {', '.join(offered)}, or null")
        self.kind, self.output = kind, output

    def __call__(self, data: Mapping[Hashable, Tensor]) -> dict[Hashable, Tensor]:
        result = dict(data)
        for key in self.key_iterator(result):
            maps = result[key]
            if self.kind == "disagreement":
                maps, result[self.output] = maps[:-1], maps[-1:].clamp(0, 1)
            else:
                maps = maps.clamp(min=0)
                shares = maps / maps.sum(dim=0, keepdim=True).clamp(min=1e-12)
                result[self.output] = torch.special.entr(shares).sum(dim=0, keepdim=True) / math.log(len(maps))
            result[key] = maps
        return result


class AnswerInPercentd(MapTransform):
    """Put a map of 0..1 in whole percent, uint8, in the place of the prediction, for viewers that show one result.

    Args:
        keys: the map.
        answer: key of the prediction.
    """

    def __init__(self, keys: KeysCollection, answer: str = "pred") -> None:
        super().__init__(keys)
        self.answer = answer

    def __call__(self, data: Mapping[Hashable, Tensor]) -> dict[Hashable, Tensor]:
        result = dict(data)
        for key in self.key_iterator(result):
            result[self.answer] = (100 * result[key]).round().to(torch.uint8)
        return result
