"""DualNet's published functions, by the presets ``official`` and ``official_repaired``."""

import torch
from dualnet.pseudo_labels import joint_label
from torch.nn import functional as F

from common.transforms import Batch

from ..recorded import Record, fill, gradient, preset, rates_at, tiny_definition
from ..shared3d import comparisons as shared
from ..table import Source, Table

TABLE = Table(
    "dualnet",
    presets="la + official (+ official_repaired)",
    sources={
        "DualNet": Source("AIPMLab/Semi-supervised-Segmentation", "ff4161c215faaec2408d4712f5a829de69162d81", "none"),
        "MCF": Source("WYC-321/MCF", "ad20659b9842dbc8fbcaca307ee7d7fec34938f6", "MIT"),
    },
)


def config_of(*layers, **options):
    tiny = [tiny_definition(3, 16, 2)] * 2
    return preset(
        "dualnet",
        "la",
        "official",
        *layers,
        network_def={"_target_": "dualnet.MeanSoftmax", "networks": tiny},
        **options,
    )


def objective_of(*layers, **options):
    return config_of(*layers, **options).get_parsed_content("objective").train()


def pair_of(record, first="first", second="second"):
    return tuple(record[f"in_logits_{name}"].requires_grad_() for name in (first, second))


@TABLE.of("train_LA.py: uncertainty_rectified_loss")
def peer_supervision(record: Record):
    config, pair = config_of(), pair_of(record)
    assert config["temperature"] == record["in_temperature"].item()
    loss = config.get_parsed_content("objective").parts["ue"](pair)
    first, second = gradient(loss, *pair)
    yield "loss", record.difference("loss", loss), 1e-6
    yield "gradient", record.difference("grad_first", first), 1e-7
    yield "no gradient in second", float(second.abs().max()), 0


def without_effect(pair):
    """The published mistake: entropies of logits are NaN and filter nothing; probabilities stand in for logits."""
    target = pair[0].argmax(dim=1) | pair[1].argmax(dim=1)
    return target, [F.cross_entropy(logits.detach().softmax(dim=1), target) for logits in pair]


@TABLE.of(
    "train_LA.py: compute_uxi_loss_with_mean_teacher",
    note="as the loop calls it, and fed with logits and probabilities where they belong",
)
def filtered_supervision(record: Record):
    pair = pair_of(record)
    for alpha in (20, 70):
        objective, start = objective_of("official_repaired", alpha=alpha), f"repaired{alpha}_"
        loss, share = objective.parts["efs"](pair)
        recorded = record[f"out_{start}first"] + record[f"out_{start}second"]
        yield f"repaired, percentile {alpha}: loss", abs(loss.item() - recorded.item()), 2e-6
        grads = dict(zip(("grad_first", "grad_second"), gradient(loss, *pair)))
        yield f"repaired, percentile {alpha}: gradient", record.worst(start, grads), 1e-7
        kept = objective.parts["efs"].valid(pair)
        wrong = int((kept != (record[f"out_{start}target"] != 2)).sum())
        yield f"repaired, percentile {alpha}: kept voxels that differ", wrong, 0
        yield f"repaired, percentile {alpha}: factor", record.difference(f"{start}factor", 1 / share), 1e-6
    target, losses = without_effect(pair)
    yield "as published: target *", record.difference("published_target", target), 0
    for name, loss in zip(("first", "second"), losses):
        yield "as published: loss *", record.difference(f"published_{name}", loss), 2e-6


def loss_without(term, pair, features):
    """The prototype term of the loser without the distance between prototypes."""
    term.proto_term = "none"
    return term.one_net(pair[0], features, term.reliable_voxels(pair), joint_label(pair))


@TABLE.of(
    "train_LA.py: compute_uxi_loss_with_mean_teacher",
    "train_LA.py: loss_fn",
    note="so fed, with all candidates instead of a random hundredth",
)
def prototypes(record: Record):
    pair, features = pair_of(record, "loser", "winner"), record["in_features_loser"]
    for alpha in (20, 70):
        term, start = objective_of("official_repaired", alpha=alpha).parts["pgl"], f"all{alpha}_"
        wrong = int((term.reliable_voxels(pair) != (record[f"out_{start}target"] != 2)).sum())
        yield f"reliable voxels that differ, percentile {alpha}", wrong, 0
        higher, lower = torch.tensor(2.0), torch.tensor(1.0)
        loss, _ = term(pair, (features, torch.zeros_like(features)), (higher, lower))
        yield f"loss, percentile {alpha}", record.difference(f"{start}loss", loss), 1e-6
        attraction, between = loss_without(term, pair, features), record[f"out_{start}between"]
        recorded = record[f"out_{start}foreground"] + record[f"out_{start}background"]
        yield f"attraction, percentile {alpha}", float((attraction - recorded).abs()), 1e-6
        yield f"distance of prototypes, percentile {alpha}", float((loss - attraction - between).abs()), 1e-6


@TABLE.of("MCF code/utils/losses.py: softmax_mse_loss", note="with the lines of train_LA.py; one empty mask")
def correction(record: Record):
    config, pair, label = config_of(), pair_of(record), record["in_label"].long()
    objective = config.get_parsed_content("objective")
    term = objective.parts["cr"]
    assert term.tau == round(record["in_confidence"].item(), 6)
    loss = term(pair, label)
    recorded = record["out_loss_first"] + record["out_loss_second"]
    yield "loss", abs(loss.item() - recorded.item()), 1e-6
    grads = dict(zip(("grad_first", "grad_second"), gradient(loss, *pair)))
    yield "gradient", record.worst("", grads), 1e-7
    yield "weight", abs(objective.weight("cr", 1) - 0.5), 0
    mask = term.disagreement([z.softmax(dim=1) for z in pair], 1)
    yield "mask", record.difference("mask", mask), 0


@TABLE.of("train_LA.py: consist_loss")
def cosine_consistency(record: Record):
    pair = pair_of(record)
    loss = objective_of().parts["cosine"](pair)
    yield "loss", record.difference("loss", loss), 1e-6
    grads = dict(zip(("grad_first", "grad_second"), gradient(loss, *pair)))
    yield "gradient", record.worst("", grads), 1e-7


@TABLE.of(
    "MCF code/utils/losses.py: dice_loss",
    note="with the lines of train_LA.py; six pairs, in two of which Dice and the whole loss disagree, one tie",
)
def supervised_and_better(record: Record):
    objective, labels = objective_of("official_repaired"), record["in_label"]
    logits = {name: record[f"in_logits_{name}"].requires_grad_() for name in ("resnet", "vnet")}
    for name, pairs in logits.items():
        losses = [objective.supervised(z, label) for z, label in zip(pairs, labels)]
        recorded = record[f"out_dice_{name}"] + record[f"out_cross_entropy_{name}"]
        yield "supervised: loss", float((torch.stack(losses).detach() - recorded).abs().max()), 1e-6
        yield "supervised: gradient", record.difference(f"grad_{name}", *gradient(sum(losses), pairs)), 1e-7
    term, wrong = objective.parts["pgl"], 0
    unlabeled, features = torch.randn(2, 2, 2, 50), torch.randn(2, 2, 16, 50)
    orders = {True: torch.tensor([1.0, 0.0]), False: torch.tensor([0.0, 1.0])}
    chosen = {better: term(unlabeled, features, losses)[0] for better, losses in orders.items()}
    assert chosen[True] != chosen[False]  # the loser's prototypes count: those of the ResNet if the V-Net is better
    for number, label in enumerate(labels):
        losses = [objective.overlap(pairs[number], label) for pairs in logits.values()]
        wrong += term(unlabeled, features, losses)[0] != chosen[bool(record["out_vnet_is_better"][number])]
    yield "better network: wrong of 6", float(wrong), 0


@TABLE.of(
    "train_LA.py: get_current_consistency_weight",
    "MCF code/utils/ramps.py: sigmoid_rampup",
    note="and the rule of the learning rate",
)
def schedules(record: Record):
    config = config_of()
    objective, schedulers = (config.get_parsed_content(name) for name in ("objective", "lr_schedulers"))
    optimizers, steps = config.get_parsed_content("optimizers"), record["in_steps"].tolist()
    found = [objective.weight("pgl", step) for step in steps]
    yield "prototype weight", record.difference("prototype_weight", found), 1e-12
    for optimizer, scheduler in zip(optimizers, schedulers):
        found = rates_at(steps, optimizer, scheduler)
        yield "learning rate", record.difference("learning_rate", found), 1e-12


def without_gradient(record, start, objective, logits, label):
    """What the loop computes beside the terms that train: the choice of the better network, and filtered losses."""
    resnet, vnet = (objective.overlap(z[: len(label)], label) for z in logits)
    yield "better network, wrong", float(bool(vnet < resnet) != bool(record[f"out_{start}vnet_is_better"])), 0
    _, losses = without_effect([z[len(label) :] for z in logits])
    for name, loss in zip(("resnet", "vnet"), losses, strict=True):
        yield "filtered, without gradient *", record.difference(f"{start}filtered_{name}", loss), 3e-6


@TABLE.of("train_LA.py: __main__", note="three whole iterations")
def steps_published(record: Record):
    config = config_of()
    objective = config.get_parsed_content("objective").train()
    optimizers = config.get_parsed_content("optimizers")
    resnet, vnet = objective.networks
    fill(resnet.named(), record, "in_resnet_")
    fill(vnet.named(), record, "in_vnet_")
    first, seen = int(record["in_first_step"]), []
    for network in (resnet, vnet):
        network.head.register_forward_hook(lambda module, x, z: seen.append(z.detach()))
    for number in (1, 2, 3):
        start, step = f"step{number}_", first + number - 1
        batch = Batch(record[f"in_{start}image"], record[f"in_{start}label"].unsqueeze(1))
        seen.clear()
        terms = objective(batch, step)
        assert set(terms) & set(objective.TERMS) == {"supervised", "cr", "ue", "cosine"}
        for optimizer in optimizers:
            optimizer.zero_grad()
        objective.total(terms, step).backward()
        for optimizer in optimizers:
            optimizer.step()
        for what, term in (("supervised", "supervised"), ("correction", "cr")):
            recorded = record[f"out_{start}{what}_vnet"] + record[f"out_{start}{what}_resnet"]
            yield what, abs(terms[term].item() - recorded.item()), 3e-6
        yield "peer", record.difference(f"{start}peer", terms["ue"]), 3e-6
        yield "cosine", record.difference(f"{start}cosine", terms["cosine"]), 3e-6
        yield from without_gradient(record, start, objective, seen, batch.label)
        weight = objective.weight("pgl", step)
        yield "prototype weight", record.difference(f"{start}prototype_weight", weight), 1e-12
    networks = max(record.worst("after_resnet_", resnet.named()), record.worst("after_vnet_", vnet.named()))
    yield "networks after", networks, 5e-6


TABLE.of("networks/ResNet34.py: Resnet34", note="dropout off; gradient in float64", folder="shared3d")(
    shared.resnet34_vnet
)
TABLE.of(
    "test_util.py: test_single_case",
    note="three volumes, some smaller than the window",
    folder="shared3d",
    name="sliding_window",
)(shared.windows_of_two)
TABLE.repaired = (
    (
        "Entropies are taken of logits: NaN, so nothing is filtered, and constant probabilities are handed to the "
        "cross-entropy, so the filtered and the prototype term have no gradient. official leaves both out, which "
        "trains the same networks; official_repaired gives them logits, probabilities and a gradient.",
        without_effect,
    ),
    ("The KL distance of cr stops with an error there; here it works.", None),
)
TABLE.missing = (
    "the gradient of the prototype term: the published code has none",
    "the random hundredth of the uncertain voxels: all of them count here",
    "the V-Net beside the ResNet (networks/vnet.py): it is compared with SS-Net's file",
    "train_pancreas.py, and the data loaders, which the repository lacks",
)
