import pytest
import torch
from synfoc import RandomRectangle


def test_rectangles_follow_the_area_and_aspect_rule_and_fit():
    boxes = RandomRectangle().draw(500, (90, 120)).double()
    sides = boxes[:, 1] - boxes[:, 0]
    assert boxes.min() >= 0 and (boxes[:, 1] <= torch.tensor([90, 120])).all()
    share, ratio = sides.prod(dim=1) / (90 * 120), sides[:, 0] / sides[:, 1]
    assert 0.01 < share.min() < 0.04 and 0.36 < share.max() <= 0.4
    assert share.mean() == pytest.approx(0.21, abs=0.02)  # redrawing never changes the area
    assert 0.25 < ratio.min() < 0.5 and 2 < ratio.max() < 3.8


@pytest.mark.parametrize("options", [{"share": (0.1, 0.95)}, {"aspect": (2.0, 3.0)}, {"share": (0.0, 0.1)}])
def test_rectangles_that_might_never_fit_are_refused(options):
    with pytest.raises(ValueError, match="share"):
        RandomRectangle(**options)
