"""SynFoC's published functions, by what ``official.yaml`` builds on the layer of a data set."""

from unittest.mock import patch

import synfoc.objective
import torch
from ignite.engine import Engine, Events
from synfoc import masked_loss
from torch import nn

from common.networks import make_teacher
from common.transforms import Batch, resize_image, resize_nearest

from ..recorded import Record, gradient, preset
from ..recorded_2d import GRADIENT, TERM, TOTAL, Recorded, levels, part
from ..table import Source, Table
from .evaluation import evaluation, test_time

TABLE = Table(
    "synfoc",
    presets="prostate or mnms + official",
    sources={
        "SynFoC": Source("MQinghe/SynFoC", "3f3c06a6354292681c40383fdd89cecde78b1666", "Apache-2.0"),
    },
    repaired=(
        ("The script reads an option that its parser lacks, and stops; the loop was run without it.", None),
        ("Elastic deformation draws from the system's entropy; here from the seed.", None),
        ("One loop variable is used twice in the evaluation; means are of all images here.", None),
        ("The best weights are chosen on the test images; here on a validation list, by the same score.", None),
    ),
    missing=(
        "networks/unet_model.py and the SAM with LoRA: the networks' answers are inputs, their counts of parameters "
        "are tested",
        "update_SAM_ema_variables: the rule of update_Unet_ema_variables for other tensors",
        "weak and strong augmentation: one resampling here, four in 256 levels there",
        "autocast in float16; the loaders of ACDC and MS-CMRSeg",
    ),
)

KINDS = ("no_mask", "mask", "mask_empty", "absent_class", "tiny")


def objective(**options):
    options = {"base_channels": 2, "patch_size": [16, 16], "sam#kind": "none", **options}
    return preset("synfoc", "prostate", "official", **options).get_parsed_content("objective")


def objective_of_step(record, **options):
    """At the sizes of the record, on networks that answer what was recorded."""
    large, side = int(record["in_S"]), int(record["in_P"])
    parts = {str(n): row.nonzero().flatten().tolist() for n, row in enumerate(record["in_parts"])}
    sizes = {"unet": [side, side], "sam": [large, large]}
    options |= {"iterations": int(record["in_iterations"]), "epoch_length": 1, "tau": float(record.arrays["in_tau"])}
    classes = int(record["in_classes"])
    method = objective(num_classes=classes, parts=parts, patch_size=[side, side], sizes=sizes, **options)
    logits = part(record, "logits_")
    method.students = nn.ModuleDict({
        "unet": Recorded(*(logits[f"unet_{name}"] for name in ("student_weak", "labeled", "mixed"))),
        "sam": Recorded(*(logits[f"sam_{name}"] for name in ("labeled", "mixed"))),
    })  # fmt: skip
    teachers = {name: Recorded(logits[f"{name}_teacher"]) for name in ("unet", "sam")}
    method.teachers = nn.ModuleDict(teachers).requires_grad_(False)
    box = method.box.apply(record["in_boxes"].long().view(-1, 2, 2), (side, side))
    method.strong, method.box = (lambda image: image), (lambda reference: box)
    return method


def batch_of(record):
    images = torch.cat([record["in_image_labeled"], record["in_image_strong"]]) / 255
    return Batch(images, record["in_label"][:, None])


@TABLE.of(
    "code/train.py: train",
    "code/train.py: obtain_cutmix_box",
    "code/train.py: get_current_consistency_weight",
    "code/utils/losses.py: DiceLossWithMask",
    note="one iteration, the networks answer what was recorded; two to four classes, nested parts, saturated logits",
)
def step(record: Record):
    for joint in ([], ["sam"]):
        yield from terms_of_step(record, joint)
    yield from maps_of_step(record)


def terms_of_step(record, joint):
    """Images, targets, terms and gradients of a whole step; SAM's passes apart or joined."""
    method, number = objective_of_step(record, joint_batch=joint), int(record["in_step"])
    calls, loss = [], synfoc.objective.masked_loss

    def watched(logits, target, mask=None, *arguments, **options):
        calls.append((target[:, 0], mask))
        return loss(logits, target, mask, *arguments, **options)

    with patch.object(synfoc.objective, "masked_loss", watched):
        terms = method(batch_of(record), number)
    for name in method.TERMS:
        yield name, record.difference(name, terms[name]), TERM
    total = method.total(terms, number)
    yield "total", record.difference("total", total), TOTAL
    yield "weight", record.difference("weight", method.weight("pseudo_unet", number)), 1e-12
    unet, sam = (method.students[name].answers for name in ("unet", "sam"))
    grads = gradient(total, *unet, *sam)
    assert not grads[0].any()  # the pass that the blend needs has no gradient
    for name, grad in zip(("unet_labeled", "unet_mixed", "sam_labeled", "sam_mixed"), grads[1:], strict=True):
        yield f"gradient {name}", record.difference(f"grad_{name}", grad), GRADIENT
    weak, labeled, mixed = map(levels, method.students["unet"].seen)
    shown = {"image_strong_P": weak, "image_labeled_P": labeled, "mixed_P": mixed}
    shown["mixed_S"] = levels(torch.cat(method.students["sam"].seen)[len(weak) :])
    (target_p, mask_p), (target_s, mask_s) = (call for call in calls if call[1] is not None)
    shown |= {"target_P": target_p, "mask_P": mask_p, "target_s": target_s, "mask_s": mask_s}
    for name, value in shown.items():
        yield name, record.difference(name, value), 0


def maps_of_step(record):
    """The maps on the way, by the methods that make them."""
    method, label = objective_of_step(record), record["in_label"][:, None]
    large, side, small = ((int(record[f"in_{name}"]),) * 2 for name in ("S", "P", "s"))
    box = method.box(None)
    found = {"box_P": box, "box_S": method.resize(box, large), "box_s": method.resize(box, small)}
    for size, name in ((side, "P"), (small, "s")):
        found[f"label_{name}"] = method.label_at(label, torch.empty(0, 0, *size))[:, 0]
    logits = part(record, "logits_")
    unet, sam = (logits[f"{name}_teacher"].softmax(1).argmax(1) for name in ("unet", "sam"))
    student = logits["unet_student_weak"].softmax(1).argmax(1)
    found |= {"classes_unet_teacher": unet, "classes_sam_teacher": sam, "classes_unet_student": student}
    found["classes_unet_teacher_s"] = method.resize(unet[:, None], small)[:, 0]
    blends, _ = method.teach(batch_of(record).image[len(label) :], int(record["in_step"]))
    at_sam = synfoc.objective.resize_linear(blends["sam"], small)
    found |= {"pseudo_P": blends["unet"].argmax(1), "pseudo_s": at_sam.argmax(1)}
    found |= agreement(method, logits["sam_mixed"], logits["unet_mixed"])
    for name, value in found.items():
        yield name, record.difference(name, value), 0
    yield "blend_P", record.difference("blend_P", blends["unet"][:, 1:, ::2, ::2]), 1e-6
    yield "blend_s", record.difference("blend_s", at_sam[:, 1:]), 1e-6
    for mode, name in (("self", "alpha_self"), ("mutual", "alpha_mutual"), ("smc", "alpha")):
        method.smc.mode = mode
        yield name, record.difference(name, method.smc(student, unet, sam, 1, method.resize)), 1e-6


def agreement(method, sam, unet):
    agree = (method.resize(sam.softmax(1), unet.shape[2:]).argmax(1) == unet.argmax(1))[:, None]
    return {"agree_P": agree, "agree_s": method.resize(agree, sam.shape[2:])}


@TABLE.of(
    "code/dataloaders/custom_transforms.py: ToTensor",
    "code/train.py: train",
    note="indices and maps by the loader and in the step",
)
def resize(record: Record):
    method = objective()
    for case in map(str, range(int(record["in_cases"]))):
        given = part(record, f"{case}_")
        new, place = int(given["to"]), torch.arange(int(given["from"])).view(1, 1, -1)
        rule = method.settings.resample_labels
        found = {
            "index_in_step": method.resize(place, [new])[0, 0],
            "index_in_loader": resize_nearest(place, [new], rule)[0, 0],
        }
        if "maps" in given:
            maps = given["maps"][:, None]
            image = resize_image(maps[:1] / 255, (new, new), method.settings.resample)
            found |= {
                "map_in_step": method.resize(maps, (new, new))[:, 0],
                "label_in_loader": method.label_at(maps[1:], torch.empty(0, 0, new, new))[0, 0],
                "image_in_loader": levels(image)[0, 0],
            }
        for name, value in found.items():
            yield f"{name} {int(given['from'])} to {new}", record.difference(f"{case}_{name}", value), 0


@TABLE.of(
    "code/utils/metrics.py: dice_coeff",
    "code/utils/metrics.py: dice_coeff_2label",
    "code/utils/metrics.py: dice_coeff_3label",
    note="with the lines of train; six samples, some with empty maps",
)
def alpha(record: Record):
    for classes in (2, 3, 4):
        parts = {3: {"cup": [1], "disc": [1, 2]}}.get(classes)
        prefix, method = f"C{classes}_", objective(num_classes=classes, parts=parts)
        given = part(record, prefix)
        maps = [given[name].long() for name in ("unet_student", "unet_teacher", "sam_teacher")]
        small = method.resize(maps[1][:, None], (16, 16))[:, 0]
        yield "classes at SAM's size", record.difference(f"{prefix}unet_teacher_s", small), 0
        every = method.smc.parts
        for mode in ("self", "mutual", "smc"):
            method.smc.mode, method.smc.parts = mode, every
            weight = method.smc(*maps, 1, method.resize)
            yield f"{mode}, {classes} classes", record.difference(f"{prefix}{mode}", weight), 1e-6
            if mode != "smc":
                alone = [weight_of_part(method, members, maps) for members in every]
                yield f"parts of {mode}", record.difference(f"{prefix}{mode}_parts", torch.stack(alone)), 1e-6


def weight_of_part(method, members, maps):
    method.smc.parts = [members]
    return method.smc(*maps, 1, method.resize)


@TABLE.of(
    "code/utils/losses.py: DiceLossWithMask",
    note="and the cross-entropy that train adds",
    name="masked_loss",
)
def masked_loss_of(record: Record):
    settings = objective().settings
    for classes in (2, 4):
        for kind in KINDS:
            name, given = f"C{classes}_{kind}", part(record, f"C{classes}_{kind}_")
            logits, mask = given["logits"].requires_grad_(), None if kind == "no_mask" else given["mask"].bool()
            loss = masked_loss(logits, given["target"], mask, settings.mask_background, settings.dice_eps)
            both = record[f"out_{name}_dice"] + record[f"out_{name}_ce"]
            yield name, float((loss.detach() - both).abs()), TERM
            yield f"gradient {name}", record.difference(f"{name}_grad", *gradient(loss, logits)), GRADIENT


@TABLE.of(
    "code/train.py: train",
    note="consensus and divergence; the last case is saturated",
)
def cdcr(record: Record):
    method = objective()
    for case in map(str, range(int(record["in_cases"]))):
        given = part(record, f"{case}_")
        sam, unet = (given[f"logits_{name}"].requires_grad_() for name in ("sam", "unet"))
        terms = method.cdcr(sam, unet, method.resize)
        for name, value in agreement(method, sam, unet).items():
            yield name, record.difference(f"{case}_{name}", value), 0
        for term in ("consensus", "divergence"):
            yield term, record.difference(f"{case}_{term}", terms[term]), TERM
            for name, grad in zip(("sam", "unet"), gradient(terms[term], sam, unet)):
                yield f"gradient of {term}", record.difference(f"{case}_grad_{term}_{name}", grad), GRADIENT


@TABLE.of(
    "code/train.py: get_current_consistency_weight",
    "code/utils/ramps.py: sigmoid_rampup",
    "code/train.py: update_Unet_ema_variables",
)
def sequences(record: Record):
    for iterations in (60000, 30000, 1000, 750):
        method = objective(iterations=iterations, epoch_length=1)
        steps = record[f"in_ramp_{iterations}_iterations_from_0"].tolist()
        weights = [method.weight("consensus", step + 1) for step in steps]
        yield f"ramp of {iterations}", record.difference(f"ramp_{iterations}_weight", weights), 1e-12
    student = nn.Linear(8, 1, bias=False)
    teacher, found, shares = make_teacher(student), [], []
    config = preset("synfoc", "official", students=student, teachers=teacher)
    assert config["ema_decay"] == record.arrays["in_ema_decay"]
    (place,) = (n for n, h in enumerate(config["train"]["handlers"]) if h["_target_"].endswith("EMAHandler"))

    def train(engine, weights):
        student.weight.data[0] = weights

    def note(engine):
        found.append(teacher.weight[0].detach().clone())
        shares.append(1 - engine.state.ema_momentum)

    engine = Engine(train)
    config.get_parsed_content(f"train#handlers#{place}").attach(engine)
    engine.add_event_handler(Events.ITERATION_COMPLETED, note)
    engine.run(list(record["in_ema_students"]))  # the first update copies the student: the start does not matter
    yield "average", record.difference("ema_teachers", torch.stack(found)), 0
    yield "decay", record.difference("ema_alpha", shares), 1e-12


TABLE.of(
    "code/dataloaders/dataloader.py: ProstateSegmentation",
    "code/dataloaders/dataloader.py: MNMSSegmentation",
    "code/segment_anything/modeling/sam.py: Sam.postprocess_masks",
    "code/test.py: test",
    note="resizing of files, by Lanczos' filter and linearly, and of predictions",
)(test_time)
TABLE.of("code/test.py: test", "code/utils/metrics.py: dice_coeff", note="some predictions are empty")(evaluation)
