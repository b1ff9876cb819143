"""Which data-set layers there are, from which download each is made, and the settings of a run of seconds."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from .conftest import BUNDLES

VOLUME = {"patch_size": [16, 16, 16], "stride": [16, 16, 16], "test_stride": [16, 16, 16], "base_channels": 2}
SLICES = {"patch_size": [32, 32], "base_channels": 2, "labeled_batch": 2, "unlabeled_batch": 2}
IERE = {"patch_size": [64, 64], "image_size": [64, 64], "base_channels": 4, "backbone": "resnet18", "sam#kind": "none",
        "labeled_batch": 2, "unlabeled_batch": 2, "epoch_length": 2, "iterations": 2}  # fmt: skip
SYNFOC = {"patch_size": [32, 32], "base_channels": 2, "sam#kind": "none", "labeled_batch": 2, "unlabeled_batch": 2}
SHORT = {"iterations": 1, "epoch_length": 1, "val_interval": 1, "amp": False, "progress": False, "device": "cpu"}


@dataclass(frozen=True)
class Row:
    """One bundle on one data set.

    Attributes:
        bundle: its name without the ending.
        layers: the data set's layer and what lies on it.
        download: name in ``tests.downloads``.
        parts: how many test cases (images) and foreground classes an evaluation counts.
        options: of the training, where the small copy needs others than the layer: counts, sizes.
        inside: folder of the data set in the download, where it is used as it is.
    """

    bundle: str
    layers: str
    download: str
    parts: tuple[int, int]
    options: dict[str, object] = field(default_factory=dict)
    inside: str | None = None

    @property
    def name(self) -> str:
        return f"{self.bundle} {self.layers} {self.download}".replace(" ", "-")

    @property
    def small(self) -> dict[str, object]:
        own = {"iere": IERE, "synfoc": SYNFOC}.get(self.bundle) or (SLICES if "acdc" in self.layers else VOLUME)
        return {**SHORT, **own, **self.options}


THREE = [("la", "la2018", (1, 1), {"labeled": 2}), ("acdc", "acdc", (2, 3), {"labeled": 2})]
ROWS = [
    *(Row(bundle, *three) for bundle in ("dualnet", "sgrsnet", "ssnet", "meanteacher") for three in THREE),
    Row("bcp", "la", "la2018", (1, 1), {"labeled": 2, "iterations": 2, "pretrain_steps": 1}),
    Row("bcp", "acdc", "acdc", (2, 3), {"labeled": 2, "iterations": 2, "pretrain_steps": 1}),
    Row("dualnet", "pancreas", "pancreas", (1, 1), {"labeled": 2}),
    Row("sgrsnet", "pancreas", "pancreas_nifti", (3, 1), {"labeled": 2}),
    Row("dualnet", "brats", "brats2019", (1, 1), {"labeled": 2}),
    Row("sgrsnet", "brats", "brats2019", (1, 1), {"labeled": 2}),
    Row("ssnet", "la", "la2018_h5", (1, 1), {"labeled": 2}),
    Row("sgrsnet", "pancreas", "pancreas_h5", (1, 1), {"labeled": 2}),
    Row("dualnet", "brats", "brats2019_h5", (1, 1), {"labeled": 2}),
    Row("meanteacher", "acdc", "acdc_h5", (2, 3), {"labeled": 2}),
    Row("iere", "nci_isbi", "nci_isbi2013", (8, 1), {"labeled": 2}),
    Row("iere", "nci_isbi nci_isbi_bmc", "nci_isbi2013", (8, 1), {"labeled": 2}),
    Row("iere", "mnms", "mnms", (10, 3), {"labeled": 2}),
    Row("iere", "acdc_groups", "acdc", (16, 3), {"labeled": 1}),
    Row("synfoc", "prostate", "prostate", (12, 1), {"labeled": 2}, "ProstateSlice"),
    Row("synfoc", "fundus", "fundus", (4, 2), {"labeled": 1}, "Fundus"),
    Row("synfoc", "mnms", "mnms_slices", (4, 3), {"labeled": 2}, "mnms"),
    Row("synfoc", "busi", "busi", (3, 1), {"labeled": 4}, "archive/Dataset_BUSI_with_GT"),
    Row("synfoc", "acdc", "acdc_h5", (2, 3), {"labeled": 2}, "ACDC"),
    Row("synfoc", "mscmr", "mscmr", (6, 3), {}),
]


def layer(row: Row) -> dict[str, object]:
    """Content of the layers, the later over the earlier."""
    configs = BUNDLES / f"{row.bundle}_segmentation" / "configs"
    files = [configs / f"{name}.yaml" for name in row.layers.split()]
    return {key: value for file in files for key, value in yaml.safe_load(file.read_text(encoding="utf-8")).items()}


def command_of(row: Row) -> list[str] | None:
    """Words of the command that the layer names for such a download; ``None`` where the download is used as it is."""
    configs = BUNDLES / f"{row.bundle}_segmentation" / "configs"
    text = (configs / f"{row.layers.split()[0]}.yaml").read_text(encoding="utf-8")
    commands = [shlex.split(line) for line in re.findall(r"python -m tools prepare (.+)", text)]
    chosen = [words for words in commands if (words[0] == "h5") == row.download.endswith("_h5")]
    return None if row.inside is not None else chosen[0]


def options_of(words: list[str]) -> dict[str, object]:
    """``--spacing 0.625`` and the like, without the folders."""
    pairs = {key.removeprefix("--"): yaml.safe_load(value) for key, value in zip(words[1::2], words[2::2])}
    return {key: value for key, value in pairs.items() if key not in ("source", "output")}


def names_in(folder: Path) -> list[str]:
    """Names of layers that name a data set of their own."""
    return sorted(
        path.stem
        for path in folder.glob("*.yaml")
        if "dataset_dir:" in path.read_text(encoding="utf-8") and path.stem not in ("train", "inference", "demo")
    )
