"""Schedules of IERE's two stages."""

import pytest
from iere import CosineRestarts, WarmUpCosine


def test_schedules():
    warm = WarmUpCosine(total=110, warm_up=10, low=0.01)
    assert [warm(0), warm(5), warm(10), warm(60)] == pytest.approx([0.01, 0.505, 1.0, 0.5]) and warm(110) < 1e-9
    restarts = CosineRestarts(10, 2)
    assert [s for s in range(1, 400) if restarts(s) == 1.0] == [10, 30, 70, 150, 310]
    assert restarts(5) == restarts(20) == restarts(50) == pytest.approx(0.5)
