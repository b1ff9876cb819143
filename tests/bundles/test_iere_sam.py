"""IERE: SAM as a second teacher."""

import pytest
import torch
from iere import RandomResizedCrop2D, Views
from iere.sam import SamOptions, SamTeacher, case_name, reject
from torch.nn import functional as F

from common.sam import BoxRefiner
from common.sam.testing import tiny_sam
from common.transforms import Batch, warp_affine


def sam_of(size=64, **options):
    """A tiny random SAM as teacher, for four labeled and four unlabeled cases and two classes."""
    cases = [[{"case": f"{kind}{n}"} for n in range(4)] for kind in "lu"]
    refiner = BoxRefiner(tiny_sam(size), num_classes=3, box_pad=0.0)
    return SamTeacher(refiner, datasets=cases, options=SamOptions(**options))


IDENTITY = torch.eye(2, 3).expand(4, 2, 3)


def answer(teacher, image, pseudo, raw=None, theta=IDENTITY, index=range(4), crops=None):
    """SAM's labels for crops that are the slices, unless others are given, with logits whose arg max is ``raw``."""
    logits = 9 * F.one_hot(pseudo if raw is None else raw, 3).movedim(-1, 1).float()
    return teacher.labels(Views(image, image if crops is None else crops, theta, index), pseudo, logits)


def shapes(count=4, size=64):
    """Label maps of two classes: boxes that differ per image, the last image empty."""
    label = torch.zeros(count, size, size, dtype=torch.long)
    for n in range(count - 1):
        label[n, 6 + n : 30 + 4 * n, 10 : 40 + n] = 1
        label[n, 40 + n :, 8 + 2 * n : 28] = 2
    return label


@pytest.mark.parametrize("cache", ["ram", "off"])
def test_for_the_identity_the_kept_embeddings_give_what_the_images_give(cache):
    teacher, image, pseudo = sam_of(cache=cache), torch.rand(4, 1, 64, 64), shapes()
    label, trust = answer(teacher, image, pseudo)
    with torch.no_grad():
        direct = teacher.refiner(image, pseudo)
    assert (label == direct.label).float().mean() > 0.999  # embeddings are kept in half precision
    assert cache == "ram" or torch.equal(label, direct.label)
    assert 0 < (label > 0).float().mean() < 1 and trust.tolist() == [1] * 4


def test_kept_embeddings_serve_autocast():
    teacher, image, pseudo = sam_of(finetune_params="decoder"), torch.rand(4, 1, 64, 64), shapes()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for _ in range(2):
            label, _ = answer(teacher, image, pseudo)
            assert torch.isfinite(teacher.loss(image[:2], pseudo[:2], (0, 1)))
    assert label.shape == pseudo.shape and (label > 0).any()


@pytest.mark.parametrize("amp", [False, True])
def test_kept_embeddings_are_those_of_full_precision_whatever_the_run_computes_in(amp):
    teacher, image = sam_of(finetune="none"), torch.rand(4, 1, 64, 64)
    with torch.no_grad():
        whole = teacher.refiner.embed(image)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=amp):
        kept = teacher.embeddings(image, 0, range(4))
    assert torch.equal(kept, whole.half().float())


@pytest.mark.parametrize("seed", range(3))
def test_a_crop_is_prompted_where_its_object_lies_in_the_slice(seed):
    teacher, image, truth = sam_of(finetune="none"), torch.rand(4, 1, 64, 64), shapes()
    crop = RandomResizedCrop2D([48, 48], area=(0.999, 1.0), ratio=(1.0, 1.0), turn=1.0, contrast_probability=0.0)
    batch = Batch(image, truth.unsqueeze(1).to(torch.uint8))
    drawn = crop.draw(batch, torch.Generator().manual_seed(seed))
    view = crop.apply(batch, drawn)
    pseudo = view.label.squeeze(1).long()
    label, _ = answer(teacher, image, pseudo, theta=drawn["theta"], crops=view.image)
    with torch.no_grad():
        whole = teacher.refiner(image, truth).label
    moved = warp_affine(whole[:, None].float(), drawn["theta"], (48, 48), "nearest").squeeze(1)
    assert (label == moved).float().mean() > 0.9 and (moved > 0).float().mean() > 0.02


def test_embeddings_are_computed_once_per_slice():
    teacher, image, pseudo = sam_of(finetune_params="decoder"), torch.rand(4, 1, 64, 64), shapes()
    seen = []
    teacher.refiner.sam.image_encoder.patch_embed.register_forward_hook(lambda _, x, y: seen.append(len(x[0])))
    for index in ([0, 1, 2, 3], [3, 2, 1, 0], [0, 0, 1, 1]):
        answer(teacher, image[index], pseudo[index], index=index)
    for _ in range(2):
        teacher.loss(image[:2], pseudo[:2], (0, 1))
    assert seen == [4, 2]


def test_a_case_without_a_name_is_known_by_its_content():
    image = torch.rand(2, 1, 8, 8)
    assert case_name({"case": "a", "image": image[0]}) == "a"
    assert case_name({"image": image[0]}) == case_name({"image": image[0].clone()}) != case_name({"image": image[1]})


@pytest.mark.parametrize(
    ("params", "parts"),
    [("decoder", {"mask_decoder"}), ("lora_decoder", {"mask_decoder", "lora"}), ("full", {"mask_decoder", "encoder"})],
)
def test_tuning_trains_what_it_should_and_nothing_else_is_in_the_state(params, parts):
    teacher = sam_of(finetune_params=params)
    teacher.loss(torch.rand(2, 1, 64, 64), shapes(3)[:2], (0, 1)).backward()
    moved = [name for name, p in teacher.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    kinds = {"lora" if "lora" in n else "mask_decoder" if "mask_decoder" in n else "encoder" for n in moved}
    assert kinds == parts and not any("prompt_encoder" in name for name in moved)
    frozen = {name for name, p in teacher.named_parameters() if not p.requires_grad}
    assert frozen and not frozen & set(teacher.state_dict())
    other = sam_of(finetune_params=params)
    kept = other.refiner.sam.prompt_encoder.no_mask_embed.weight.clone()
    other.load_state_dict(teacher.state_dict())
    assert torch.equal(
        other.refiner.sam.mask_decoder.iou_token.weight, teacher.refiner.sam.mask_decoder.iou_token.weight
    )
    assert torch.equal(other.refiner.sam.prompt_encoder.no_mask_embed.weight, kept)


def test_tuning_teaches_sam_two_images():
    teacher, label = sam_of(finetune_params="decoder"), shapes(3)[:2]
    image = label[:, None] / 2 + 0.1 * torch.rand(2, 1, 64, 64)
    optimizer = torch.optim.AdamW([p for p in teacher.parameters() if p.requires_grad], 0.003)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        losses.append(teacher.loss(image, label, (0, 1)))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.7 * losses[0]


def test_policies_for_an_image_without_pseudo_label():
    image, pseudo = torch.rand(4, 1, 64, 64), shapes()
    for empty, painted, weights in (("teacher", False, 1), ("full_box", True, 1), ("ignore", False, 0)):
        torch.manual_seed(5)
        teacher = sam_of(empty=empty)
        label, trust = answer(teacher, image, pseudo)
        assert bool((label[3] > 0).any()) == painted and trust.tolist() == [1, 1, 1, weights]


def test_a_label_far_from_the_teachers_is_rejected():
    a = torch.zeros(3, 10, 10, dtype=torch.long)
    b = a.clone()
    a[0, :5], b[0, :4] = 1, 1  # close
    a[1, :1], b[1, 5:] = 1, 1  # apart
    a[2, :9], b[2, :2] = 1, 2  # more than four times the size
    assert torch.equal(reject(a, b), torch.stack([a[0], b[1], b[2]]))


def test_raw_or_filtered_pseudo_labels_prompt():
    image, pseudo = torch.rand(4, 1, 64, 64), shapes()
    raw = pseudo.clone()
    raw[:, :2, 60:] = 1
    for box_from, other in (("filtered", raw), ("raw", pseudo)):
        torch.manual_seed(5)
        teacher = sam_of(box_from=box_from, cache="off")
        label, _ = answer(teacher, image, pseudo, raw)
        prompt = pseudo if box_from == "filtered" else raw
        assert torch.equal(label, teacher.refiner(image, prompt).label)
        assert not torch.equal(label, teacher.refiner(image, other).label)
