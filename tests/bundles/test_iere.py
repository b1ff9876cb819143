"""IERE: the acceptance tests of its equations, stages and options."""

import csv
import json
import math
import os
import subprocess
import sys

import pytest
import torch
from iere import IEREObjective, IERESettings, InternalRegularizer, Teacher
from iere.losses import weight_norm
from iere.sam import SamOptions, SamTeacher, reject
from torch import nn

from common.data import Phantom, write_phantoms
from common.errors import InputError, find_explained
from common.losses import jaccard_multiclass
from common.networks import ResNetUNet
from common.sam import BoxRefiner
from common.sam.testing import tiny_sam, write_tiny_checkpoint
from common.transforms import Batch, RandomBoxMask, RandomResizedCrop2D, warp_affine

from .conftest import BUNDLES

SIZE = 64


def logits_of(*foreground):
    """Two-class logits ``1, 2, n`` with these foreground probabilities."""
    p = torch.tensor(foreground, dtype=torch.float64)
    return torch.stack([1 - p, p]).log().unsqueeze(0)


class Echo(nn.Module):
    """In the place of SAM: gives back the pseudo-label, trusted, and remembers what it was asked."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def learns(self, step, start):
        return step < start

    def loss(self, image, label, index):
        return self.weight * image.mean()

    def labels(self, image, pseudo, raw, theta, index):
        self.asked = image, pseudo, raw, theta, index
        return pseudo, torch.ones(len(pseudo))


def objective_of(classes=2, teacher="shared_head", sam=None, ir=None, size=SIZE, **settings):
    network = ResNetUNet(1, classes, "resnet18", base_channels=8)
    augment = RandomResizedCrop2D([size, size])
    return IEREObjective(
        network, Teacher(network, teacher), augment, RandomBoxMask((0.4356, 0.4356), (1.0, 1.0), shared=True),
        ir or InternalRegularizer(), sam, IERESettings(**{"pretrain_steps": 0, **settings}),
    ).train()  # fmt: skip


def batch_of(classes=2, labeled=2, unlabeled=2):
    image = torch.rand(labeled + unlabeled, 1, 72, 72)
    label = torch.randint(0, classes, (labeled, 1, 72, 72), dtype=torch.uint8)
    return Batch(image, label, tuple(range(labeled)) + tuple(range(unlabeled)))


# ---- internal regularizer


def test_one_hot_foreground_gives_minus_a_quarter_of_its_share():
    label = torch.tensor([[1, 1, 0, 0]])
    sure, uniform = logits_of(1 - 1e-9, 1 - 1e-9, 0.5, 0.5), logits_of(0.5, 0.5, 0.5, 0.5)
    assert InternalRegularizer()(sure, label) == pytest.approx(-0.25 * 0.5, abs=1e-6)
    assert InternalRegularizer()(uniform, label) == pytest.approx(0, abs=1e-9)
    assert InternalRegularizer(normalize=True)(sure, label) == pytest.approx(-0.5, abs=1e-6)
    assert InternalRegularizer(mode="abs")(sure, label) == pytest.approx(0.125, abs=1e-6)


def test_gradient_makes_background_uniform_and_foreground_one_hot():
    logits = logits_of(0.2, 0.8).requires_grad_()
    InternalRegularizer()(logits, torch.tensor([[0, 1]])).backward()
    towards = -(logits.grad[0, 1] - logits.grad[0, 0])  # of a descent, on the foreground's logit
    assert (towards > 0).all()  # 0.2 -> 0.5 in the background, 0.8 -> 1 in the foreground


def test_four_classes_reach_three_sixteenths():
    logits = 100 * torch.eye(4).unsqueeze(0)
    assert InternalRegularizer()(logits, torch.ones(1, 4)) == pytest.approx(-3 / 16, abs=1e-6)
    assert InternalRegularizer(normalize=True)(logits, torch.ones(1, 4)) == pytest.approx(-1, abs=1e-6)


def test_code_and_spa_equal_a_hand_table():
    p = [0.99, 0.5, 0.3, 0.01]
    variances = [2 * (q - 0.5) ** 2 for q in p]  # unbiased, two classes
    scaled = [(v - min(variances)) / (max(variances) - min(variances)) for v in variances]
    a = [1 / (1 + math.exp(-math.log(q))) for q in p]  # the logit of class 1 is log q
    code = sum(x if v > 0.3 else 1 - x for x, v in zip(a, scaled)) / 4
    spa = sum(1 - x if v > 0.3 else x for x, v in zip(a, scaled)) / 4
    assert [v > 0.3 for v in scaled] == [True, False, False, True]
    assert InternalRegularizer(mode="code")(logits_of(*p), None) == pytest.approx(code, abs=1e-6)
    assert InternalRegularizer(mode="spa")(logits_of(*p), None) == pytest.approx(spa, abs=1e-6)


def test_code_takes_all_foreground_for_several_classes():
    logits = torch.randn(2, 3, 50)
    p = logits.softmax(1)
    v = p.var(1)
    low, high = v.amin(1, True), v.amax(1, True)
    a = 1 - p[:, 0]
    expected = torch.where((v - low) / (high - low) > 0.3, a, 1 - a).mean()
    torch.testing.assert_close(InternalRegularizer(mode="code")(logits, None), expected)


def test_norms_of_the_ablation():
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    nn.init.constant_(network[0].weight, 3.0)
    nn.init.constant_(network[1].weight, -2.0)
    assert weight_norm(network, "l1") == 2 and weight_norm(network, "l2") == 4.5


# ---- objective


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("bn_groups", ["official", "joint"])
def test_external_regularizer_on_the_teachers_own_labels_is_the_copy_paste_loss(classes, bn_groups):
    sam = Echo()
    objective = objective_of(classes, sam=sam, bn_groups=bn_groups)
    batch = batch_of(classes, labeled=4, unlabeled=4)
    terms = objective(batch, 1)
    torch.testing.assert_close(terms["er"], terms["bcp"])
    assert terms["sam_dice"] == 1 and terms["sam_used"] == 1
    image, pseudo, raw, theta, index = sam.asked
    assert torch.equal(image, batch.image[4:]) and index == (0, 1, 2, 3)
    assert theta.shape == (4, 2, 3) and pseudo.shape == raw.shape == (4, SIZE, SIZE)
    assert not pseudo.requires_grad and not ((pseudo != raw) & (pseudo != 0)).any()


@pytest.mark.parametrize(
    "options", [{}, {"bn_groups": "joint"}, {"cc_filter": "none"}, {"ir": InternalRegularizer(mode="code")}]
)
def test_each_term_trains_the_trunk_and_its_own_head(options):
    objective = objective_of(sam=Echo(), **options)
    terms = objective(batch_of(), 1)
    trunk, student, teacher = objective.network.encoder.conv1.weight, objective.network.head, objective.teacher.head
    heads = {"supervised": (0, 1), "bcp": (1, 0), "ir": (1, 0), "er": (1, 0)}
    for name, (to_student, to_teacher) in heads.items():
        found = torch.autograd.grad(
            terms[name], [trunk, student.weight, teacher.weight], retain_graph=True, allow_unused=True
        )
        norms = [0.0 if g is None else float(g.abs().sum()) for g in found]
        assert norms[0] > 0 and (norms[1] > 0, norms[2] > 0) == (bool(to_student), bool(to_teacher)), name
    assert not any(terms[name].requires_grad for name in ("pseudo_foreground", "sam_dice", "sam_used"))


def test_pretraining_trains_both_heads_on_mixtures_of_labeled_images():
    objective = objective_of(sam=Echo(), pretrain_steps=2)
    seen = []
    objective.network.head.register_forward_hook(lambda module, x, output: seen.append(output))
    terms = objective(batch_of(), 2)
    assert set(terms) == {"supervised", "sam"} and len(seen) == 1 and len(seen[0]) == 1
    terms["supervised"].backward()
    assert objective.network.head.weight.grad.abs().sum() > 0 and objective.teacher.head.weight.grad.abs().sum() > 0
    assert set(objective(batch_of(), 3)) >= {"supervised", "bcp", "ir", "er"}
    assert set(objective(batch_of(unlabeled=0), 3)) == {"supervised"}


def passes(objective, batch):
    """How often the trunk runs in a step of the student stage."""
    count = []
    hook = objective.network.decoder.blocks[0].register_forward_hook(lambda *_: count.append(1))
    objective(batch, 1)
    hook.remove()
    return len(count)


def test_six_passes_in_official_groups_and_three_in_joint_ones():
    batch = batch_of(labeled=4, unlabeled=4)
    assert passes(objective_of(bn_groups="official"), batch) == 6
    assert passes(objective_of(bn_groups="joint", sam=Echo()), batch) == 3


def test_terms_have_their_switches():
    names = ("ir", "er")
    assert not set(names) & set(objective_of(ir=InternalRegularizer(enabled=False))(batch_of(), 1))
    assert "er" not in objective_of(sam=Echo(), external=False)(batch_of(), 1)
    for kind in ("l1", "l2"):
        objective = objective_of(substitute=kind)
        torch.testing.assert_close(objective(batch_of(), 1)["er"], weight_norm(objective.network, kind))


def test_without_sam_the_external_regularizer_is_off_and_says_so(caplog):
    with caplog.at_level("INFO"):
        objective = objective_of()
    assert "the external regularizer is off" in caplog.text
    assert "er" not in objective(batch_of(), 1)


@pytest.mark.parametrize(("labeled", "unlabeled"), [(3, 3), (2, 4), (4, 2), (1, 0)])
def test_batches_that_cannot_be_halved_and_mixed_are_refused(labeled, unlabeled):
    with pytest.raises(InputError, match=f"labeled_batch={labeled}, unlabeled_batch={unlabeled}"):
        objective_of()(batch_of(labeled=labeled, unlabeled=unlabeled), 1)


@pytest.mark.parametrize("kind", ["ema", "fixed"])
def test_a_copy_as_teacher_gets_no_gradient_and_labels_train_the_student(kind):
    objective = objective_of(teacher=kind, pretrain_steps=1)
    with torch.no_grad():
        objective.network.head.bias += 1
    for step in (1, 2):
        terms = objective(batch_of(), step)
        (gradient,) = torch.autograd.grad(terms["supervised"], objective.network.head.weight, retain_graph=True)
        assert gradient.abs().sum() > 0
        equal = torch.equal(objective.teacher.copy.head.bias, objective.network.head.bias)
        assert equal == (kind == "fixed" and step == 2)  # taken over when pretraining has ended
    assert not any(p.requires_grad for p in objective.teacher.copy.parameters())


def test_two_slices_can_be_learned_by_heart():
    torch.manual_seed(3)
    objective = objective_of(bn_groups="joint")
    objective.augment = RandomResizedCrop2D([SIZE, SIZE], area=(1.0, 1.0), flip=0.0, contrast_probability=0.0)
    label = torch.zeros(2, 1, SIZE, SIZE, dtype=torch.uint8)
    label[0, :, 10:40, 8:30] = 1
    label[1, :, 30:60, 20:56] = 1
    image = 0.5 * label + 0.1 * torch.randn(2, 1, SIZE, SIZE)
    batch = Batch(torch.cat([image, image]), label)
    optimizer = torch.optim.Adam(objective.parameters(), 0.005)
    for step in range(1, 61):
        optimizer.zero_grad()
        terms = objective(batch, step)
        (terms["supervised"] + terms["bcp"] + 0.5 * terms["ir"]).backward()
        optimizer.step()
    objective.network.eval()
    with torch.no_grad():
        assert jaccard_multiclass(objective.network(image), label) < 0.3
        assert ((objective.network(image).argmax(1) == label.squeeze(1)).float().mean()) > 0.97


# ---- SAM


def sam_of(size=64, **options):
    """A tiny random SAM as teacher, for four labeled and four unlabeled cases and two classes."""
    cases = [[{"case": f"{kind}{n}"} for n in range(4)] for kind in "lu"]
    refiner = BoxRefiner(tiny_sam(size), num_classes=3, box_pad=0.0)
    return SamTeacher(refiner, datasets=cases, options=SamOptions(**options))


IDENTITY = torch.eye(2, 3).expand(4, 2, 3)


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
    label, trust = teacher.labels(image, pseudo, pseudo, IDENTITY, range(4))
    with torch.no_grad():
        direct = teacher.refiner(image, pseudo)
    assert (label == direct.label).float().mean() > 0.999  # embeddings are kept in half precision
    assert cache == "ram" or torch.equal(label, direct.label)
    assert 0 < (label > 0).float().mean() < 1 and trust.tolist() == [1] * 4


def test_kept_embeddings_serve_autocast():
    teacher, image, pseudo = sam_of(finetune_params="decoder"), torch.rand(4, 1, 64, 64), shapes()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for _ in range(2):
            label, _ = teacher.labels(image, pseudo, pseudo, IDENTITY, range(4))
            assert torch.isfinite(teacher.loss(image[:2], pseudo[:2], (0, 1)))
    assert label.shape == pseudo.shape and (label > 0).any()


@pytest.mark.parametrize("seed", range(3))
def test_a_crop_is_prompted_where_its_object_lies_in_the_slice(seed):
    teacher, image, truth = sam_of(finetune="none"), torch.rand(4, 1, 64, 64), shapes()
    crop = RandomResizedCrop2D([48, 48], area=(0.999, 1.0), ratio=(1.0, 1.0), turn=1.0, contrast_probability=0.0)
    batch = Batch(image, truth.unsqueeze(1).to(torch.uint8))
    drawn = crop.draw(batch, torch.Generator().manual_seed(seed))
    pseudo = crop.apply(batch, drawn).label.squeeze(1).long()
    label, _ = teacher.labels(image, pseudo, pseudo, drawn["theta"], range(4))
    with torch.no_grad():
        whole = teacher.refiner(image, truth).label
    moved = warp_affine(whole[:, None].float(), drawn["theta"], (48, 48), "nearest").squeeze(1)
    assert (label == moved).float().mean() > 0.9 and (moved > 0).float().mean() > 0.02


def test_embeddings_are_computed_once_per_slice():
    teacher, image, pseudo = sam_of(finetune_params="decoder"), torch.rand(4, 1, 64, 64), shapes()
    seen = []
    teacher.refiner.sam.image_encoder.patch_embed.register_forward_hook(lambda _, x, y: seen.append(len(x[0])))
    for index in ([0, 1, 2, 3], [3, 2, 1, 0], [0, 0, 1, 1]):
        teacher.labels(image[index], pseudo[index], pseudo[index], IDENTITY, index)
    for _ in range(2):
        teacher.loss(image[:2], pseudo[:2], (0, 1))
    assert seen == [4, 2]


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
        label, trust = teacher.labels(image, pseudo, pseudo, IDENTITY, range(4))
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
        label, _ = teacher.labels(image, pseudo, raw, IDENTITY, range(4))
        prompt = pseudo if box_from == "filtered" else raw
        assert torch.equal(label, teacher.refiner(image, prompt).label)
        assert not torch.equal(label, teacher.refiner(image, other).label)


# ---- bundle


@pytest.fixture(scope="module")
def two_groups(tmp_path_factory):
    """Volumes of four classes named like ACDC cases of the groups NOR and RV."""
    folder = tmp_path_factory.mktemp("groups")
    write_phantoms(folder, Phantom(size=(40, 32, 16), classes=4), labeled=8, unlabeled=0, validation=0, test=0)
    names = {f"phantom_{n:03d}": f"patient{61 + n if n < 6 else 75 + n:03d}_frame01" for n in range(8)}
    for path in folder.glob("*/*.nii.gz"):
        path.rename(path.with_name(path.name.replace(path.name[:11], names[path.name[:11]])))
    (folder / "splits.json").write_text(json.dumps({"train": list(names.values())}), encoding="utf-8")
    return folder


def test_one_group_of_patients_trains_and_all_are_tested(two_groups, run_tiny, tmp_path):
    options = {"dataset_dir": str(two_groups), "ratios": None, "labeled": 2, "validation": 1, "base_channels": 4}
    layers = "acdc_groups", "acdc_quick"
    run_tiny("iere_segmentation", *layers, **options, **{"pretrain#steps": 1})
    run_tiny("iere_segmentation", *layers, "evaluate", **options)
    summary = json.loads((tmp_path / "test" / "summary.json").read_text(encoding="utf-8"))
    assert set(summary["domains"]) == {"RV"} and summary["domains"]["RV"]["cases"] == 2


def with_sam(folder, **options):
    """Options of a tiny run with a tiny SAM."""
    write_tiny_checkpoint(folder / "sam.pt", img_size=32)
    sam = {"kind": "tiny", "img_size": 32, "checkpoint": str(folder / "sam.pt"), **options}
    return {**{f"sam#{name}": value for name, value in sam.items()}, "labeled": 2, "base_channels": 4}


@pytest.mark.parametrize("options", [{}, {"finetune": "joint", "cache": "off"}, {"finetune": "none", "cache": "disk"}])
def test_both_stages_run_with_sam_in_one_run_or_two(options, phantoms_2d, run_tiny, tmp_path):
    options = {**with_sam(tmp_path, **options), "dataset_dir": str(phantoms_2d)}
    run_tiny("iere_segmentation", **options, **{"pretrain#steps": 1})
    rows = list(csv.DictReader((tmp_path / "history.csv").read_text(encoding="utf-8").splitlines()))
    assert bool(rows[0].get("sam")) == (options.get("sam#finetune") != "none") and not rows[0]["er"]
    assert bool(rows[1].get("sam")) == (options.get("sam#finetune") == "joint") and float(rows[1]["er"]) > 0
    state = torch.load(tmp_path / "pretrained.pt", weights_only=True)
    learned = [name for name in state if "mask_decoder" in name]
    assert bool(learned) == (options.get("sam#finetune") != "none")
    assert not any("pos_embed" in name for name in state)
    assert not any(name.startswith(("sam", "teacher")) for name in torch.load(tmp_path / "model.pt"))

    earlier = {"pretrained": str(tmp_path / "pretrained.pt"), "output_dir": str(tmp_path / "second")}
    run_tiny("iere_segmentation", **options, **earlier, **{"pretrain#steps": 0})
    rows = list(csv.DictReader((tmp_path / "second" / "history.csv").read_text(encoding="utf-8").splitlines()))
    assert float(rows[0]["er"]) > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sam#checkpoint": "none.pth"}, "none.pth: no such file"),
        ({"sam#img_size": 40}, "img_size=40: SAM needs a positive multiple of 16"),
        ({"sam#finetune": "joint"}, "sam.cache=ram: sam.finetune=joint changes the encoder"),
        ({"sam#convention": "sam"}, "the convention 'sam' expects 0 to 255"),
        ({"pretrained": "none.pt"}, "none.pt: no such file; the student stage should start from it"),
        ({"init": "none.pt"}, "none.pt: no such file; it should hold pretrained weights"),
        ({"source": "site_7"}, "labeled_domain='site_7': expected one of site_0, site_1"),
        ({"targets": ["site_7"]}, "site_7 is none of the domains"),
        ({"unlabeled_batch": 4}, "labeled_batch=2, unlabeled_batch=4"),
    ],
)
def test_a_mistake_names_itself(options, message, phantoms_2d, run_tiny, tmp_path):
    (tmp_path / "in").mkdir()
    settings = {**with_sam(tmp_path / "in"), "dataset_dir": str(phantoms_2d), "pretrain#steps": 1, **options}
    with pytest.raises(Exception) as caught:
        run_tiny("iere_segmentation", **settings)
    assert message in str(find_explained(caught.value))
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_inference_loads_trunk_and_student_head_and_no_sam(phantoms_2d, tmp_path):
    network = ResNetUNet(1, 2, "resnet18", base_channels=4)
    torch.save(network.state_dict(), tmp_path / "model.pt")
    config = BUNDLES / "iere_segmentation" / "configs" / "inference.yaml"
    code = (
        "import sys; from monai.bundle import run; run(config_file=sys.argv[1], inputs=sys.argv[2], checkpoint="
        "sys.argv[3], output_dir=sys.argv[4], backbone='resnet18', base_channels=4, patch_size=[32, 32], device='cpu')"
        "; assert not [m for m in sys.modules if m.startswith(('common.sam', 'iere'))]"
    )
    paths = [config, phantoms_2d / "site_0" / "images", tmp_path / "model.pt", tmp_path / "out"]
    environment = {**os.environ, "PYTHONPATH": str(BUNDLES.parent), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, "-c", code, *map(str, paths)], env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert len(list((tmp_path / "out").glob("*.png"))) == 6
