"""``python -m tools pictures``: what teaches and what learns, beside the truth, on cases of a finished run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import matplotlib.pyplot as plt
import torch
from monai.bundle import ConfigParser
from torch import Tensor

from common.engines import Objective
from common.errors import InputError, require_choice, require_file, require_whole
from common.files import atomic_path, require_file_place
from common.options.components import check_devices
from common.options.types import Device, Option
from common.outlines import draw_outlines
from common.runs.checkpoint import NAME, Generations

from .runs import Run, require_run


def pictures(
    run: str,
    split: str = "test",
    cases: int = 8,
    dataset_dir: str | None = None,
    output: str | None = None,
    device: str = "cpu",
) -> str:
    """Draw a page of cases: the image, the truth, and the labels of a run's teachers, SAM and students as outlines.

    The networks are those of the run's last iteration, from the state that it keeps to be resumed. Of a volume, the
    slice with the largest labeled area is shown.

    Args:
        run: folder of a finished run of a method that says what its networks see (SynFoC, IERE).
        split: list of the data set: test, validation, labeled or unlabeled; truth is shown where it is known.
        cases: number of rows, spread evenly over the list.
        dataset_dir: where the data are now; by default where they were.
        output: the picture; by default ``labels_<split>.png`` in the run's folder.
        device: to compute on.

    Returns:
        The file.
    """
    require_choice(split=(split, ("test", "validation", "labeled", "unlabeled")))
    require_whole(1, cases=cases)
    device = Option("device", Device(), "to compute on").parse(device)
    check_devices({"device": device})
    found = require_run(run)
    folder = found.weights.parent
    require_file(folder / NAME, "pictures are drawn with the networks that a run keeps to be resumed")
    page = require_file_place(output or folder / f"labels_{split}.png", "--output")
    with TemporaryDirectory() as elsewhere:
        parser = _training(found, dataset_dir, elsewhere, device)
        listed = parser.get_parsed_content("datalist")[split]
        if not listed:
            raise InputError(f"{folder}: its data have no list {split}")
        objective = _trained(parser.get_parsed_content("objective"), folder).to(device).eval()
        load, sample = (parser.get_parsed_content(name) for name in ("preprocessing", "sample"))
        count = min(cases, len(listed))
        chosen = [listed[number * len(listed) // count] for number in range(count)]
        rows = [_row(load(dict(case)), sample, objective, device) for case in chosen]
    return _page(rows, [str(case["case"]) for case in chosen], page)


def _training(run: Run, dataset_dir: str | None, output_dir: str, device: str) -> ConfigParser:
    """The run's configuration, to build its parts again without touching its folder."""
    places: dict[str, Any] = {
        "bundle_root": str(run.bundle),
        "output_dir": output_dir,
        "ckpt_dir": output_dir,
        "device": device,
    }
    places |= {"cache_device": "cpu", "progress": False} | ({"dataset_dir": dataset_dir} if dataset_dir else {})
    return ConfigParser({**run.settings.configuration, **places})


def _trained(objective: Objective, folder: Path) -> Objective:
    """The objective with the networks of the run's last iteration; what is frozen comes from its checkpoint."""
    state, _ = Generations(folder / NAME).read()
    unknown = objective.load_state_dict(state["objective"], strict=False).unexpected_keys
    if unknown:
        raise InputError(f"{folder / NAME}: does not fit the run's settings ({unknown[0]})")
    return objective


def _row(case: Mapping[str, Tensor], sample, objective: Objective, device: str) -> dict[str, tuple[Tensor, Tensor]]:
    """Image and label map ``H, W`` of every panel, by its title."""
    flat = {key: torch.as_tensor(case[key]) for key in ("image", "label") if key in case}
    if flat["image"].dim() == 4:
        area = (flat["label"] > 0).sum(dim=(0, 1, 2)) if "label" in flat else torch.zeros(flat["image"].shape[-1])
        place = int(area.argmax()) if area.any() else len(area) // 2
        flat = {key: value[..., place] for key, value in flat.items()}
    seen = sample(flat, torch.Generator().manual_seed(0))
    labels = objective.labels(seen["image"][None].to(device).float())
    if not labels:
        raise InputError(f"{type(objective).__name__}: does not say what its networks see, so there is nothing to draw")
    image = seen["image"].float().mean(dim=0).cpu()
    truth = {"truth": seen["label"][0].long().cpu()} if "label" in seen else {}
    maps = truth | {name: label[0].cpu() for name, label in labels.items()}
    return {"image": (image, torch.zeros_like(image, dtype=torch.long))} | {k: (image, v) for k, v in maps.items()}


def _page(rows: Sequence[Mapping[str, tuple[Tensor, Tensor]]], names: Sequence[str], path: Path) -> str:
    titles = list(dict.fromkeys(title for row in rows for title in row))
    figure, axes = plt.subplots(len(rows), len(titles), figsize=(2.2 * len(titles), 2.3 * len(rows)), squeeze=False)
    for line, row, name in zip(axes, rows, names, strict=True):
        for axis, title in zip(line, titles):
            axis.axis("off")
            if title in row:
                draw_outlines(axis, *(part.numpy() for part in row[title]))
                axis.set_title(f"{name}\n{title}" if title == "image" else title, fontsize=7)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, bbox_inches="tight", format="png")
    plt.close(figure)
    return str(path)
