"""``python -m tools plan``: settings for own data, as an override file that the bundles run on."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from common.data import load_datalist
from common.errors import InputError
from common.files import atomic_path

from ..cases import Listing, list_cases
from ..check import check_labels, check_spacings, examine
from ..run import BUNDLES, layer_files
from .choices import Plan, choose, pick_dims
from .fingerprint import Fingerprint, fingerprint
from .lists import Roles, Wishes, assign, file_table
from .machine import cost_of, this_machine

FLAT = "acdc"  # the bundles' own 2D layer: network, augmentation and inference of slices


def plan(
    folder: str,
    method: str = "meanteacher_segmentation",
    images: str = "images",
    labels: str | None = None,
    labeled: int | None = None,
    validation: int | None = None,
    group: str | None = None,
    iterations: int | None = None,
    device: str = "auto",
    memory: float | None = None,
    seed: int = 1337,
    output: str | None = None,
) -> None:
    """Plan a training on own data: ``plan my_data --method ssnet_segmentation`` writes ``my_data/plan.yaml``.

    ``my_data`` holds ``images/`` and fewer ``labels/``: an image without a label is unlabeled. Lists that
    ``splits.json`` does not give are drawn and written. The file runs with every bundle for volumes and slices.

    Args:
        folder: the data set; also with labels in masks/, with images in several domains, or a JSON list of files.
        method: bundle whose memory the plan is made for.
        images: name of the folder of images.
        labels: name of the folder of labels.
        labeled: how many patients are labeled; by default all that are, or a tenth of a benchmark's list.
        validation: how many labeled patients are held out; by default a fifth of ten or more.
        group: regular expression whose first group is the patient in an image's name.
        iterations: length of the training.
        device: auto, cpu or cuda.
        memory: of the device in GiB, to plan for another machine.
        seed: of the lists.
        output: folder to write to; the data's own by default.
    """
    listing = list_cases(folder, images, labels)
    roles = assign(listing, Wishes(labeled, validation, group, seed))
    found = look(listing)
    dims, why = pick_dims(found)
    files = [file for layer in layers_of(method, dims) for file in layer_files(BUNDLES / method, layer)]
    cost = cost_of(method, files, found.channels, found.classes, dims)
    chosen = choose(found, dims, this_machine(device, memory), cost, iterations)
    target = Path(output) if output else listing.root
    home = write_lists(listing, roles, target)
    cases = load_datalist(home, **roles.values)
    counts = ", ".join(f"{len(cases[role])} {role}" for role in cases)
    text = render(chosen, roles, home, f"{found.modality}, {why}; {counts}")
    save(target / "fingerprint.json", json.dumps(found.as_json(), indent=1) + "\n")
    save(target / "plan.yaml", text)
    run = f"python -m tools run {method}"
    where = f"--output_dir {target / 'run'} --ckpt_dir {target / 'run'}"
    sys.stdout.write(
        f"{text}\n{run} {target / 'plan.yaml'} {where}\n"
        f"{run} inference {target / 'plan.yaml'} --checkpoint {target / 'run' / 'model.pt'} "
        f"--output_dir {target / 'run' / 'predictions'}\n"
    )


def plannable() -> list[str]:
    """Bundles that train on volumes and slices listed by ``splits.json``, and have a 2D layer."""
    names = [path.parent.parent.name for path in sorted(BUNDLES.glob(f"*/configs/{FLAT}.yaml"))]
    listed = {
        name: yaml.safe_load((BUNDLES / name / "configs" / "train.yaml").read_text(encoding="utf-8")) for name in names
    }
    return [name for name in names if listed[name].get("datalist", {}).get("_target_") == "common.data.load_datalist"]


def layers_of(method: str, dims: int) -> list[str]:
    """Layers of the bundle that a plan lies on.

    Raises:
        InputError: for a bundle that takes none.
    """
    layer_files(BUNDLES / method, "train")
    if method not in plannable():
        raise InputError(f"{method}: takes no plan; these do: {', '.join(plannable())}")
    return ["train", FLAT] if dims == 2 else ["train"]


def look(listing: Listing) -> Fingerprint:
    """Fingerprint of the listed images.

    Raises:
        InputError: for files that do not fit together.
    """
    if listing.broken:
        raise InputError(f"{next(iter(listing.broken.values()))} ({len(listing.broken)} such cases)")
    if listing.lists is not None:
        kept = [item for item in listing.items if item.role != "unlisted"]
        listing = Listing(listing.root, kept, {}, listing.lists)
    facts, _ = examine(listing)
    check_labels(facts, None)
    check_spacings(facts)
    wrong = [f for f in facts if any(finding.kind == "label values" for finding in f.findings)]
    if wrong:
        raise InputError(
            f"{wrong[0].label}: {wrong[0].findings[0].text}; python -m tools prepare folder numbers the classes"
        )
    return fingerprint(facts)


def write_lists(listing: Listing, roles: Roles, target: Path) -> Path:
    """Write ``splits.json`` where there is none; returns the folder that holds it."""
    if roles.lists is None:
        return listing.root
    table = file_table(listing.items, target)
    standard = all(
        entry["image"].startswith("images/") and entry.get("label", "labels/").startswith("labels/")
        for entry in table.values()
    )
    content = dict(roles.lists) if standard else {**roles.lists, "files": table}
    save(target / "splits.json", json.dumps(content, indent=1) + "\n")
    return target


def render(chosen: Plan, roles: Roles, home: Path, title: str) -> str:
    """The override file, a reason behind each value."""
    lines = [f"# Planned for {home.name}: {title}."]
    if chosen.dims == 2:
        lines.append(_line("layers", [FLAT], "of the bundle, below this file: its 2D network and inference"))
    lines.append(_line("dataset_dir", str(home.resolve()), "holds splits.json"))
    parts: list[tuple[Mapping, Mapping]] = [(roles.values, roles.reasons), (chosen.values, chosen.reasons)]
    lines += [_line(key, value, reasons[key]) for values, reasons in parts for key, value in values.items()]
    return "\n".join([*lines, *SCHEDULE, ""])


SCHEDULE = (
    "lr_scheduler: # decays within the run, however short",
    "  _target_: torch.optim.lr_scheduler.PolynomialLR",
    '  optimizer: "@optimizer"',
    '  total_iters: "@iterations"',
    "  power: 0.9",
)


def _line(key: str, value: object, reason: str) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=1000, allow_unicode=True).removesuffix("...\n").strip()
    return f"{key}: {text} # {reason}"


def save(path: Path, text: str) -> None:
    """Write a text file whole."""
    try:
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); give another folder (output)") from None
