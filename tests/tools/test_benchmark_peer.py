"""A clone's own loop over windows is found, compared and timed; what cannot be called says why."""

import json

import pytest

from common.errors import InputError
from tools.benchmark import benchmark

LOOP = '''
import math
import numpy as np
import torch


def test_single_case_first_output(model, image, stride_xy, stride_z, patch_size, num_classes=1):
    """One window at a time, on a GPU, the first of two outputs; its own words for what such code does."""
    sizes, steps = image.shape, (stride_xy, stride_xy, stride_z)
    total, visits = np.zeros((num_classes, *sizes)), np.zeros(sizes)
    ends = [math.ceil((n - p) / s) + 1 for n, p, s in zip(sizes, patch_size, steps)]
    for place in np.ndindex(*ends):
        start = [min(s * i, n - p) for i, s, n, p in zip(place, steps, sizes, patch_size)]
        inside = tuple(slice(a, a + p) for a, p in zip(start, patch_size))
        window = torch.from_numpy(image[inside][None, None].astype(np.float32)).cuda()
        logits, _ = model(window)
        total[(slice(None),) + inside] += torch.softmax(logits, dim=1)[0].cpu().data.numpy()
        visits[inside] += 1
    maps = total / visits {wrong}
    return maps.argmax(axis=0), maps
'''


@pytest.fixture
def clone(tmp_path):
    def made(text):
        folder = tmp_path / "clone"
        (folder / "code" / "utils").mkdir(parents=True)
        (folder / "code" / "utils" / "test_3d_patch.py").write_text(text, encoding="utf-8")
        return folder

    return made


def test_the_loop_of_a_clone_is_timed_beside_ours(clone, tmp_path, capsys):
    folder = clone(LOOP.replace("{wrong}", ""))
    try:
        benchmark(peer_repo=str(folder), rounds=1, threads=1, output=str(tmp_path / "out.json"))
    except SystemExit as stop:  # which of them was faster in one round is no matter here
        assert "slower here" in str(stop)
    (row,) = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["contests"]
    assert row["difference"] < 1e-5 and set(row["ways"]) == {"reference", "ours"}
    assert "code/utils/test_3d_patch.py: test_single_case_first_output" in capsys.readouterr().out


def test_another_result_is_not_timed(clone):
    with pytest.raises(SystemExit, match="different results, so not timed: peer"):
        benchmark(peer_repo=str(clone(LOOP.replace("{wrong}", "+ 0.01"))), rounds=1, threads=1)


@pytest.mark.parametrize(
    "text, why",
    [
        ("x = 1\n", "no function test_single_case"),
        ("def test_single_case(picture, net):\n    pass\n", "has other parameters .picture, net."),
        ("import no_such_module\n" + LOOP.replace("{wrong}", ""), "No module named 'no_such_module'"),
    ],
)
def test_what_cannot_be_called_says_why(clone, text, why):
    with pytest.raises(InputError, match=why):
        benchmark(peer_repo=str(clone(text)), rounds=1)


def test_a_clone_must_be_a_folder(tmp_path):
    with pytest.raises(InputError, match="expected a clone of a published repository"):
        benchmark(peer_repo=str(tmp_path / "none"))
