"""SS-Net's published functions, by the presets ``official`` (3D) and ``official_2d``."""

from unittest.mock import patch

import torch

from common.transforms import Batch

from ..recorded import Record, fill, gradient, preset, tiny_definition
from ..shared3d import comparisons as shared
from ..table import Source, Table

TABLE = Table(
    "ssnet",
    presets="la + official, acdc + official_2d",
    sources={
        "SS-Net": Source("ycwu1997/SS-Net", "c0a8bf6e535ad1166ff8f3f871dc5cb9273e4573", "MIT"),
        "medpy": Source("loli/medpy (PyPI)", "0.5.2", "GPL-3.0"),
    },
    repaired=(
        ("The largest component of an empty prediction stops the published evaluation; here it stays empty.", None),
        (
            "The search for the perturbation leaves gradients in the parameters, which that script zeroes later; here "
            "it leaves none.",
            None,
        ),
    ),
    missing=(
        "networks with active dropout: its masks are drawn, so the layers are there but off",
        "gradients of the memory selectors: zero in the published code, as the presets leave them",
        "reading of files, random crops and symmetries, the sampler that is rebuilt every other step",
        "code/test_ACDC.py: evaluation of slices, and the choice of the checkpoint by the test list",
    ),
)
LAYERS = {3: ("la", "official"), 2: ("acdc", "official_2d")}


def config_of(dims, channels=16, **options):
    classes = 2 if dims == 3 else 4
    network = tiny_definition(dims, channels, classes)
    sizes = {"network_def": network, "base_channels": channels, "num_classes": classes}
    return preset("ssnet", *LAYERS[dims], **sizes, lds_patch=None, **options)


def uniform(record, name):
    """Feed the recorded numbers where the smoothness term draws its start."""
    return patch.object(torch, "rand_like", lambda x: record[name].to(x))


def named_heads(separation, memory=False):
    """Heads by their recorded names; statistics under ``_mean`` and ``_var``."""
    heads = {"projector": separation.projector, "predictor": separation.predictor}
    heads |= {f"selector{c}": head for c, head in enumerate(separation.feature_selectors)}
    if memory:
        heads |= {f"memory_selector{c}": head for c, head in enumerate(separation.memory_selectors)}
    parts = {"linear1": 0, "norm": 1, "linear2": 3}
    found = {}
    for name, head in heads.items():
        for part, place in parts.items():
            found |= {f"{name}_{part}_{kind}": p for kind, p in head[place].named_parameters()}
        found |= {f"{name}_norm_mean": head[1].running_mean, f"{name}_norm_var": head[1].running_var}
    return found


def supervised(record, dims):
    loss_of, z = config_of(dims).get_parsed_content("objective#supervised"), record["in_logits"].requires_grad_()
    loss = loss_of(z, record["in_label"])
    yield "loss", record.difference("loss", loss), 1e-6
    yield "gradient", record.difference("grad_logits", *gradient(loss, z)), 1e-7


@TABLE.of("code/utils/losses.py: Binary_dice_loss", note="as code/train_ss_3d.py calls it; one empty label")
def dice_binary(record: Record):
    yield from supervised(record, 3)


@TABLE.of("code/utils/losses.py: DiceLoss", note="as code/train_ss_2d.py calls it; one label lacks a class")
def dice_multiclass(record: Record):
    yield from supervised(record, 2)


def smoothness(record, dims):
    config = config_of(dims, record["in_conv_bias"].numel())
    network, term = config.get_parsed_content("network").train(), config.get_parsed_content("lds")
    assert (term.eps, term.xi) == (record["in_eps"].item(), record["in_xi"].item())
    fill(network.named(), record)
    inputs = []
    network.register_forward_pre_hook(lambda module, arguments: inputs.append(arguments[0].detach()))
    x = record["in_image"]
    with uniform(record, "in_uniform_draw"):
        loss = term(network, x, None)
    parameters = {name: p for name, p in network.named().items() if p.requires_grad}
    grads = dict(zip(parameters, gradient(loss, *parameters.values())))
    yield "loss", record.difference("loss", loss), 1e-6
    yield "passes", record.difference("passes", len(inputs)), 0
    yield "perturbation", record.difference("perturbation", inputs[-1] - x), 2e-5
    yield "parameter gradients", record.worst("grad_", grads), 2e-5  # as the perturbation, which they follow
    statistics = {f"{name}_after": network.named()[name] for name in ("norm_mean", "norm_var")}
    yield "batch-norm statistics", record.worst("", statistics), 1e-6


@TABLE.of("code/utils/losses.py: VAT3d")
def lds_3d(record: Record):
    yield from smoothness(record, 3)


@TABLE.of("code/utils/losses.py: VAT2d")
def lds_2d(record: Record):
    yield from smoothness(record, 2)


def as_a_set(rows):
    """Rows in one order, whatever order they came in."""
    return rows[torch.argsort(rows[:, 0])]


def memories(record, separation, start):
    """Difference in number and in value of the prototypes."""
    counts, values = [record.difference(f"{start}stored0", int(separation.stored[0]))], [0.0]
    for c in range(1, separation.classes):
        stored = int(separation.stored[c])
        counts.append(record.difference(f"{start}stored{c}", stored))
        found, recorded = separation.memory[c, :stored].double(), record[f"out_{start}memory{c}"]
        values.append(float((as_a_set(found) - as_a_set(recorded)).abs().max()) if stored else 0.0)
    return max(counts), max(values)


def separation(record, dims):
    term = config_of(dims).get_parsed_content("separation").train()
    fill(named_heads(term, memory=True), record)
    for step in (1, 2, 3):
        start = f"step{step}_"
        features = record[f"in_{start}features"].requires_grad_()
        label, prediction = record[f"in_{start}label"].long(), record[f"in_{start}logits"].argmax(dim=1)
        loss = term(features, prediction, label)
        recorded = record[f"out_{start}loss_labeled"] + record[f"out_{start}loss_unlabeled"]
        yield "loss", abs(loss.item() - recorded.item()), 1e-6
        yield "gradient of features", record.difference(f"{start}grad_features", *gradient(loss, features)), 1e-7
        counts, values = memories(record, term, start)
        yield "memory count", counts, 0
        yield "memory", values, 2e-6
        heads = {name: p for name, p in named_heads(term).items() if p.requires_grad}
        grads = dict(zip(heads, gradient(loss, *heads.values())))
        grads = {name: g for name, g in grads.items() if name in record.names(f"out_{start}grad_")}
        if grads:
            yield "gradient of heads", record.worst(f"{start}grad_", grads), 1e-6
    for what, heads in {
        "statistics of projector, predictor": ("projector", "predictor"),
        "statistics of background selector": ("selector0",),
        "statistics of selectors": tuple(f"selector{c}" for c in range(1, term.classes)),
    }.items():
        found = {n: v for n, v in named_heads(term).items() if n.startswith(heads) and n.endswith(("_mean", "_var"))}
        yield what, record.worst("after_", found), 2e-6


@TABLE.of(
    "code/utils/feature_memory.py: FeatureMemory",
    "code/utils/contrastive_losses.py: contrastive_class_to_class_learned_memory",
    note="with the lines of code/train_ss_3d.py; three iterations, the second without a candidate",
)
def separation_2class_3d(record: Record):
    yield from separation(record, 3)


@TABLE.of(
    "code/utils/feature_memory.py: FeatureMemory",
    "code/utils/contrastive_losses.py: contrastive_class_to_class_learned_memory",
    note="with the lines of code/train_ss_2d.py; the same",
)
def separation_4class_2d(record: Record):
    yield from separation(record, 2)


@TABLE.of(
    "code/train_ss_3d.py: get_current_consistency_weight",
    "code/train_ss_2d.py: get_current_consistency_weight",
    "code/utils/ramps.py: sigmoid_rampup",
    note="and the rules of the learning rate",
)
def schedules(record: Record):
    for dims in (3, 2):
        config = config_of(dims)
        objective, optimizer = (config.get_parsed_content(name) for name in ("objective", "optimizer"))
        scheduler, rates = config.get_parsed_content("lr_scheduler"), [optimizer.param_groups[0]["lr"]]
        steps = record[f"in_steps_{dims}d"].tolist()
        optimizer.step()
        for _ in range(steps[-1]):
            scheduler.step()
            rates.append(optimizer.param_groups[0]["lr"])
        for what, term in (("smoothness", "lds"), ("separation", "separation")):
            found = [objective.weight(term, step) for step in steps]
            yield f"{dims}d: {what} weight", record.difference(f"{what}_weight_{dims}d", found), 1e-12
        found = [rates[step - 1] for step in steps]
        yield f"{dims}d: learning rate", record.difference(f"learning_rate_{dims}d", found), 1e-12


def steps(record, dims):
    config = config_of(dims)
    objective, optimizer = (config.get_parsed_content(name) for name in ("objective", "optimizer"))
    objective.train()
    fill(objective.network.named(), record)
    fill(named_heads(objective.separation, memory=True), record)
    first = int(record["in_first_step"])
    for number in (1, 2, 3):
        start, step = f"step{number}_", first + number - 1
        batch = Batch(record[f"in_{start}image"], record[f"in_{start}label"].unsqueeze(1))
        with uniform(record, f"in_{start}uniform_draw"):
            terms = objective(batch, step)
        total = objective.total(terms, step)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        for what, term in (("supervised", "supervised"), ("smoothness", "lds"), ("separation", "separation")):
            yield what, record.difference(f"{start}{what}", terms[term]), 3e-6
        yield "weight", record.difference(f"{start}weight", objective.weight("lds", step)), 1e-12
        yield "total", record.difference(f"{start}total", total), 5e-6
    yield "network after", record.worst("after_", objective.network.named()), 5e-6
    heads = named_heads(objective.separation)
    background = {name: value for name, value in heads.items() if name.startswith("selector0")}
    others = {name: value for name, value in heads.items() if name not in background}
    yield "heads after", record.worst("after_", others), 5e-6
    yield "background selector after", record.worst("after_", background), 5e-6
    counts, values = memories(record, objective.separation, "after_")
    yield "memory count", counts, 0
    yield "memory", values, 5e-6


@TABLE.of("code/train_ss_3d.py: train", note="three whole iterations")
def steps_3d(record: Record):
    yield from steps(record, 3)


@TABLE.of("code/train_ss_2d.py: train", note="three whole iterations")
def steps_2d(record: Record):
    yield from steps(record, 2)


TABLE.of("code/networks/VNet.py: VNet", note="dropout off; gradient in float64", folder="shared3d")(shared.vnet)
TABLE.of("code/networks/unet.py: UNet", note="the same", folder="shared3d")(shared.unet2d)
TABLE.of(
    "code/utils/test_3d_patch.py: test_single_case",
    note="three volumes, some smaller than the window",
    folder="shared3d",
    name="sliding_window",
)(shared.windows_of_one)
TABLE.of("code/utils/test_3d_patch.py: getLargestCC", note="the last of four masks is a tie", folder="shared3d")(
    shared.largest_component
)
TABLE.of("code/utils/test_3d_patch.py: calculate_metric_percase", folder="shared3d", name="metrics")(
    shared.published_evaluation
)
TABLE.of(
    "metric.binary: dc, jc, hd95, asd",
    note="twelve pairs of masks, some empty",
    source="medpy",
    folder="shared3d",
    name="metrics",
)(shared.metrics)
