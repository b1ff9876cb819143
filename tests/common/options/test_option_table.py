"""One table: what it says of an option agrees with the configurations and with the code, and nothing else says it."""

import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import pytest

from common.options.check import option_of
from common.options.entries import holds_code, is_code
from common.options.help import sections
from common.options.layers import read_layer
from common.options.table import SHARED, own_module, table_of

ROOT = Path(__file__).resolve().parents[3]
BUNDLES = sorted(file.parents[1] for file in (ROOT / "bundles").glob("*/configs/train.yaml"))
LAYERS = ROOT / "common" / "configs"
FILES = [
    (root, file) for root in BUNDLES for file in (root / "configs" / "train.yaml", root / "configs" / "inference.yaml")
]
FILES += [(BUNDLES[0], LAYERS / "evaluate.yaml")]
NOT_OPTIONS = {
    "imports",
    "initialize",
    "preflight",
    "run",
    "finalize",
    "displayable_configs",
    "handlers",
    "train",
    "validate",
}
LINE = re.compile(r"^( *)([A-Za-z_]\w*):(.*?)(?: # (.+))?$")


def base_of(file):
    return file.stem


def options_in(file):
    """Names of a file's options: plain entries, and whatever stands above its components."""
    content = read_layer(file).content
    for heading, name in sections(file):
        value = content[name]
        component = isinstance(value, Mapping) and "_target_" in value
        if name not in NOT_OPTIONS and heading != "components" and not component and not holds_code(value):
            yield name


def described(file):
    """Line number, id and comment of every entry, down to the keys of mappings."""
    above = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if line == "# ---- components":
            return
        if match := LINE.match(line):
            above = [*above[: len(match[1]) // 2], match[2]]
            yield number, "#".join(above), match[4]


@pytest.mark.parametrize(
    ("root", "file"), FILES, ids=lambda path: f"{path.parts[-3]}-{path.stem}" if path.suffix else ""
)
def test_comments_are_the_descriptions_of_the_table(root, file):
    table = table_of(root, base_of(file))
    wrong = [
        f"{file.relative_to(ROOT)}, line {number}: {id}: the comment says {comment!r}, the table {option.description!r}"
        for number, id, comment in described(file)
        if (option := option_of(table, id)) is not None and comment not in (None, option.description)
    ]
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize("root", BUNDLES, ids=lambda path: path.name)
def test_training_files_explain_every_option(root):
    file = root / "configs" / "train.yaml"
    table = table_of(root)
    bare = {"bundle_root", "device", "enabled"}
    silent = [
        f"{file.name}, line {number}: {id}"
        for number, id, comment in described(file)
        if comment is None and id in table and id.rpartition("#")[2] not in bare
    ]
    assert not silent, silent


@pytest.mark.parametrize(
    ("root", "file"), FILES, ids=lambda path: f"{path.parts[-3]}-{path.stem}" if path.suffix else ""
)
def test_every_option_of_the_configurations_is_in_the_table(root, file):
    missing = [name for name in options_in(file) if name not in table_of(root, base_of(file))]
    assert not missing, missing


def entries_of(root):
    files = [file for owner, file in FILES if owner == root] + [LAYERS / "evaluate.yaml"]
    return {name for file in files for name in read_layer(file).content}


@pytest.mark.parametrize("root", BUNDLES, ids=lambda path: path.name)
def test_no_bundle_describes_options_that_it_does_not_have(root):
    names = [option.name for option in own_module(root).OPTIONS]
    assert not [name for name in names if name not in entries_of(root)]
    assert len({(option.name, option.base) for option in own_module(root).OPTIONS}) == len(names)


def test_shared_options_are_shared():
    users = {option.name: sum(option.name in entries_of(root) for root in BUNDLES) for option in SHARED}
    assert not [name for name, count in users.items() if count < 2]


@pytest.mark.parametrize("root", BUNDLES, ids=lambda path: path.name)
def test_a_bundle_says_only_what_the_shared_table_does_not(root):
    shared = {(option.name, option.base): option for option in SHARED}
    for option in own_module(root).OPTIONS:
        same = shared.get((option.name, option.base))
        assert same is None or (option.description, option.type.words) != (same.description, same.type.words), (
            option.name
        )


@pytest.mark.parametrize(
    ("root", "file"), FILES, ids=lambda path: f"{path.parts[-3]}-{path.stem}" if path.suffix else ""
)
def test_defaults_are_canonical(root, file):
    table, content = table_of(root, base_of(file)), read_layer(file).content
    for name, value in content.items():
        if name in table and not is_code(value) and not holds_code(value):
            assert table[name].parse(value) == value, name


CHOICES = [
    ("meanteacher", "target", "meanteacher.objective:TARGETS"),
    ("ssnet", "feature_tap", "ssnet.objective:SSNetObjective.FEATURE_TAPS"),
    ("ssnet", "lds#divergence", "common.losses.vat:DIVERGENCES"),
    ("ssnet", "lds#clean_target", "common.losses:VirtualAdversarialLoss.CLEAN_TARGETS"),
    ("ssnet", "lds#dropout", "common.losses:VirtualAdversarialLoss.DROPOUTS"),
    ("ssnet", "lds#direction", "common.losses:VirtualAdversarialLoss.DIRECTIONS"),
    ("ssnet", "separation#rank", "ssnet.separation:RANKS"),
    ("ssnet", "separation#rows", "ssnet.separation:ROWS"),
    ("ssnet", "supervised_dice", "common.losses:SupervisedLoss.KINDS"),
    ("ssnet", "symmetries", "common.transforms.make:SYMMETRIES"),
    ("ssnet", "schedule", "common.engines.schedules:SCHEDULES"),
    ("dualnet", "terms#cr#mask", "dualnet.correction:ConsistencyCorrection.MASKS"),
    ("sgrsnet", "delta_rule", "sgrsnet.regions:SynergyRegions.RULES"),
    ("sgrsnet", "regions#omega", "sgrsnet.losses:RegionalLoss.KINDS"),
    ("synfoc", "networks", "synfoc.networks:NETWORKS"),
    ("synfoc", "sam#kind", "synfoc.networks:KINDS"),
    ("synfoc", "sam#arch", "common.sam.build:ARCHITECTURES"),
    ("synfoc", "sam#preprocess", "common.sam.preprocess:CONVENTIONS"),
    ("synfoc", "sam#decoder_init", "common.sam.checkpoint:DECODER_INITS"),
    ("synfoc", "sam#train", "common.sam.segmenter:TRAINED"),
    ("synfoc", "smc#mode", "synfoc.smc:MODES"),
    ("synfoc", "cdcr", "synfoc.losses:ConsensusDivergence.MODES"),
    ("synfoc", "resample", "common.transforms.patch:RESAMPLES"),
    ("synfoc", "optimizers_of#unet", "synfoc.setup:OPTIMIZERS"),
    ("synfoc", "empty_policy", "common.metrics.segmentation:EMPTY_POLICIES"),
    ("iere", "teacher", "iere.teacher:Teacher.KINDS"),
    ("iere", "ir#mode", "iere.losses:InternalRegularizer.MODES"),
    ("iere", "sam#convention", "common.sam.preprocess:CONVENTIONS"),
    ("iere", "sam#finetune_params", "common.sam.tuning:TUNED"),
    ("iere", "sam#cache", "common.sam.embeddings:MODES"),
    ("iere", "backbone", "iere.network:BACKBONES"),
]


@pytest.mark.parametrize(("method", "id", "place"), CHOICES, ids=lambda text: text.partition(":")[2])
def test_choices_are_those_of_the_code(method, id, place):
    module, _, path = place.partition(":")
    known = import_module(module)
    for name in path.split("."):
        known = getattr(known, name)
    assert set(option_of(table_of(ROOT / "bundles" / f"{method}_segmentation"), id).type.values) == set(known)


def test_layouts_and_encodings_are_those_of_the_data():
    from common.data import ENCODINGS
    from common.datasets import LAYOUTS
    from common.datasets.domains import ONE_DOMAIN
    from common.options import table

    assert set(table.LAYOUTS) == {*LAYOUTS, ONE_DOMAIN} and set(table.ENCODINGS) == set(ENCODINGS)
