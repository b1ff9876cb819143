"""SynFoC with a SAM: what learns, what is saved, what is deployed."""

import shutil
from pathlib import Path

import pytest
import torch
from synfoc import make_deployed, make_students
from synfoc.adaptation import load_segmenter
from torch.nn import functional as F

from common.errors import find_explained
from common.networks import make_teacher
from common.sam.testing import write_tiny_checkpoint

from .test_synfoc_objective import batch, objective


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_tiny_checkpoint(tmp_path_factory.mktemp("sam") / "tiny.pth")


def pair(checkpoint, **options):
    sam = {"kind": "sam", "arch": "tiny", "img_size": 64, "checkpoint": checkpoint, **options}
    return make_students({"in_channels": 1, "num_classes": 2, "base_channels": 4}, sam)


def test_the_teacher_shares_what_is_frozen(checkpoint):
    students = pair(checkpoint)
    teachers = make_teacher(students)
    trained = 0
    for (name, a), b in zip(students.named_parameters(), teachers.parameters()):
        assert (a is b) != a.requires_grad and not b.requires_grad
        trained += a.requires_grad and name.startswith("sam.")
        assert ("lora" in name or "decoder" in name or "no_mask" in name) or not a.requires_grad or "unet" in name
    assert trained > 10


def test_a_step_trains_lora_decoder_and_u_net_and_nothing_else(checkpoint):
    method = objective()
    method.students = pair(checkpoint)
    method.teachers = make_teacher(method.students)
    terms = method(batch(), 1)
    method.total(terms, 1).backward()
    for name, p in method.students.named_parameters():
        assert (p.grad is not None) == p.requires_grad, name
    moved = [n for n, p in method.students.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    assert any("lora_b" in n for n in moved) and any("mask_tokens" in n for n in moved)
    assert any("no_mask_embed" in n for n in moved) and any(n.startswith("unet.") for n in moved)


SAM_RUN = {"sam#kind": "sam", "sam#arch": "tiny", "sam#img_size": 64, "labeled": 2, "base_channels": 4}


def test_weights_with_merged_lora_need_no_checkpoint(checkpoint, phantoms_2d, run_tiny, tmp_path):
    published = Path(shutil.copy(checkpoint, tmp_path / "published.pth"))
    options = {**SAM_RUN, "sam#checkpoint": str(published), "learning_rate_sam": 0.1}
    run_tiny("synfoc_segmentation", dataset_dir=str(phantoms_2d), **options)
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    assert not any("lora" in name for name in state)
    resumed = torch.load(tmp_path / "resume.pt", weights_only=True)
    prefix = "students.sam."
    network = pair(checkpoint)["sam"]
    trained = {k[len(prefix) :]: v for k, v in resumed["objective"].items() if k.startswith(prefix)}
    frozen = network.load_state_dict(trained, strict=False).missing_keys  # they are in the checkpoint
    assert {f"{prefix}{name}" for name in frozen} == {k for k in resumed["frozen"] if k.startswith(prefix)} != set()
    deployed = make_deployed({"in_channels": 1, "num_classes": 2}, {"kind": "sam", "arch": "tiny", "img_size": 64})
    deployed.load_state_dict(state)
    image = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        expected = F.interpolate(network.eval()(image), size=(64, 64), mode="bilinear")
        torch.testing.assert_close(deployed.eval()(image), expected, atol=1e-4, rtol=1e-4)

    adaptation = load_segmenter(tmp_path / "adaptation.pt", checkpoint)
    with torch.no_grad():
        torch.testing.assert_close(adaptation.eval()(image), network.eval()(image))
    assert (tmp_path / "adaptation.pt").stat().st_size < (tmp_path / "model.pt").stat().st_size

    published.unlink()
    run_tiny("synfoc_segmentation", "evaluate", split="test")
    assert (tmp_path / "test" / "summary.json").is_file()


@pytest.mark.parametrize(("unlabeled_batch", "saved"), [(2, "teachers"), (0, "students")])
def test_the_teacher_is_deployed_where_it_sees_images(unlabeled_batch, saved, phantoms_2d, run_tiny, tmp_path):
    options = {"labeled": 2, "deploy": "unet", "deploy_teacher": True, "ema_decay": 0.5, "iterations": 2}
    options |= {"sam#kind": "none", "base_channels": 4, "unlabeled_batch": unlabeled_batch, "val_interval": 1}
    run_tiny("synfoc_segmentation", dataset_dir=str(phantoms_2d), **options)
    state = torch.load(tmp_path / "resume.pt", weights_only=True)["objective"]
    for name, value in torch.load(tmp_path / "model.pt", weights_only=True).items():
        assert torch.equal(value, state[f"{saved}.unet.{name}"]), name
    first = "unet.conv_0.conv_0.conv.weight"
    assert not torch.equal(state[f"teachers.{first}"], state[f"students.{first}"])


def test_a_missing_checkpoint_is_named_before_anything_is_written(phantoms_2d, run_tiny, tmp_path):
    options = {"dataset_dir": str(phantoms_2d), **SAM_RUN, "sam#checkpoint": "nowhere.pth"}
    with pytest.raises(Exception) as caught:
        run_tiny("synfoc_segmentation", **options)
    assert "nowhere.pth: no such file" in str(find_explained(caught.value))
    assert list(tmp_path.iterdir()) == []
