"""SGRS-Net's published functions, by the preset ``official``; the one mistake that is not shipped stands here."""

from unittest.mock import patch

import torch
from ignite.engine import Engine, Events
from sgrsnet import RegionalLoss

from common.engines import SemiSupervisedTrainer, StepSettings
from common.transforms import Batch, MixUp, clamped_noise

from ..recorded import Record, fill, gradient, preset, rates_at, tiny_definition
from ..table import Source, Table

EXACT = {"uncertain_agreement": False}
STATE = ("conv_weight", "conv_bias", "norm_weight", "norm_bias", "norm_mean", "norm_var", "head_weight", "head_bias")


class MixedSamples(RegionalLoss):
    """The published mistake: the smoothed cross-entropy of a sample is weighted by the masks of all samples."""

    def cross_entropy(self, kind, logits, pseudo_label, mask):
        mask = mask if kind == "con" else mask.float().mean(dim=0, keepdim=True)
        return super().cross_entropy(kind, logits, pseudo_label, mask)


MISTAKE = {"objective#regional#_target_": f"{__name__}.MixedSamples"}
FORMS = {
    "published": MISTAKE,
    "samples_separate": {},
    "uncertain_out": {**MISTAKE, **EXACT},
    "both_fixed": EXACT,
}

TABLE = Table(
    "sgrsnet",
    presets="la + official",
    sources={"SGRS-Net": Source("ortonwang/SGRS-Net", "c99025fbd8d1ae98664c4a39798234eb1d6f1894", "none")},
    repaired=(
        (
            "The smoothed cross-entropy of a sample is weighted by the masks of all samples: a broadcast. Here by its "
            "own. Forms of the regional loss: published has the mistake and uncertain voxels in the other "
            "cross-entropy; samples_separate is official; uncertain_out has the mistake alone; both_fixed is official "
            "with uncertain_agreement: false.",
            MixedSamples,
        ),
        ("Validation stops with an error at iteration 1000 of the published code; here it runs.", None),
    ),
    missing=(
        "draws of numpy's Beta distribution and permutations: they are fed, as both generators differ",
        "the V-Net of code/networks/VNet.py: not recorded; it is compared with SS-Net's",
        "reading of files, random crops and symmetries; code/test_3d.py",
    ),
)


def config_of(channels=8, **options):
    return preset("sgrsnet", "la", "official", network_def=tiny_definition(3, channels, 2), **options)


@TABLE.of("code/utils/losses.py: DiceLoss", note="with the lines of code/train.py")
def supervised(record: Record):
    loss_of, z = config_of().get_parsed_content("objective#supervised"), record["in_logits"].requires_grad_()
    loss = loss_of(z, record["in_label"].unsqueeze(1))
    yield "loss", record.difference("loss", loss), 1e-6
    yield "gradient", record.difference("grad_logits", *gradient(loss, z)), 1e-7
    for part, without in (("dice", "supervised_ce_weight"), ("cross_entropy", "supervised_dice_weight")):
        loss_of = config_of(**{without: 0.0}).get_parsed_content("objective#supervised")
        yield part, record.difference(part, 2 * loss_of(z, record["in_label"].unsqueeze(1))), 1e-6


def parts_of(options, views, pseudo_label, regions):
    """Mean cross-entropy of both views, and mean Dice of both views and kinds."""
    term, parts = config_of(**options).get_parsed_content("objective#regional"), ([], [])
    for kept, name in zip(parts, ("cross_entropy", "dice")):
        part = getattr(term, name)
        setattr(term, name, lambda *given, part=part, kept=kept: kept.append(part(*given)) or kept[-1])
    term(views, pseudo_label, regions)
    return sum(parts[0]) / 2, sum(parts[1]) / 4


@TABLE.of("code/utils/losses.py: SoftDiceLoss", note="with the lines of code/train.py; in four forms")
def regional(record: Record):
    views = [record[f"in_logits_{view}"].requires_grad_() for view in ("plain", "mixed")]
    pseudo_label = record["in_pseudo_label"].long()
    regions = config_of().get_parsed_content("objective#regions")(*views)
    for name, mask in regions.items():
        yield f"{name}, voxels that differ", int((mask != record[f"out_{name}"].bool()).sum()), 0
    agree = views[0].argmax(dim=1) == views[1].argmax(dim=1)
    yield "agree, voxels that differ", int((agree != record["out_agree"].bool()).sum()), 0
    for form, options in FORMS.items():
        mark = " *" if options.items() >= MISTAKE.items() else ""
        loss = config_of(**options).get_parsed_content("objective#regional")(views, pseudo_label, regions)
        yield f"{form}: loss{mark}", record.difference(f"{form}_loss", loss), 1e-6
        for part, found in zip(("cross_entropy", "dice"), parts_of(options, views, pseudo_label, regions)):
            yield f"{form}: {part}{mark}", record.difference(f"{form}_{part}", found), 1e-6
        grads = dict(zip(("grad_plain", "grad_mixed"), gradient(loss, *views)))
        yield f"{form}: gradient{mark}", record.worst(f"{form}_", grads), 1e-7


def handlers_of(config):
    """The preset's averages and decay."""
    handlers = config["train"]["handlers"]
    wanted = [i for i, h in enumerate(handlers) if h["_target_"].endswith(("EMAHandler", "ExtraDecay"))]
    return [config.get_parsed_content(f"train#handlers#{i}") for i in wanted]


@TABLE.of("code/utils/util2.py: WeightEMA", "code/train.py: update_ema_variables", note="30 iterations")
def average(record: Record):
    config = config_of(record["in_conv_bias"].numel())
    networks = [config.get_parsed_content(name) for name in ("network", "teacher")]
    fill(networks[0].named(), record)
    changes = [record["in_student_change"], record["in_teacher_change"]]
    found = [[], []]

    def change(engine, row):
        for network, rows in zip(networks, changes):
            state = [network.named()[name] for name in STATE]
            for tensor, part in zip(state, rows[row].split([t.numel() for t in state])):
                tensor.data.add_(part.view_as(tensor))

    def note(engine):
        for network, states in zip(networks, found):
            states.append(torch.cat([network.named()[name].detach().flatten() for name in STATE]))

    engine = Engine(change)
    for handler in handlers_of(config):
        handler.attach(engine)
    engine.add_event_handler(Events.ITERATION_COMPLETED, note)
    engine.run(range(len(changes[0])))
    for name, states in zip(("student", "teacher"), found):
        yield f"{name}, 30 steps", record.difference(f"{name}_after", torch.stack(states)), 5e-6


@TABLE.of("code/train.py: get_current_consistency_weight", note="and the constant learning rate")
def schedules(record: Record):
    config = config_of()
    objective, optimizer = (config.get_parsed_content(name) for name in ("objective", "optimizer"))
    steps = record["in_steps"].tolist()
    found = [objective.weight("regional", step) for step in steps]
    yield "regional weight", record.difference("regional_weight", found), 1e-12
    found = rates_at(steps, optimizer, config.get_parsed_content("lr_scheduler"))
    yield "learning rate", record.difference("learning_rate", found), 1e-12


def fed(record, start):
    """Feed the recorded noise, weights and partners of the mixture."""
    normal = torch.cat([record[f"{start}normal_{half}"] for half in ("labeled", "unlabeled")])
    b, partner = record[f"{start}beta_draw"], record[f"{start}partner"]
    drawn = (torch.maximum(b, 1 - b), partner % len(record[f"{start}normal_labeled"]))
    noise = patch.object(torch.Tensor, "normal_", lambda noise, **_: noise.copy_(normal))
    return noise, patch.object(MixUp, "draw", lambda *_: drawn)


def batch_of(record, start):
    return Batch(record[f"{start}image"], record[f"{start}label"].unsqueeze(1))


@TABLE.of("code/utils/mixmatch_util.py: mix_match_just_k1")
def mixture(record: Record):
    objective = config_of().get_parsed_content("objective").train()
    for network in (objective.network, objective.teacher):
        fill(network.named(), record)
    batch, seen = batch_of(record, "in_"), []
    for module in (objective.network, objective.regional):
        module.register_forward_pre_hook(lambda _, arguments: seen.append(arguments))
    noise, draw = fed(record, "in_")
    with noise, draw:
        objective(batch, 1)
        noisy = clamped_noise(batch.image)
    (student_input,), (_, pseudo_label, _) = seen
    yield "mixed image", record.difference("mixed", student_input[4:]), 1e-6
    yield "clean part", float((student_input[:4] - batch.image).abs().max()), 0
    yield "noisy labeled image", record.difference("noisy_labeled", noisy[:2]), 1e-6
    yield "pseudo-label", record.difference("pseudo_label", pseudo_label), 0
    statistics = {f"{name}_after": objective.teacher.named()[name] for name in ("norm_mean", "norm_var")}
    yield "teacher statistics", record.worst("", statistics), 1e-6


def steps(record, **options):
    config = config_of(**options)
    objective, optimizer = (config.get_parsed_content(name) for name in ("objective", "optimizer"))
    for network in (objective.network, objective.teacher):
        fill(network.named(), record)
    first, rows = int(record["in_first_step"]), []
    batches = [batch_of(record, f"in_step{number}_") for number in (1, 2, 3)]
    exact, handlers = StepSettings(amp="float32"), handlers_of(config)
    trainer = SemiSupervisedTrainer("cpu", first + 3, batches, objective, optimizer, exact, handlers)
    forward, labels = objective.forward, []
    objective.regional.register_forward_pre_hook(lambda _, arguments: labels.append(arguments[1]))

    def with_draws(batch, step):
        noise, draw = fed(record, f"in_step{step - first + 1}_")
        with noise, draw:
            return forward(batch, step)

    def compare(engine):
        step, output = engine.state.iteration, engine.state.output
        start = f"step{step - first + 1}_"
        rows.append(("supervised", record.difference(f"{start}supervised", output["supervised"]), 3e-6))
        rows.append(("regional", record.difference(f"{start}regional", output["regional"]), 3e-6))
        rows.append(("weight", record.difference(f"{start}weight", objective.weight("regional", step)), 1e-12))
        rows.append(("total", record.difference(f"{start}total", output["loss"]), 5e-6))
        rows.append(("pseudo-label", record.difference(f"{start}pseudo_label", labels[-1]), 0))
        if step == first + 2:
            engine.terminate()

    objective.forward = with_draws
    trainer.add_event_handler(Events.STARTED, lambda engine: setattr(engine.state, "iteration", first - 1))
    trainer.add_event_handler(Events.ITERATION_COMPLETED, compare)
    trainer.run()
    assert len(rows) == 15
    yield from rows
    yield "student after", record.worst("after_student_", objective.network.named()), 5e-6
    yield "teacher after", record.worst("after_teacher_", objective.teacher.named()), 5e-6


@TABLE.of("code/train.py: train", note="three whole iterations")
def steps_published(record: Record):
    yield from ((f"{what} *", *row) for what, *row in steps(record, **MISTAKE))


@TABLE.of("code/train.py: train", note="three whole iterations without the mistake and without uncertain voxels")
def steps_both_fixed(record: Record):
    yield from steps(record, **EXACT)
