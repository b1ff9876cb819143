import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from common.errors import DivergedError, InputError
from common.sam import BoxRefiner, build_sam
from tools import pretrain_sam as tool


def test_signed_distance_counts_pixels_from_the_contour():
    mask = np.zeros((1, 7), bool)
    mask[0, 2:5] = True
    assert tool.signed_distance(mask).tolist() == [[-2, -1, 1, 2, 1, -1, -2]]
    assert (tool.signed_distance(np.zeros((4, 6), bool)) == -10).all()


def test_damage_grows_with_its_strength_and_vanishes_without():
    distance = torch.from_numpy(tool.signed_distance(np.arange(64 * 64).reshape(64, 64) % 64 < 32)).float()
    many = distance.expand(200, 64, 64)
    assert torch.equal(tool.damage(many, 0.0), many)
    moved = [((tool.damage(many, strength) > 0) != (many > 0)).float().mean() for strength in (2.0, 8.0)]
    assert 0 < moved[0] < moved[1] / 2
    each = tool.damage(many, torch.arange(200) % 2 * 5.0)
    assert torch.equal(each[::2], many[::2]) and not torch.equal(each[1::2], many[1::2])


def test_damage_keeps_the_shape_of_many_classes_and_draws_for_each():
    moved = tool.damage(torch.zeros(2, 3, 32, 32), 4.0)
    assert moved.shape == (2, 3, 32, 32)
    assert not torch.equal(moved[0, 0], moved[0, 1]) and not torch.equal(moved[0, 0], moved[1, 0])


def test_cases_are_reproducible_and_fit_their_distances():
    cases, again = tool.make_cases(3, 32, 5), tool.make_cases(3, 32, 5)
    assert all(torch.equal(one, other) for one, other in zip(cases, again, strict=True))
    assert cases.image.shape == (3, 1, 32, 32) and cases.distance.shape == (3, 3, 32, 32)
    for organ in range(1, tool.CLASSES):
        assert torch.equal(cases.distance[:, organ - 1] > 0, cases.label == organ)


def test_image_and_contour_turn_together():
    image = torch.rand(2, 1, 8, 8)
    for _ in range(10):
        one, other = tool.turn(image, image + 1)
        torch.testing.assert_close(one + 1, other)


def test_mean_dice_is_over_present_classes():
    truth = torch.zeros(2, 4, 4, dtype=torch.int64)
    truth[:, :2] = 1
    label = truth.clone()
    label[1, 0] = 0  # 4 of 8 pixels left: Dice 2 * 4 / (4 + 8)
    assert tool.mean_dice(label, truth) == pytest.approx((1 + 2 / 3) / 2)


def test_training_lowers_the_loss_of_every_trained_part():
    torch.manual_seed(0)
    refiner, cases = BoxRefiner(build_sam("tiny", 64)), tool.make_cases(8, 64, 0)
    before = {name: p.detach().clone() for name, p in refiner.named_parameters()}
    first = tool.train(refiner, cases, 1, 8, 1e-5)
    last = tool.train(refiner, cases, 40, 8, 3e-3)
    assert last < 0.9 * first
    for part in ("image_encoder.blocks.0", "image_encoder.pos_embed", "point_embeddings.2", "mask_decoder.transformer"):
        assert any(part in n and not torch.equal(p, before[n]) for n, p in refiner.named_parameters()), part


def test_the_checkpoint_is_one_that_sam_loads(tmp_path, capsys):
    path = tool.pretrain_sam(str(tmp_path / "sam.pth"), size=32, steps=2, batch=2, cases=2, arch="tiny")
    sam = build_sam("tiny", 64, checkpoint=path)
    assert sam.image_encoder.pos_embed.abs().sum() > 0
    figures = json.loads((tmp_path / "sam.json").read_text(encoding="utf-8"))
    assert [row["damage"] for row in figures["dice"]] == list(tool.DAMAGE)
    befores = [row["before"] for row in figures["dice"]]
    assert 1 > befores[0] > befores[1] > befores[2] > 0
    printed = capsys.readouterr().out
    assert all(f"{row['before']:.4f}" in printed and f"{row['after']:.4f}" in printed for row in figures["dice"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "--steps 0"),
        ({"cases": -1}, "--cases -1"),
        ({"batch": 1.5}, "--batch 1.5: expected a whole number"),
        ({"size": 50}, "multiple of 16"),
        ({"size": 64.5}, "multiple of 16"),
        ({"arch": "vit"}, "--arch=vit: must be one of vit_b"),
        ({"learning_rate": 0}, "--learning_rate 0: expected a number above 0"),
    ],
)
def test_impossible_options_write_nothing(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        tool.pretrain_sam(str(tmp_path / "sam.pth"), **options)
    assert not list(tmp_path.iterdir())


def test_a_diverged_training_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(tool, "train", lambda *_: float("nan"))
    with pytest.raises(DivergedError, match="lower --learning_rate"):
        tool.pretrain_sam(str(tmp_path / "sam.pth"), size=32, steps=1, batch=1, cases=1, arch="tiny")
    assert not list(tmp_path.iterdir())


def test_the_command_is_there():
    done = subprocess.run(
        [sys.executable, "-m", "tools", "pretrain-sam", "--steps=0"], capture_output=True, text=True
    )  # fmt: skip
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1].startswith("error: --steps 0")
