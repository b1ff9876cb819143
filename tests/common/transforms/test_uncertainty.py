import math

import pytest
import torch

from common.errors import InputError
from common.transforms import AnswerInPercentd, UncertaintyMapd


def test_entropy_is_a_share_of_its_maximum():
    maps = torch.tensor([[1.0, 0.5, 1 / 3, 0.0], [0.0, 0.5, 1 / 3, 0.2], [0.0, 0.0, 1 / 3, 0.2]]).view(3, 4, 1)
    result = UncertaintyMapd("pred")({"pred": maps})
    expected = [0.0, math.log(2) / math.log(3), 1.0, math.log(2) / math.log(3)]  # the last sums to 0.4
    torch.testing.assert_close(result["uncertainty"].flatten(), torch.tensor(expected))
    assert result["uncertainty"].shape == (1, 4, 1)
    torch.testing.assert_close(result["pred"], maps)


def test_disagreement_is_the_last_channel_and_leaves():
    maps = torch.rand(3, 4, 4)
    result = UncertaintyMapd("pred", "disagreement", ["entropy", "disagreement"])({"pred": maps})
    torch.testing.assert_close(result["pred"], maps[:2])
    torch.testing.assert_close(result["uncertainty"], maps[2:])


def test_a_kind_the_network_lacks_is_refused():
    with pytest.raises(InputError, match="uncertainty='disagreement': this method offers entropy, or null"):
        UncertaintyMapd("pred", "disagreement")


def test_answer_in_percent():
    result = AnswerInPercentd("uncertainty")({"pred": torch.ones(1, 2), "uncertainty": torch.tensor([[0.254, 1.0]])})
    assert result["pred"].tolist() == [[25, 100]] and result["pred"].dtype == torch.uint8
