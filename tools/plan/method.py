"""What a plan must know about a method: the options of its bundle, and the facts that the bundle states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.options.layers import read_layer

from ..run import BUNDLES, bundle_folder

FACTS = "plan.yaml"  # in the bundle's folder; no part of a release
NEEDED = ("dataset_dir", "num_classes", "in_channels", "patch_size", "labeled_batch", "unlabeled_batch", "iterations")


@dataclass(frozen=True)
class Facts:
    """What ``plan.yaml`` of a bundle says of the method; what it leaves out has these values.

    Attributes:
        passes: forward passes per sample and step whose intermediate results wait for the gradient.
        ramp_up: share of the iterations after which terms on unlabeled images have their full weight.
        networks: entry of train.yaml that holds what is trained.
        cpu: options that make the networks smaller than published, for a CPU.
        without_sam: options that do without a SAM, for a plan that has none.
        with_sam: options that take the SAM of a package, by the package's name in ``common.wheels``.
        with_sam_on_cpu: further ones that make it affordable on a CPU.
    """

    passes: float = 2.0
    ramp_up: float = 0.4
    networks: str = "network_def"
    cpu: Mapping[str, Any] = field(default_factory=dict)
    without_sam: Mapping[str, Any] = field(default_factory=dict)
    with_sam: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    with_sam_on_cpu: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """A bundle, seen by a plan.

    Attributes:
        root: its folder.
        options: top-level entries of its train.yaml.
        facts: see ``Facts``.
    """

    root: Path
    options: Mapping[str, Any]
    facts: Facts = Facts()

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def train(self) -> Path:
        """Its configuration of training."""
        return self.root / "configs" / "train.yaml"

    @property
    def dims(self) -> int:
        """Dimensions that it trains in at most: those of its own patches."""
        return len(self.options["patch_size"])

    @property
    def loader(self) -> Mapping[str, Any]:
        """How it reads its lists."""
        return self.options.get("datalist", {})

    @property
    def domain_option(self) -> str | None:
        """The option that names the labeled domain; ``None`` for a method that takes one domain only."""
        written = self.loader.get("labeled_domain")
        return None if written is None else str(written).removeprefix("@")

    @property
    def others(self) -> str:
        """What images of other domains are to it: ``unlabeled`` or ``test``."""
        return str(self.loader.get("others", "unlabeled"))

    @property
    def can_do_without(self) -> bool:
        """Whether an option turns off what it does with unlabeled images."""
        return isinstance(self.options.get("consistency"), bool)

    @property
    def takes_sam(self) -> bool:
        """Whether weights of a SAM can be given to it."""
        return "checkpoint" in (self.options.get("sam") or {})

    def has(self, option: str) -> bool:
        """Whether it has an option, ``sam#kind`` for one of several."""
        return option.split("#")[0] in self.options


def method_of(bundle: str) -> Method:
    """The method of a bundle, given by name or as a folder.

    Raises:
        InputError: for a bundle that does not exist, takes no plan, or has a faulty file of facts.
    """
    root = bundle_folder(bundle)
    options = read_layer(root / "configs" / "train.yaml").content
    if missing := [name for name in NEEDED if name not in options]:
        raise InputError(f"{bundle}: takes no plan, its train.yaml has no option {missing[0]}")
    return Method(root, options, read_facts(root / FACTS))


def all_methods() -> list[Method]:
    """Those of the repository that take a plan."""
    names = sorted(path.parents[1].name for path in BUNDLES.glob("*/configs/train.yaml"))
    return [method_of(name) for name in names]


def read_facts(path: Path) -> Facts:
    """Facts in a file; the defaults where there is none."""
    if not path.is_file():
        return Facts()
    content = read_layer(path).content
    known = [f.name for f in fields(Facts)]
    if unknown := [key for key in content if key not in known]:
        raise InputError(f"{path}: {unknown[0]}: expected some of {', '.join(known)}")
    return Facts(**content)
