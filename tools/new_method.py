"""A new method from nothing: a bundle that trains as it is, its test and its page, to be rewritten term by term."""

from __future__ import annotations

import json
import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from common.errors import InputError

from .run import BUNDLES

BASE = BUNDLES / "meanteacher_segmentation"  # the baseline has every part and little of its own
COPIED = ("LICENSE", "docs/data_license.txt", "configs/logging.conf", "configs/multi_gpu_train.yaml")
TEMPLATES = {
    "__init__.py": "{package}/__init__.py",
    "objective.py": "{package}/objective.py",
    "options.py": "{package}/options.py",
    "plan.yaml": "plan.yaml",
    "demo.yaml": "configs/demo.yaml",
    "README.md": "docs/README.md",
}
OPTIONS = """# ---- {title}
consistency_weight: 0.1 # after ramp-up
ramp_up: 2400 # iterations until then
noise_std: 0.1 # deviation of the noise on unlabeled images

"""
OBJECTIVE = """objective:
  {{_target_: {package}.{name}Objective, _requires_: "@add_path", network: "@network",
   supervised: {{_target_: common.losses.SupervisedLoss, dice: squared}},
   weights: {{consistency: {{_target_: common.losses.Ramp, maximum: "@consistency_weight",
                           length: $round(@ramp_up * @stretch)}}}},
   noise_std: "@noise_std"}}
"""


def new_method(name: str, folder: str | None = None, title: str | None = None) -> None:
    """Write the bundle of a new method, its test and its page.

    What is written trains, plans, evaluates, packages and verifies at once: a supervised loss and one term on unlabeled
    samples, which yours replace.

    Args:
        name: of the Python package, lower-case letters and digits; the bundle is ``<name>_segmentation``.
        folder: where the bundle is written, with the test beside it; default: ``bundles`` of this repository, and the
            test among those of the bundles.
        title: of the method in documents; default: the name.
    """
    package = str(name).removesuffix("_segmentation")
    if not re.fullmatch(r"[a-z][a-z0-9]*", package):
        raise InputError(f"name {name!r}: expected lower-case letters and digits, such as mymethod")
    if title is not None and not (str(title).isprintable() and str(title).strip()):
        raise InputError(f"title {title!r}: expected a line of text")
    root = Path(folder or BUNDLES) / f"{package}_segmentation"
    test = (root.parent if folder else BUNDLES.parent / "tests" / "bundles") / f"test_{package}_objective.py"
    for path in (root, test):
        if path.exists():
            raise InputError(f"{path}: exists already; choose another name")
    if find_spec(package):
        raise InputError(f"name {name!r}: a Python package of this name is installed; choose another")
    words = {"package": package, "class": package.capitalize(), "title": str(title or package)}
    for file, text in _texts(package, words).items():
        target = root / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    for file in COPIED:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(BASE / file, root / file)
    test.write_text(_render("test.py", words), encoding="utf-8")
    sys.stdout.write(
        f"wrote {root} and {test}; try: python -m tools phantom data/phantom && python -m tools run {root} demo\n"
    )


def _texts(package: str, words: dict[str, str]) -> dict[str, str]:
    """Contents of the files of the bundle that are not copied, by their place in it."""
    configs = BASE / "configs"
    metadata = json.loads((configs / "metadata.json").read_text(encoding="utf-8"))
    metadata |= {
        "name": f"{words['title']} semi-supervised segmentation",
        "description": f"Semi-supervised segmentation with {words['title']}",
        "references": ["The method's paper."],
    }
    inference = (configs / "inference.yaml").read_text(encoding="utf-8")
    return {
        "configs/metadata.json": json.dumps(metadata, indent=4) + "\n",
        "configs/train.yaml": training((configs / "train.yaml").read_text(encoding="utf-8"), words),
        "configs/inference.yaml": inference.replace("Mean Teacher", words["title"]),
        **{target.format(package=package): _render(file, words) for file, target in TEMPLATES.items()},
    }


def training(text: str, words: dict[str, str]) -> str:
    """The baseline's ``train.yaml`` without teacher, with the objective and the options of the templates."""
    text = f"# {words['title']}: the idea in a line." + text[text.index("\n") :]
    text = _between(text, "# ---- Mean Teacher", "# ---- training", OPTIONS.format(title=words["title"]))
    text = _between(text, "teacher: {", "objective:", "")
    text = _between(text, "objective:", "optimizer:", OBJECTIVE.format(package=words["package"], name=words["class"]))
    text = _between(text, "  - {_target_: common.handlers.EMAHandler", "  - {_target_: ValidationHandler", "")
    text = text.replace(" if @consistency else []", " if @unlabeled_batch else []")
    text = text.replace("$@unlabeled_batch if @consistency else 0", '"@unlabeled_batch"')
    return text.replace("@deployed", "@network").replace("/meanteacher'", f"/{words['package']}'")


def _between(text: str, start: str, end: str, new: str) -> str:
    """``text`` with ``new`` in the place of what begins with the line ``start`` and ends before the line ``end``."""
    first = text.index(f"\n{start}") + 1
    return text[:first] + new + text[text.index(f"\n{end}", first) + 1 :]


def _render(file: str, words: dict[str, str]) -> str:
    templates = Environment(
        loader=PackageLoader("tools"), undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False
    )
    return templates.get_template(f"method/{file}.txt").render(words)
