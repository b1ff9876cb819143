"""Which loss labeled patches get."""

import pytest
import torch
from torch.nn import functional as F

from common.errors import InputError
from common.losses import SupervisedLoss, dice_squared, make_supervised


def test_a_method_keeps_its_own_unless_all_share_one():
    own = SupervisedLoss(dice="linear", dice_weight=1.0, ce_weight=0.0)
    assert make_supervised("own", own) is own
    shared = make_supervised("dice_ce", own)
    logits, label = torch.randn(2, 2, 4, 4, 4), torch.randint(0, 2, (2, 1, 4, 4, 4))
    p = logits.softmax(dim=1)[:, 1]
    wanted = 0.5 * dice_squared(p, label[:, 0].float()) + 0.5 * F.cross_entropy(logits, label[:, 0])
    torch.testing.assert_close(shared(logits, label), wanted)


def test_another_word_is_refused():
    with pytest.raises(InputError, match="supervised_loss must be one of"):
        make_supervised("both", SupervisedLoss())
