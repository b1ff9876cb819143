"""The quantities that the tables of published hyper-parameters name, read from what was built."""

from __future__ import annotations

from collections.abc import Callable

from monai.transforms import ScaleIntensityRanged, ScaleIntensityRangePercentilesd
from sgrsnet import ExtraDecay
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from common.handlers import CaseMetrics
from common.losses.vat import DIVERGENCES
from common.transforms.components import KeepLargestComponentd

from .built import Built, after_iteration, parameters, stride

Reader = Callable[[Built], object]


def group_of(number: int, key: str) -> Reader:
    """A value of the first parameter group of an optimizer."""
    return lambda b: b.optimizers[number].param_groups[0][key]


def attribute(path: str) -> Reader:
    """Attributes and keys, one after the other, of the objective."""

    def read(b: Built) -> object:
        value = b.objective
        for name in path.split("."):
            value = value[name] if isinstance(value, dict | nn.ModuleDict) else getattr(value, name)
        return value

    return read


def described(transform: object) -> object:
    """A transform as its class and plain settings."""
    members = getattr(transform, "transforms", ())
    plain = {k: v for k, v in vars(transform).items() if isinstance(v, str | int | float | list | tuple)}
    plain.pop("transforms", None)
    return [type(transform).__name__, plain, *map(described, members)]


def dropout(b: Built) -> list[float]:
    return sorted({m.p for m in b.objective.modules() if isinstance(m, _DropoutNd)})


def case_metrics(b: Built) -> CaseMetrics:
    (handler,) = after_iteration(b.evaluator, CaseMetrics)
    return handler


def keeps_largest(b: Built) -> bool:
    transforms = b.evaluation.get_parsed_content("postprocessing").transforms
    return any(isinstance(t, KeepLargestComponentd) for t in transforms)


def divergence(b: Built) -> str:
    return next(name for name, function in DIVERGENCES.items() if function is b.objective.lds.divergence)


def part(name: str, settings: str) -> Reader:
    """Settings of one of DualNet's terms."""
    return lambda b: [getattr(b.objective.parts[name], setting) for setting in settings.split()]


def spread_of_weights(b: Built) -> list[float]:
    """Deviation of each member's first weights by that of He's normal initialization, 1 for the latter."""
    found = []
    for network in b.objective.networks:
        weights = [m.weight for m in network.modules() if isinstance(m, nn.Conv3d | nn.ConvTranspose3d)]
        largest = max(weights, key=lambda w: w.numel())
        found.append(round(float(largest.detach().std() * (largest[0].numel() / 2) ** 0.5), 2))
    return found


def student(name: str) -> Reader:
    return lambda b: b.objective.students[name]


def deployed(b: Built) -> list[str]:
    """Name of SynFoC's network that is validated, and whether it is the student or its average."""
    network = b.option("validate#evaluator").network
    kinds = {"student": b.objective.students, "average": b.objective.teachers}
    return next([name, kind] for kind, members in kinds.items() for name, m in members.items() if m is network)


def scaling(b: Built) -> list[float | None] | str:
    """Stored values and what they become; percentiles where each image has its own."""
    for t in b.option("preprocessing").transforms:
        if isinstance(t, ScaleIntensityRanged):
            return [getattr(t.scaler, name) for name in ("a_min", "a_max", "b_min", "b_max")]
        if isinstance(t, ScaleIntensityRangePercentilesd):
            return [getattr(t.scaler, name) for name in ("lower", "upper", "b_min", "b_max")]
    return [type(t).__name__ for t in b.option("preprocessing").transforms]


def staged(b: Built) -> object:
    """IERE's optimizer of two stages."""
    return next(o for o in b.optimizers if hasattr(o, "schedules"))


def terms(b: Built) -> list[str]:
    """Enabled terms of SS-Net and DualNet."""
    parts = getattr(b.objective, "parts", None) or {n: getattr(b.objective, n) for n in ("lds", "separation")}
    return sorted(name for name, part in parts.items() if part.enabled)


READERS: dict[str, Reader] = {
    # the run
    "iterations": lambda b: b.iterations,
    "epoch length": lambda b: b.loader.epoch_length,
    "seed": lambda b: b.loader.generator.initial_seed(),
    "labeled batch": lambda b: b.loader.streams[0][1],
    "unlabeled batch": lambda b: b.loader.streams[1][1],
    "patch": lambda b: list(b.loader.sample.size),
    "published sampler": lambda b: b.loader.sample.official,
    "resampling": lambda b: b.loader.sample.resample,
    "augmentation": lambda b: [described(t) for t in b.loader.augment],
    "gradient norm": lambda b: b.trainer.settings.max_grad_norm,
    "autocast": lambda b: b.trainer.settings.amp,
    "validation stride": lambda b: stride(b.option("validate#evaluator").inferer),
    "dropout": dropout,
    "trained parameters": lambda b: parameters(b.objective),
    "parameters of the network": lambda b: parameters(b.objective.network),
    # optimizers
    "optimizer": lambda b: type(b.optimizers[0]).__name__,
    "optimizers": lambda b: [type(o).__name__ for o in b.optimizers],
    "momentum": group_of(0, "momentum"),
    "weight decay": group_of(0, "weight_decay"),
    "nesterov": group_of(0, "nesterov"),
    "momenta": lambda b: [o.param_groups[0]["momentum"] for o in b.optimizers],
    "weight decays": lambda b: [o.param_groups[0]["weight_decay"] for o in b.optimizers],
    # terms
    "terms": terms,
    "supervised Dice": attribute("supervised.dice"),
    "weight of supervised Dice": attribute("supervised.dice_weight"),
    "weight of cross-entropy": attribute("supervised.ce_weight"),
    # the teacher
    "averages": lambda b: [[round(1 - a.momentum, 6), a.warm_up, a.buffers, a.first] for a in b.averages],
    "teacher in training mode": attribute("teacher_train_mode"),
    "mixup alpha": lambda b: b.objective.mixup.alpha if b.objective.mixup else 0,
    "noise": attribute("noise_std"),
    # evaluation
    "test stride": lambda b: stride(b.evaluator.inferer),
    "test size": lambda b: list(b.evaluator.inferer.size),
    "largest component": keeps_largest,
    "empty masks": lambda b: case_metrics(b).empty_policy,
    "stacked": lambda b: case_metrics(b).stacked,
    "parts": lambda b: case_metrics(b).parts,
    "spacing of metrics": lambda b: case_metrics(b).spacing,
    # SS-Net
    "divergence": divergence,
    "xi": attribute("lds.xi"),
    "eps": attribute("lds.eps"),
    "power iterations": attribute("lds.ip"),
    "clean target": attribute("lds.clean_target"),
    "dropout masks": attribute("lds.dropout"),
    "direction from the main pass": attribute("lds.from_main_pass"),
    "voxels that eps is for": attribute("lds.patch"),
    "part of the patch": lambda b: b.objective.lds.crop and list(b.objective.lds.crop),
    "input of the memory's selector": attribute("separation.memory_input"),
    "prototypes": lambda b: list(b.objective.separation.memory.shape),
    "kept prototypes": attribute("separation.k"),
    "rank": attribute("separation.rank"),
    "memory attention": attribute("separation.memory_attention"),
    "rows": attribute("separation.rows"),
    "row limit": attribute("separation.row_limit"),
    "feature after dropout": attribute("post_dropout"),
    # DualNet
    "spread of weights": spread_of_weights,
    "cr": part("cr", "tau mask target distance"),
    "cps threshold": attribute("parts.cps.threshold"),
    "efs": part("efs", "alpha target norm percentile limit"),
    "ue": part("ue", "temperature target direction scope"),
    "pgl": lambda b: [
        getattr(b.objective.parts["pgl"], n) for n in ("alpha", "reliable", "proto_term", "nets", "percentile")
    ],
    # SGRS-Net
    "Dice of labels": lambda b: [b.objective.supervised.dice, b.objective.supervised.dice_factor],
    "Dice of regions": attribute("regional.dice_form"),
    "uncertain agreement": attribute("regional.uncertain_agreement"),
    "draws of the mixture": attribute("mixup.draws"),
    "tau in nats": attribute("regions.tau_nats"),
    "rule of delta": attribute("regions.rule"),
    "kinds": attribute("regional.kinds"),
    "label smoothing": attribute("regional.eps"),
    "Dice smoothing": attribute("regional.eta"),
    "reduction": attribute("regional.reduction"),
    "extra decay": lambda b: [h.rate for h in after_iteration(b.trainer, ExtraDecay)],
    # Mean Teacher
    "target": attribute("target"),
    "passes": attribute("uncertainty.passes"),
    "threshold": lambda b: b.objective.uncertainty["threshold"],
    "has a teacher": lambda b: b.objective.teacher is not None,
    # SynFoC
    "networks": lambda b: sorted(b.objective.students),
    "sizes": lambda b: {name: list(size) for name, size in b.objective.sizes.items()},
    "parameters of the U-Net": lambda b: parameters(student("unet")(b)),
    "parameters of the foundation network": lambda b: parameters(student("sam")(b)),
    "foundation network": lambda b: getattr(student("sam")(b), "settings", "none"),
    "confidence": lambda b: [b.objective.settings.tau, b.objective.settings.tau_inclusive],
    "smoothing": attribute("settings.dice_eps"),
    "resampling of labels and maps": lambda b: [
        b.objective.settings.resample_labels,
        b.objective.settings.resample_maps,
    ],
    "masked background": attribute("settings.mask_background"),
    "updated statistics": attribute("settings.update_statistics"),
    "one pass": lambda b: list(b.objective.settings.joint_batch),
    "blend": lambda b: [b.objective.smc.mode, b.objective.smc.value],
    "T of linear": attribute("smc.iterations"),
    "compared parts": lambda b: [sorted(part) for part in b.objective.smc.parts],
    "agreement": lambda b: [b.objective.cdcr.mode, b.objective.cdcr.factor],
    "strong": lambda b: [list(pair) for pair in b.objective.strong.ranges],
    "rectangle": lambda b: b.objective.box and [list(b.objective.box.share), list(b.objective.box.aspect)],
    "resampling of views": attribute("settings.resample"),
    "betas": group_of(-1, "betas"),
    "deployed": deployed,
    # IERE
    "steps of pretraining": attribute("settings.pretrain_steps"),
    "stages": lambda b: [type(o).__name__ for o in staged(b).optimizers],
    "momenta of stages": lambda b: [o.param_groups[0].get("momentum") for o in staged(b).optimizers],
    "decays of stages": lambda b: [o.param_groups[0]["weight_decay"] for o in staged(b).optimizers],
    "weight of pseudo-labels": attribute("settings.alpha"),
    "external": lambda b: [b.objective.settings.external, b.objective.settings.substitute],
    "internal": lambda b: [getattr(b.objective.ir, n) for n in ("enabled", "mode", "normalize")],
    "components": attribute("settings.cc_filter"),
    "batch statistics": attribute("settings.bn_groups"),
    "kind of teacher": attribute("teacher.kind"),
    "square": attribute("box.ratio"),
    "last place": attribute("box.last_place"),
    "batch of pretraining": lambda b: b.loader.first_batch,
    "ties": attribute("settings.ties"),
    "view of SAM": lambda b: b.objective.sam.options.view,
    "shared square": attribute("box.shared"),
    "crop": lambda b: described(b.objective.augment)[1],
    "scaling": scaling,
    "decay of SAM": group_of(1, "weight_decay"),
    "rate of SAM": group_of(1, "lr"),
    "has a SAM": lambda b: b.objective.sam is not None,
    "SAM": lambda b: [b.objective.sam.refiner.sam.arch, list(b.objective.sam.refiner.sam.img_size)],
    "LoRA": lambda b: sum(p.numel() for n, p in b.objective.sam.named_parameters() if "lora" in n.lower()),
    "prompts": lambda b: [b.objective.sam.refiner.box_pad, b.objective.sam.refiner.empty],
    "groups": lambda b: [list(g.classes) for g in b.objective.sam.refiner.groups],
    "tuning": lambda b: [getattr(b.objective.sam.options, n) for n in ("finetune", "finetune_params", "lora_rank")],
    "labels of SAM": lambda b: [getattr(b.objective.sam.options, n) for n in ("box_from", "empty", "reject")],
    "convention": lambda b: b.objective.sam.refiner.convention,
}
SIZED = {
    "SAM", "LoRA", "foundation network", "parameters of the foundation network", "parameters of the U-Net",
    "parameters of the network", "trained parameters", "spread of weights",
}  # fmt: skip


def weights(b: Built, expected: dict) -> dict:
    """Weight of each term at the iterations of the table."""
    return {term: {t: b.objective.weight(term, int(t)) for t in steps} for term, steps in expected.items()}


def rates(b: Built, expected: list[dict]) -> list[dict]:
    """Learning rate of each optimizer after the iterations of the table."""
    steps = sorted({int(t) for schedule in expected for t in schedule})
    found = b.rates(steps)
    return [{t: found[n][steps.index(int(t))] for t in schedule} for n, schedule in enumerate(expected)]


def stage_rates(b: Built, expected: list[dict]) -> list[dict]:
    """Learning rate of each stage of a ``StagedOptimizer`` at iterations of that stage."""
    optimizer = staged(b)
    return [
        {t: optimizer.rates[n][0] * optimizer.schedules[n](int(t)) for t in schedule}
        for n, schedule in enumerate(expected)
    ]


def values(b: Built, expected: dict) -> dict:
    """Resolved options that no object keeps."""
    return {id: b.option(id) for id in expected}


TABLED = {"weights": weights, "learning rates": rates, "learning rates of stages": stage_rates, "options": values}
