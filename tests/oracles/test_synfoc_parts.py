"""SynFoC: the parts of the published step one by one, and its schedules."""

import pytest
import torch
from ignite.engine import Engine, Events
from synfoc import masked_loss
from torch import nn

from common.networks import make_teacher
from common.transforms import resize_image, resize_nearest

from .records import GRADIENT, TERM, near, preset, read, same


def objective(**options):
    options = {"base_channels": 2, "patch_size": [16, 16], "sam#kind": "none", **options}
    return preset("synfoc_segmentation", "official", **options).get_parsed_content("objective")


@pytest.fixture(scope="module")
def official():
    return objective()


@pytest.mark.parametrize("case", range(10))
def test_both_published_resizings(case, official):
    record = {k[2:]: v for k, v in read("synfoc", "resize").items() if k.startswith(f"{case}_")}
    old, new = int(record["from"]), int(record["to"])
    place = torch.arange(old).view(1, 1, old)
    settings = official.settings
    same(official.resize(place, [new])[0, 0], record["index_in_step"])
    same(resize_nearest(place, [new], settings.resample_labels)[0, 0], record["index_in_loader"])
    if "in" not in record:
        return
    maps = record["in"][:, None]
    same(official.resize(maps, (new, new))[:, 0], record["map_in_step"])
    same(official.label_at(maps[1:], torch.empty(0, 0, new, new))[0, 0], record["label_in_loader"])
    image = resize_image(maps[:1] / 255, (new, new), settings.resample)
    same((255 * image).round()[0, 0], record["image_in_loader"])


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_weight_of_the_blend(classes):
    record = {k[3:]: v for k, v in read("synfoc", "alpha").items() if k.startswith(f"C{classes}_")}
    parts = {3: {"cup": [1], "disc": [1, 2]}}.get(classes)
    method = objective(num_classes=classes, parts=parts)
    maps = [record[f"in_{name}"].long() for name in ("unet_student", "unet_teacher", "sam_teacher")]
    same(method.resize(maps[1][:, None], (16, 16))[:, 0], record["unet_teacher_s"])
    every = method.smc.parts
    for mode in ("self", "mutual", "smc"):
        method.smc.mode, method.smc.parts = mode, every
        near(method.smc(*maps, 1, method.resize), record[mode], 1e-6)
        for number, part in enumerate(every if mode != "smc" else []):
            method.smc.parts = [part]
            near(method.smc(*maps, 1, method.resize), record[f"{mode}_parts"][number], 1e-6)


@pytest.mark.parametrize("kind", ["no_mask", "mask", "mask_empty", "absent_class", "tiny"])
@pytest.mark.parametrize("classes", [2, 4])
def test_masked_loss_and_its_gradient(kind, classes, official):
    prefix = f"C{classes}_{kind}_"
    record = {k.removeprefix(prefix): v for k, v in read("synfoc", "masked_loss").items() if k.startswith(prefix)}
    logits, settings = nn.Parameter(record["in_logits"]), official.settings
    mask = None if kind == "no_mask" else record["in_mask"].bool()
    loss = masked_loss(logits, record["in_target"], mask, settings.mask_background, settings.dice_eps)
    near(loss, record["dice"] + record["ce"], TERM)
    loss.backward()
    near(logits.grad, record["grad"], GRADIENT)


@pytest.mark.parametrize("case", range(4))
def test_consensus_and_divergence(case, official):
    record = {k[2:]: v for k, v in read("synfoc", "cdcr").items() if k.startswith(f"{case}_")}
    sam, unet = (nn.Parameter(record[f"in_logits_{name}"]) for name in ("sam", "unet"))
    terms = official.cdcr(sam, unet, official.resize)
    p, q = sam.softmax(1), unet.softmax(1)
    agree = (official.resize(p, q.shape[2:]).argmax(1) == q.argmax(1))[:, None]
    same(agree, record["map_agree_P"])
    same(official.resize(agree, p.shape[2:]), record["map_agree_s"])
    near(terms["agreement"], record["map_agree_P"].float().mean(), 1e-6)
    for term in ("consensus", "divergence"):
        near(terms[term], record[f"out_{term}"], TERM)
        for name, gradient in zip(("sam", "unet"), torch.autograd.grad(terms[term], (sam, unet), retain_graph=True)):
            near(gradient, record[f"grad_{term}_{name}"], GRADIENT)


@pytest.mark.parametrize("iterations", [60000, 30000, 1000, 750])
def test_ramp(iterations):
    record = read("synfoc", "sequences")
    method = objective(iterations=iterations, epoch_length=1)
    steps, weights = (record[f"ramp_{iterations}_{name}"] for name in ("iterations_from_0", "weight"))
    near([method.weight("consensus", int(step) + 1) for step in steps], weights, 1e-12)


def test_moving_average():
    """The first update copies the student, so where the teacher starts does not matter."""
    record, student = read("synfoc", "sequences"), nn.Linear(8, 1, bias=False)
    teacher = make_teacher(student)
    options = {"students": student, "teachers": teacher, "ema_decay": float(record["ema_decay"])}
    parser = preset("synfoc_segmentation", "official", **options)
    (place,) = (n for n, h in enumerate(parser["train"]["handlers"]) if h["_target_"].endswith("EMAHandler"))
    found, shares = [], []

    def step(engine, weights):
        student.weight.data[0] = weights

    def note(engine):
        found.append(teacher.weight[0].detach().clone())
        shares.append(1 - engine.state.ema_momentum)

    engine = Engine(step)
    parser.get_parsed_content(f"train#handlers#{place}").attach(engine)
    engine.add_event_handler(Events.ITERATION_COMPLETED, note)
    engine.run(list(record["ema_students"]))
    assert torch.equal(torch.stack(found), record["ema_teachers"])
    near(shares, record["ema_alpha"], 1e-12)
