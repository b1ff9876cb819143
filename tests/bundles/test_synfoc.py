"""SynFoC: the acceptance tests of its equations."""

import json
import math
from itertools import product

import h5py
import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow
from PIL import Image
from synfoc import (
    ConsensusDivergence,
    SelfMutualConfidence,
    SynFoCObjective,
    SynFoCSettings,
    make_deployed,
    make_students,
    make_unet,
    masked_loss,
    overlap,
)
from torch import nn
from torch.nn import functional as F

from common.data import Phantom, write_phantom_domains
from common.errors import InputError, find_explained
from common.networks import make_teacher
from common.sam import load_segmenter
from common.sam.testing import write_tiny_checkpoint
from common.transforms import Batch, RandomIntensity, RandomRectangle

from .conftest import BUNDLES

ONE = [[1]]
NESTED = [[1], [1, 2]]


def maps(*values):
    return torch.tensor(values)


# ---- self-mutual confidence


def test_overlap_of_known_maps():
    full, empty = maps([1, 1, 0, 0]), maps([0, 0, 0, 0])
    assert overlap(full, full, ONE) == pytest.approx(5 / 5.001)
    assert overlap(empty, empty, ONE) == 1
    assert overlap(full, maps([0, 0, 1, 1]), ONE) == pytest.approx(1 / 5.001)
    many = torch.ones(1, 500, dtype=torch.long)
    assert overlap(torch.cat([many, 0 * many], 1), torch.cat([0 * many, many], 1), ONE) < 0.002


def test_nested_parts_are_compared_as_wholes():
    a, b = maps([1, 2, 0]), maps([2, 1, 0])
    cup, disc = 1 / 3.001, 5 / 5.001
    assert overlap(a, b, NESTED) == pytest.approx((cup + disc) / 2)
    assert overlap(a, b, [[1], [2]]) == pytest.approx(cup)


def numpy_dice(a, b):
    if a.sum() + b.sum() == 0:
        return 1.0
    return (2 * np.logical_and(a, b).sum() + 1) / (a.sum() + b.sum() + 1.001)


def test_weight_of_a_batch_equals_a_loop():
    student, unet = torch.randint(0, 4, (2, 3, 16, 16))
    unet[0] = 0
    sam = torch.randint(0, 4, (3, 8, 8))
    alpha = SelfMutualConfidence([[1], [2], [3]])(student, unet, sam, step=1)
    for i in range(3):
        small = unet[i].numpy()[1::2, 1::2]  # nearest: the centre of each cell
        own = np.mean([numpy_dice(student[i].numpy() == k, unet[i].numpy() == k) for k in (1, 2, 3)])
        mutual = np.mean([numpy_dice(small == k, sam[i].numpy() == k) for k in (1, 2, 3)])
        assert float(alpha[i]) == pytest.approx(own * mutual, abs=1e-6)
    assert alpha.dtype == torch.float32


def test_modes_of_the_weight():
    student, unet, sam = maps([[1, 1], [0, 0]]), maps([[1, 0], [0, 0]]), maps([[1, 1], [1, 0]])
    own, mutual = overlap(student, unet, ONE), overlap(unet, sam, ONE)
    expected = {"smc": own * mutual, "self": own, "mutual": mutual, "constant": 0.3, "linear": 0.25}
    for mode, value in expected.items():
        weigh = SelfMutualConfidence(ONE, mode, value=0.3, iterations=40)
        assert weigh(student if weigh.needs_student else None, unet, sam, step=11) == pytest.approx(float(value))
    with pytest.raises(ValueError, match="mode must be one of"):
        SelfMutualConfidence(ONE, "mean")


# ---- losses


@pytest.mark.parametrize("mask_background", [True, False])
def test_masked_loss_equals_the_written_formula(mask_background):
    logits, target = torch.randn(2, 3, 4, 5), torch.randint(0, 3, (2, 1, 4, 5))
    mask = torch.rand(2, 1, 4, 5) > 0.4
    p, ce, dice = logits.softmax(1), 0.0, []
    for b in range(2):
        for y in range(4):
            for x in range(5):
                ce -= float(mask[b, 0, y, x]) * p[b, target[b, 0, y, x], y, x].log()
    for k in range(3):
        w = mask[:, 0].float() if k or mask_background else torch.ones(2, 4, 5)
        is_k = (target[:, 0] == k).float()
        top, bottom = (w * p[:, k] * is_k).sum(), (w * p[:, k] ** 2).sum() + (w * is_k**2).sum()
        dice.append(1 - (2 * top + 1e-5) / (bottom + 1e-5))
    expected = ce / 40 + sum(dice) / 3
    torch.testing.assert_close(masked_loss(logits, target, mask, mask_background), expected)


def test_no_mask_is_a_full_mask():
    logits, target = torch.randn(2, 3, 4, 5), torch.randint(0, 3, (2, 1, 4, 5))
    everywhere = torch.ones(2, 1, 4, 5, dtype=torch.bool)
    torch.testing.assert_close(masked_loss(logits, target), masked_loss(logits, target, everywhere))


def test_identical_networks_do_not_diverge_and_certain_ones_have_no_entropy():
    logits = torch.randn(2, 3, 8, 8)
    terms = ConsensusDivergence()(logits, logits)
    assert terms["divergence"] == 0 and terms["agreement"] == 1 and terms["consensus"] > 0
    p = logits.softmax(1)
    torch.testing.assert_close(terms["consensus"], 2 * (-p * p.log()).mean())
    torch.testing.assert_close(ConsensusDivergence(half=True)(logits, logits)["consensus"], (-p * p.log()).mean())
    assert ConsensusDivergence()(1e6 * logits, 1e6 * logits)["consensus"] == pytest.approx(0, abs=1e-6)


def test_consensus_and_divergence_share_the_pixels():
    sam = torch.tensor([[4.0, -4.0], [-4.0, 4.0]]).view(1, 2, 1, 2).requires_grad_()  # classes 0 and 1
    unet = torch.zeros(1, 2, 2, 4)
    unet[:, 0] = 2.0  # class 0 everywhere
    unet.requires_grad_()
    terms = ConsensusDivergence()(sam, unet)
    p, q = sam.softmax(1), unet.softmax(1)
    assert terms["agreement"] == 0.5
    torch.testing.assert_close(terms["divergence"], ((p[0, :, 0, 1] - q[0, :, 0, 2]) ** 2).mean() / 2)
    entropies = (-p * p.log())[..., 0].sum() / 4 + (-q * q.log())[..., :2].sum() / 16
    torch.testing.assert_close(terms["consensus"], entropies)
    (at_sam, at_unet) = torch.autograd.grad(terms["divergence"], (sam, unet), retain_graph=True)
    assert (at_sam[..., 1] != 0).all() and (at_sam[..., 0] == 0).all()
    assert (at_unet[..., 2:] != 0).all() and (at_unet[..., :2] == 0).all()
    assert all(g.abs().sum() > 0 for g in torch.autograd.grad(terms["consensus"], (sam, unet)))


@pytest.mark.parametrize(
    ("mode", "names"),
    [("cdcr", {"consensus", "divergence"}), ("consensus", {"consensus"}), ("divergence", {"divergence"}),
     ("cr", {"divergence"}), ("none", set())],
)  # fmt: skip
def test_modes_of_the_regulariser(mode, names):
    sam, unet = torch.randn(1, 2, 4, 4), torch.randn(1, 2, 8, 8)
    terms = ConsensusDivergence(mode)(sam, unet)
    assert set(terms) - {"agreement"} == names
    if mode == "cr":
        up = F.interpolate(sam.softmax(1), scale_factor=2, mode="nearest")
        torch.testing.assert_close(terms["divergence"], (up - unet.softmax(1)).square().mean())


# ---- the objective


class Foundation(nn.Module):
    """A network of its own input size with logits at a quarter of it, as a SAM's."""

    def __init__(self, channels=1, classes=2):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(channels, 8, 4, stride=4), nn.ReLU(), nn.Conv2d(8, classes, 1))

    def forward(self, x):
        assert x.shape[2:] == (64, 64)
        return self.net(x)


SIZES = {"unet": (32, 32), "sam": (64, 64)}


def objective(networks=("unet", "sam"), smc="smc", cdcr="cdcr", box=True, classes=2, **settings):
    parts = [[k] for k in range(1, classes)]
    makers = {"unet": lambda: make_unet(1, classes, 4), "sam": lambda: Foundation(1, classes)}
    students = nn.ModuleDict({name: makers[name]() for name in networks})
    return SynFoCObjective(
        students,
        make_teacher(students),
        SIZES,
        SelfMutualConfidence(parts, smc, iterations=10),
        ConsensusDivergence(cdcr),
        RandomIntensity(),
        RandomRectangle() if box else None,
        settings=SynFoCSettings(**settings),
    ).train()


def batch(n=2, size=64, classes=2):
    return Batch(torch.rand(2 * n, 1, size, size), torch.randint(0, classes, (n, 1, size, size), dtype=torch.uint8))


@pytest.mark.parametrize("smc", ["smc", "self", "mutual", "constant", "linear", "cps"])
@pytest.mark.parametrize("classes", [2, 4])
def test_each_term_alone_trains_the_networks_it_should(smc, classes):
    method = objective(smc=smc, classes=classes)
    terms = method(batch(classes=classes), 3)
    for term in SynFoCObjective.TERMS:
        trained = [name for name in ("sam", "unet") if term.endswith(name)] or ["sam", "unet"]
        for name, student in method.students.items():
            grads = torch.autograd.grad(terms[term], list(student.parameters()), retain_graph=True, allow_unused=True)
            size = sum(g.abs().sum() for g in grads if g is not None)
            assert (size > 0) == (name in trained) and math.isfinite(size)
    assert not any(p.requires_grad for p in method.teachers.parameters())
    assert ("alpha" in terms) == (smc != "cps")


@pytest.mark.parametrize("name", ["unet", "sam"])
def test_a_network_may_learn_from_its_own_teacher_alone(name):
    terms = objective(networks=[name])(batch(), 1)
    assert set(terms) == {f"{kind}_{name}" for kind in ("supervised", "pseudo", "confident", "pseudo_foreground")}


def test_without_unlabeled_images_only_the_supervised_terms_are_left():
    images = batch()
    assert set(objective()(Batch(images.image[:2], images.label), 1)) == {"supervised_unet", "supervised_sam"}


def test_streams_of_different_size_are_refused():
    images = batch(n=2)
    with pytest.raises(InputError, match="labeled_batch=1 must equal unlabeled_batch=3"):
        objective()(Batch(images.image, images.label[:1]), 1)


class Fixed(nn.Module):
    """A network that answers with given logits, whatever it sees, and remembers that."""

    def __init__(self, logits):
        super().__init__()
        self.logits, self.seen = nn.Parameter(logits), []

    def forward(self, x):
        self.seen.append(x.detach())
        return self.logits.repeat(len(x) // len(self.logits), 1, 1, 1)


def fixed_objective(unet, sam, box, **options):
    students = nn.ModuleDict({"unet": Fixed(unet), "sam": Fixed(sam)})
    method = objective(**options)
    method.students, method.teachers, method.strong = students, make_teacher(students), lambda image: image
    method.box = (lambda reference: box) if box is not None else None
    return method


def half_box(size=32):
    box = torch.zeros(2, 1, size, size, dtype=torch.bool)
    box[..., : size // 2] = True
    return box


def test_the_rectangle_is_the_same_at_every_size():
    method = fixed_objective(torch.zeros(2, 2, 32, 32), torch.zeros(2, 2, 16, 16), half_box())
    image = torch.cat([torch.ones(2, 1, 64, 64), torch.zeros(2, 1, 64, 64)])
    method(Batch(image, torch.ones(2, 1, 64, 64, dtype=torch.uint8)), 1)
    for name in ("unet", "sam"):
        mixed = method.students[name].seen[-1][-2:]
        side = SIZES[name][0]
        assert (mixed[..., : side // 2] == 1).all() and (mixed[..., side // 2 :] == 0).all()


def test_inside_the_box_labels_count_outside_only_confident_pseudo_labels():
    doubt = torch.zeros(2, 2, 32, 32)  # no teacher is confident
    doubt[:, 1] = 0.1
    method = fixed_objective(doubt, doubt[..., ::2, ::2].clone(), half_box())
    labels = torch.ones(2, 1, 64, 64, dtype=torch.uint8)
    terms = method(Batch(torch.rand(4, 1, 64, 64), labels), 1)
    assert terms["confident_unet"] == terms["confident_sam"] == 0
    assert terms["pseudo_foreground_unet"] == 1
    for name, logits in (("unet", doubt), ("sam", doubt[..., ::2, ::2])):
        box = half_box(logits.shape[-1])
        torch.testing.assert_close(terms[f"pseudo_{name}"], masked_loss(logits, torch.ones_like(box).long(), box))


def test_without_copy_paste_the_mixed_image_is_the_strong_one():
    method = fixed_objective(torch.zeros(2, 2, 32, 32), torch.zeros(2, 2, 16, 16), None)
    image = torch.cat([torch.ones(2, 1, 64, 64), torch.zeros(2, 1, 64, 64)])
    method(Batch(image, torch.ones(2, 1, 64, 64, dtype=torch.uint8)), 1)
    assert (method.students["unet"].seen[-1][-2:] == 0).all()


def test_the_blend_follows_alpha_and_cps_crosses_the_teachers():
    unet, sam = torch.randn(2, 2, 32, 32), torch.randn(2, 2, 16, 16)
    image = torch.rand(2, 1, 64, 64)
    up = F.interpolate(sam.softmax(1), size=(32, 32), mode="bilinear")
    blends, terms = fixed_objective(unet, sam, None).teach(image, 1)
    alpha = SelfMutualConfidence(ONE)(unet.argmax(1), unet.argmax(1), sam.argmax(1), 1).view(-1, 1, 1, 1)
    torch.testing.assert_close(blends["unet"], alpha * unet.softmax(1) + (1 - alpha) * up)
    assert blends["sam"] is blends["unet"] and blends["sam"].dtype == torch.float32
    crossed, _ = fixed_objective(unet, sam, None, smc="cps").teach(image, 1)
    torch.testing.assert_close(crossed["sam"], unet.softmax(1))
    torch.testing.assert_close(crossed["unet"], up)


@pytest.mark.parametrize(("inclusive", "share"), [(True, 1.0), (False, 0.0)])
def test_pixels_at_the_threshold(inclusive, share):
    method = fixed_objective(torch.zeros(2, 2, 32, 32), torch.zeros(2, 2, 16, 16), None, tau=0.5,
                             tau_inclusive=inclusive)  # fmt: skip
    assert method(batch(), 1)["confident_unet"] == share


@pytest.mark.parametrize("update", [True, False])
def test_the_extra_weak_pass_touches_statistics_only_if_asked_to(update):
    method = objective(update_statistics=update)
    counter = next(b for name, b in method.students["unet"].named_buffers() if name.endswith("num_batches_tracked"))
    method(batch(), 1)
    assert counter == (3 if update else 2)


def test_the_second_u_net_starts_elsewhere():
    pair = make_students({"in_channels": 1, "num_classes": 2, "base_channels": 4}, {"kind": "none"})
    first, second = (next(pair[name].parameters()) for name in ("unet", "sam"))
    assert first.shape == second.shape and not torch.equal(first, second)


def test_parameters_are_those_of_the_u_net():
    assert sum(p.numel() for p in make_unet().parameters()) == 31_106_242


def test_two_images_are_learned_by_heart():
    method = objective()
    ys, xs = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    label = torch.stack([((ys - 20) ** 2 + (xs - 30) ** 2 < 150), ((ys - 40) ** 2 + (xs - 25) ** 2 < 200)])[:, None]
    images = Batch(torch.cat([0.2 + 0.6 * label.float()] * 2), label.to(torch.uint8))
    optimizers = [torch.optim.SGD(method.students["unet"].parameters(), 0.03, 0.9),
                  torch.optim.AdamW(method.students["sam"].parameters(), 0.01)]  # fmt: skip
    for step in range(1, 41):
        terms = method(images, step)
        for optimizer in optimizers:
            optimizer.zero_grad()
        (terms["supervised_unet"] + terms["supervised_sam"]).backward()
        for optimizer in optimizers:
            optimizer.step()
    assert terms["supervised_unet"] < 0.1 and terms["supervised_sam"] < 0.5


# ---- with a SAM


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
    data = {"dataset_dir": str(phantoms_2d), **SAM_RUN}
    run_tiny("synfoc_segmentation", **data, **{"sam#checkpoint": str(checkpoint), "learning_rate_sam": 0.1})
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    assert not any("lora" in name for name in state)
    trained = torch.load(tmp_path / "resume.pt", weights_only=True)["objective"][0]
    prefix = "students.sam."
    network = pair(checkpoint)["sam"]
    network.load_state_dict({k[len(prefix) :]: v for k, v in trained.items() if k.startswith(prefix)})
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

    run_tiny("synfoc_segmentation", "evaluate", **data, split="test")
    assert (tmp_path / "test" / "summary.json").is_file()


def test_a_missing_checkpoint_is_named_before_anything_is_written(phantoms_2d, run_tiny, tmp_path):
    options = {"dataset_dir": str(phantoms_2d), **SAM_RUN, "sam#checkpoint": "nowhere.pth"}
    with pytest.raises(Exception) as caught:
        run_tiny("synfoc_segmentation", **options)
    assert "nowhere.pth: no such file" in str(find_explained(caught.value))
    assert list(tmp_path.iterdir()) == []


# ---- data sets in their own layouts


def picture(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, np.uint8)).save(path)


def write_split_folders(root, domains, codes, inner=""):
    """Images whose mask is a square of every foreground code on the background's, the last."""
    for domain in domains:
        for split in ("train", "test"):
            for n in range(4):
                folder = root / domain / split / inner
                grey = np.random.default_rng(n).integers(0, 256, (40, 36))
                mask = np.full((40, 36) + np.shape(codes[-1]), codes[-1])
                for k, code in enumerate(codes[:-1]):
                    mask[5 + 8 * k : 12 + 8 * k, 6:20] = code
                picture(folder / "image" / f"00000{n}.png", np.repeat(grey[..., None], 3, 2) if inner else grey)
                picture(folder / "mask" / f"00000{n}.png", mask)


def write_busi(root):
    for domain in ("benign", "malignant"):
        for n in range(1, 6):
            picture(root / domain / f"{domain} ({n}).png", np.full((40, 36, 3), 20 * n))
            mask = np.zeros((40, 36))
            mask[4:20, 4:20] = 255
            picture(root / domain / f"{domain} ({n})_mask.png", mask)
            picture(root / domain / f"{domain} ({n})_mask_1.png", mask.T[:36].repeat(2, 0)[:40, :36])


def write_acdc(root):
    (root / "data" / "slices").mkdir(parents=True)
    slices = [f"patient00{p}_frame01_slice_{z}" for p in (1, 2, 3) for z in (1, 2)]
    for name in [*(f"slices/{s}" for s in slices), "patient008_frame01"]:
        shape = (40, 36) if "slice" in name else (3, 40, 36)
        with h5py.File(root / "data" / f"{name}.h5", "w") as file:
            file["image"], file["label"] = np.random.rand(*shape).astype(np.float32), np.random.randint(0, 4, shape)
    (root / "train_slices.list").write_text("\n".join(slices), encoding="utf-8")
    (root / "val.list").write_text("patient008_frame01", encoding="utf-8")


def write_mscmr(root):
    for domain, split in product(("C0", "LGE"), ("train", "test")):
        (root / domain / split).mkdir(parents=True)
        for n in range(2):
            for ending, values in (("", np.arange(900)), ("_manual", np.array([0, 200, 500, 600], np.int16))):
                array = np.random.default_rng(n).choice(values, (30, 24, 3)).astype(np.int16)
                path = root / domain / split / f"{split}{n}{ending}.nii.gz"
                nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)


SETS = {
    "prostate": (lambda root: write_split_folders(root, ["BIDMC", "BMC"], [0, 255]), {"labeled": 2}, "test", 8),
    "fundus": (lambda root: write_split_folders(root, ["Domain1", "Domain2"], [0, 128, 255], "ROIs"), {"labeled": 2},
               "test", 8),
    "mnms": (lambda root: write_split_folders(root, ["vendorA", "vendorB"],
                                              [(255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)]), {"labeled": 2},
             "test", 8),
    "busi": (write_busi, {"labeled": 2}, "test", 2),
    "busi_quick": (lambda root: write_phantom_domains(root, Phantom((40, 36)), domains=2, train=4, validation=0),
                   {"labeled": 2, "validation": 1, "encoding": "index", "labeled_domain": "site_0"}, "validation", 2),
    "acdc": (write_acdc, {"labeled": 2}, "validation", 1),
    "mscmr": (write_mscmr, {}, "test", 4),
}  # fmt: skip


@pytest.mark.parametrize("name", SETS)
def test_a_data_set_trains_and_is_evaluated_in_its_own_layout(name, run_tiny, tmp_path):
    write, options, split, cases = SETS[name]
    data = tmp_path / "data"
    write(data)
    options = {"dataset_dir": str(data), "sam#kind": "none", "base_channels": 4, **options}
    run_tiny("synfoc_segmentation", name, **options)
    run_tiny("synfoc_segmentation", name, "evaluate", **options, split=split, metric_size=[16, 16] if name == "prostate"
             else None)  # fmt: skip
    summary = json.loads((tmp_path / split / "summary.json").read_text(encoding="utf-8"))
    assert summary["cases"] == cases and summary["domains"]
    assert set(summary["classes"]) == ({"cup", "disc"} if name == "fundus" else set(summary["classes"]))


@pytest.mark.parametrize("name", [*SETS, "demo"])
def test_a_data_set_fits_on_top_of_inference(name):
    configs = BUNDLES / "synfoc_segmentation" / "configs"
    files = [str(configs / f"{layer}.yaml") for layer in ("inference", name)]
    workflow = ConfigWorkflow(files, logging_file=False, workflow_type="infer", **{"sam#kind": "none"})
    assert workflow.parser.get_parsed_content("inferer").size == tuple(workflow.parser.get("patch_size"))
