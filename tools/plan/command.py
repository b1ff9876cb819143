"""``python -m tools plan``: settings for own data, as an override file that the bundles run on."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from common.datasets import Listing, find_cases
from common.datasets.likeness import Signature
from common.errors import InputError, printable, require_choice, require_number, require_whole
from common.files import atomic_path, require_place
from common.groups import grouping
from common.options.entries import quoted

from ..check import check_coded, check_labels, check_spacings, coding_of, examine
from ..shell import paste
from . import sources
from .choices import Plan, choose, pick_dims, width_of
from .fingerprint import THICK, Fingerprint, fingerprint
from .lists import NO_GROUP, Roles, Wishes, assign, drawn_anew, file_table, found_by_name
from .machine import cost_of, this_machine
from .method import Method, all_methods, method_of
from .patients import look_alike
from .timing import hours_of, paced, require_hours

LABEL_VALUES = ("label values", "lone value", "no label map")  # findings
WRITTEN = ("plan.yaml", "splits.json", "fingerprint.json", "timing.json")


def plan(
    folder: str,
    method: str = "meanteacher_segmentation",
    images: str = "images",
    labels: str | None = None,
    labeled: int | None = None,
    validation: int | None = None,
    group: str | None = None,
    domain: str | None = None,
    sam: str = "auto",
    iterations: int | None = None,
    hours: float | None = None,
    dims: int | None = None,
    device: str = "auto",
    memory: float | None = None,
    seed: int = 1337,
    output: str | None = None,
    overwrite: bool = False,
    redraw: bool = False,
) -> None:
    """Plan a training on own data: ``plan my_data`` writes ``my_data/plan.yaml``, ``--method`` names the bundle.

    ``my_data`` holds ``images/`` and fewer ``labels/``: an image without a label is unlabeled. Lists that
    ``splits.json`` does not give are drawn by patient and written. The plan holds options of the method alone, and runs
    with every bundle that has them. Bundles of slices slice volumes, and read lists of several domains and masks of 0
    and 255.

    Args:
        folder: the data set; also with labels in masks/, with images in several domains, or a JSON list of files.
        method: the bundle, by name or as a folder.
        images: name of the folder of images.
        labels: name of the folder of labels.
        labeled: how many patients are labeled; by default all that are, or a tenth of a benchmark's list.
        validation: how many labeled patients are held out; by default a fifth of ten or more.
        group: template of images' names such as '{patient}_*', in quotes, to label and hold out by patient; by default
            what names with a word for frames or slices say, and images that look alike; none takes every image for a
            patient.
        domain: whose images are labeled, where ``splits.json`` lists several; the first by default.
        sam: for methods that take one, the checkpoint of a SAM or MedSAM (ViT-B); litemedsam, the weights of a package;
            none; or auto, LiteMedSAM where it is installed, else none.
        iterations: length of the training.
        hours: for the training on this machine; a few timed steps choose patch and iterations.
        dims: 2 or 3, volumes slice by slice or as a whole; by default what their slices say.
        device: auto, cpu or cuda.
        memory: of the device in GiB, to plan for another machine.
        seed: of the lists.
        output: folder to write to; the data's own by default.
        overwrite: replace a plan, or lists in another folder, that are there and differ.
        redraw: draw the lists anew that an earlier plan drew, for images that came since, or patients that were changed
            in ``splits.json``; other wishes for the lists do so by themselves.
    """
    if not isinstance(redraw, bool):
        raise InputError(f"--redraw {redraw}: expected True or False")
    require_whole(1, iterations=iterations, labeled=labeled)
    require_whole(0, validation=validation, seed=seed)
    require_number(0, above=True, memory=memory)
    require_choice(dims=(dims, (None, 2, 3)))
    bundle = method_of(method)
    if output and (Path(output).is_file() or Path(output).suffix in (".yaml", ".yml", ".json")):
        raise InputError(f"{output}: output is the folder that plan.yaml is written to")
    listing = find_cases(folder, images, labels)
    require_place(output or listing.root, "output", keep=False, files=WRITTEN)
    wishes = Wishes(labeled, validation, group, seed, domain)
    kept, listing = listing, drawn_anew(listing, wishes, overwrite, redraw)
    roles = assign(listing, wishes, bundle.domain_option is not None)
    require_fit(listing, roles, bundle)
    if iterations is not None and hours is not None:
        raise InputError(f"--hours {hours}: the time chooses the iterations; leave out hours or iterations")
    machine = this_machine(device, memory)
    if hours is not None:
        require_hours(hours, machine.device, memory)
    found, signatures = look(listing, bundle.has("encoding"))
    if roles.lists is not None and wishes.group != NO_GROUP:
        alike = look_alike(signatures, wishes.group, kept.lists.patients if kept.lists else None)
        roles = assign(listing, wishes, bundle.domain_option is not None, alike)
        require_fit(listing, roles, bundle)
    dims, why = _dims(found, bundle, dims)
    cost = cost_of(bundle, found.channels, found.classes, dims, width_of(bundle, machine))

    def chosen(count: int | None, share: float = 1.0) -> Plan:
        plan = choose(found, dims, machine, cost, count, bundle, share)
        sources.set_sources(plan, found, roles)
        sources.set_sam(plan, sam, machine.device)
        if roles.supervised:
            sources.set_supervised(plan)
        return plan

    first, seconds = chosen(iterations), None
    target = Path(output) if output else listing.root
    if hours is None:
        home = write_lists(listing, roles, target, overwrite or listing is not kept)
    else:
        if not overwrite and (target / "plan.yaml").exists():
            raise InputError(
                f"{target / 'plan.yaml'}: there already; overwrite replaces it, output names another folder"
            )
        home = write_lists(listing, roles, target, overwrite or listing is not kept)
        first, seconds = paced(hours, chosen, lambda plan: render(plan, roles, home, "timed"))
    cases = sources.load(home, roles, bundle.others)
    counts = ", ".join(f"{len(cases[role])} {role}" for role in cases)
    text = render(first, roles, home, f"{found.modality}, {why}; {counts}")
    save(target / "plan.yaml", text, overwrite)
    save(target / "fingerprint.json", json.dumps(found.as_json(), indent=1) + "\n")
    run, inputs = target / "run", listing.cases[0].image.parent
    train = paste("run", method, target / "plan.yaml", "--output_dir", run)
    infer = paste(
        "run", method, "inference", "--checkpoint", run, "--inputs", inputs, "--output_dir", run / "predictions"
    )
    sys.stdout.write(f"{text}\n{train}\n{infer}\n")
    if seconds is not None:
        count = first.values["iterations"]
        ends = datetime.now() + timedelta(hours=hours_of(count, seconds))
        timing = {"hours": hours, "iterations": count, "seconds_per_step": seconds, "device": machine.device}
        save(target / "timing.json", json.dumps(timing, indent=1) + "\n")
        sys.stdout.write(f"{count:,} iterations, {seconds:.2f} s each: done about {ends:%H:%M on %d %B} if begun now\n")


def _dims(found: Fingerprint, method: Method, wanted: int | None) -> tuple[int, str]:
    """Dimensions to train in, and why.

    Raises:
        InputError: for 3 where images are pictures or the method trains on slices.
    """
    if wanted == 3 and (found.dims == 2 or method.dims == 2):
        what = "the images are pictures" if found.dims == 2 else f"{method.name} trains on slices"
        raise InputError(f"--dims 3: {what}")
    if method.dims == 2 and found.dims == 3:
        return 2, f"{method.name} trains on slices"
    dims, why = pick_dims(found, method.has("pooling"))
    if wanted is None or found.dims == 2:
        both = found.dims == 3 and found.anisotropy >= THICK
        return dims, f"{why} (--dims {5 - dims} is the other way; folds of both tell)" if both else why
    return wanted, f"{'slice by slice' if wanted == 2 else 'volumes'}, as given"


def require_fit(listing: Listing, roles: Roles, method: Method) -> None:
    """Raise ``InputError`` before anything is written.

    For a name that the template does not fit, and for a method that needs unlabeled images where there are none.
    """
    if roles.supervised and not method.can_do_without:
        other = next((one.name for one in all_methods() if one.can_do_without), "one")
        raise InputError(
            f"{listing.root}: every image has a label; labeled=N labels so many and takes the others as unlabeled, "
            f"or method={other} trains on all labels"
        )
    patient = grouping(roles.values["group"])
    for item in listing.cases:
        patient(item.name)


def look(listing: Listing, coded: bool = False) -> tuple[Fingerprint, dict[str, Signature]]:
    """Fingerprint and signatures of the listed images; ``coded``: labels may hold any whole numbers, not just classes.

    Raises:
        InputError: for files that do not fit together.
    """
    if listing.broken:
        raise InputError(f"{next(iter(listing.broken.values()))} ({len(listing.broken)} such cases)")
    if listing.lists is not None:
        kept = [item for item in listing.cases if item.role != "unlisted"]
        listing = Listing(listing.root, kept, {}, listing.lists)
    facts, signatures = examine(listing)
    encoding = coding_of([set(f.volumes) for f in facts]) if coded else "index"
    if coded:
        check_coded(facts)
    check_labels(facts, None)
    check_spacings(facts)
    for f in facts:
        for finding in f.findings:
            if finding.level == "error" and finding.kind in LABEL_VALUES:
                raise InputError(f"{f.label}: {finding.text}; {finding.remedy}")
    return fingerprint(facts, encoding), signatures


def write_lists(listing: Listing, roles: Roles, target: Path, overwrite: bool = False) -> Path:
    """Write ``splits.json`` where there is none; returns the folder that holds it."""
    if roles.lists is None:
        return listing.root
    by_name = found_by_name(listing.cases, target)
    content = dict(roles.lists) if by_name else {**roles.lists, "files": file_table(listing.cases, target)}
    save(target / "splits.json", json.dumps(content, indent=1) + "\n", overwrite)
    return target


def render(chosen: Plan, roles: Roles, home: Path, title: str) -> str:
    """The override file, a reason behind each value."""
    lines = [printable(f"# Planned for {chosen.method.name} on {home.name}: {title}.")]
    lines += [printable(f"# {roles.note}")] if roles.note else []
    lines.append(_line("dataset_dir", str(home.resolve()), "holds splits.json"))
    parts: list[tuple[Mapping, Mapping]] = [(roles.values, roles.reasons), (chosen.values, chosen.reasons)]
    lines += [_line(key, value, reasons[key]) for values, reasons in parts for key, value in values.items()]
    return "\n".join([*lines, ""])


def _line(key: str, value: Any, reason: str) -> str:
    """An entry whose value MONAI takes as it stands, whatever a data set calls its domains and folders."""
    plain = quoted(value)
    unicode = not isinstance(plain, str) or plain.isprintable()
    text = yaml.safe_dump(plain, default_flow_style=True, width=math.inf, allow_unicode=unicode)
    return f"{key}: {text.strip().removesuffix('...').strip()} # {printable(reason)}"


def save(path: Path, text: str, overwrite: bool = True) -> None:
    """Write a text file whole; ``InputError`` for one that is there with another content, unless it may go."""
    if not overwrite and path.is_file() and path.read_bytes() != text.encode():
        raise InputError(f"{path}: there already, and another; overwrite replaces it, output names another folder")
    try:
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); give another folder (output)") from None
