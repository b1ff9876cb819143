"""An experiment file: what is run, and the run folders that follow from it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.options.layers import read_layer
from common.options.names import hint
from common.runs import results_folder
from common.runs.handlers import AVERAGE, BEST

from ..run import bundle_folder, configuration

NAME = re.compile(r"[a-z0-9_]+")
KEYS = (
    "title",
    "layers",
    "options",
    "splits",
    "labeled",
    "draws",
    "seeds",
    "evaluate",
    "rows",
    "baseline",
)
ROW_KEYS = ("title", "bundle", "layers", "options", "labeled", "evaluate", "of", "predictions", "choose")
OF_A_RUN = ("output_dir", "ckpt_dir", "resume", "overwrite", "split")  # what the experiment says itself
STRATEGIES = ("foreground", "uncertainty", "coverage", "random")  # of the served app, see ``tools.label.ranking``


@dataclass(frozen=True)
class Row:
    """What a row of the table is: a bundle with layers and options on top of those of all rows.

    Attributes:
        name: of its run folders.
        title: in the table.
        bundle: name of the bundle; empty for predictions that were made elsewhere.
        layers: on top of the experiment's.
        options: likewise.
        labeled: label counts; those of the experiment where it is empty.
        evaluate: options of the evaluation, such as ``statistics``.
        of: name of the row whose runs are evaluated, instead of runs of its own.
        predictions: folder with ``metrics.csv`` for each run instead of a bundle; ``{run}`` is the run's name.
        choose: strategy by which the labels beyond those of the run with fewer are chosen, by that run's network.
    """

    name: str
    title: str
    bundle: str = ""
    layers: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    labeled: tuple[int, ...] = ()
    evaluate: Mapping[str, Any] = field(default_factory=dict)
    of: str = ""
    predictions: str = ""
    choose: str = ""

    @property
    def is_selected(self) -> bool:
        """Whether it evaluates the checkpoint that was best in validation: what it adds is a column of row ``of``."""
        return self.evaluate.get("checkpoint") == BEST


@dataclass(frozen=True)
class Job:
    """One training and its evaluations.

    Attributes:
        name: of its folder, ``<row>-<labeled>-draw<draw>-seed<seed>``.
        row: of the table.
        labeled: number of labeled cases, or patients where the data set groups them.
        draw: number of the draw of labels.
        seed: of the training.
        layers: of the training in order.
        options: of the training but its output folder.
        after: name of the run that must be there before: the one that is evaluated (``of``), or whose labels, and
            network, the chosen ones follow.
    """

    name: str
    row: Row
    labeled: int
    draw: int
    seed: int
    layers: tuple[str, ...]
    options: Mapping[str, Any]
    after: str = ""

    def as_plain(self) -> dict[str, Any]:
        """What decides its result, as JSON keeps it."""
        plain = {"bundle": self.row.bundle, "layers": list(self.layers), "options": dict(self.options)}
        more = {"after": self.after, "choose": self.row.choose, "how": dict(self.row.evaluate)}
        return plain | {key: value for key, value in more.items() if value}

    def results(self, root: Path, split: str) -> Path:
        """Where its evaluation on a list writes."""
        how = self.row.evaluate
        return Path(results_folder(root / self.name, split, how.get("statistics", "trained"), how.get("member")))


@dataclass(frozen=True)
class Experiment:
    """What a file says; see ``read_experiment``."""

    path: Path
    title: str
    rows: tuple[Row, ...]
    labeled: tuple[int, ...]
    draws: tuple[int, ...]
    seeds: tuple[int, ...]
    evaluate: tuple[str, ...]
    layers: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    splits: str = ""
    baseline: str = ""

    @property
    def name(self) -> str:
        return self.path.stem

    def jobs(self, options: Mapping[str, Any] | None = None) -> list[Job]:
        """All runs, draw by draw, so that whole blocks of the table are there early.

        Args:
            options: of the training, on top of the file's, such as ``dataset_dir``.
        """
        found = []
        for draw, seed, labeled in product(self.draws, self.seeds, self._counts()):
            for row in self.rows:
                if labeled in (row.labeled or self.labeled):
                    merged = {**self.options, "labeled": labeled, "seed": seed, **row.options, **(options or {})}
                    if self.splits:
                        merged["splits"] = str((self.path.parent / self.splits.format(draw=draw)).resolve())
                    name = f"{row.name}-{labeled}-draw{draw}-seed{seed}"
                    found.append(Job(name, row, labeled, draw, seed, (*self.layers, *row.layers), merged))
        return [self._following(job, found) for job in found]

    def _following(self, job: Job, jobs: Sequence[Job]) -> Job:
        """A job with the one before it; of a row that chooses: the row's own with fewer labels, else a fixed row's."""
        if job.row.of:
            same = [one for one in jobs if (one.draw, one.seed, one.labeled) == (job.draw, job.seed, job.labeled)]
            if not (before := [one for one in same if one.row.name == job.row.of]):
                raise InputError(f"{self.path}: row '{job.row.name}': '{job.row.of}' has no run of {job.labeled}")
            return replace(job, after=before[0].name, options={})
        if not job.row.choose:
            return job
        before = [one for one in jobs if (one.draw, one.seed) == (job.draw, job.seed) and one.labeled < job.labeled]
        before = [one for one in before if one.row.bundle and (one.row is job.row or not one.row.choose)]
        if not before:
            raise InputError(
                f"{self.path}: row '{job.row.name}': chooses labels, but no run has fewer than {job.labeled}"
            )
        return replace(job, after=max(before, key=lambda one: (one.labeled, one.row is job.row)).name)

    def _counts(self) -> list[int]:
        return sorted({*self.labeled, *(count for row in self.rows for count in row.labeled)})


def read_experiment(path: str | Path) -> Experiment:
    """Read and check an experiment file.

    It names ``rows`` (each a ``bundle``, ``layers`` and ``options`` of its own), the ``layers`` and ``options`` that
    all rows share, ``labeled`` counts, ``draws`` of the labels with the pattern of their lists (``splits``, with
    ``{draw}``, beside the file), ``seeds``, the lists to ``evaluate``, and the row that differences are taken to
    (``baseline``). A row with ``choose``, a strategy, adds labels to those of its run with fewer, or of a row that
    chooses none: a curve over counts. A row ``of`` another one evaluates the runs of that one in its own way
    (``evaluate``): with ``checkpoint: model_best.pt`` there, the weights that were best in validation, with
    ``model_average.pt`` the mean of the last ones.

    Raises:
        InputError: naming file and key, for anything unknown, missing or of another kind.
    """
    path = Path(path)
    content = read_layer(path).content
    _known(content, KEYS, str(path))
    rows = content.get("rows")
    if not isinstance(rows, Mapping) or not rows:
        raise InputError(f"{path}: key 'rows' must map names to a bundle, its layers and options")
    made = tuple(_row(path, str(name), row, rows) for name, row in rows.items())
    baseline = str(content.get("baseline", made[0].name))
    if baseline not in {row.name for row in made}:
        raise InputError(f"{path}: key 'baseline': {baseline} is none of the rows{hint(baseline, list(rows))}")
    splits = str(content.get("splits", ""))
    _template(f"{path}: key 'splits'", splits, draw=1)
    draws = _counts(path, "draws", content.get("draws", [1]))
    if len(draws) > 1 and "{draw}" not in splits:
        raise InputError(f"{path}: key 'splits' must hold {{draw}}, the number of a draw, for several draws")
    for draw in draws if splits else ():
        if not (lists := path.parent / splits.format(draw=draw)).is_file():
            raise InputError(f"{lists}: no such file of lists (splits of {path.name})")
    return Experiment(
        path=path,
        title=str(content.get("title", path.stem)),
        rows=made,
        labeled=_counts(path, "labeled", content.get("labeled")),
        draws=draws,
        seeds=_counts(path, "seeds", content.get("seeds", [1337])),
        evaluate=tuple(_words(path, "evaluate", content.get("evaluate", ["test"]), ("test", "validation"))),
        layers=tuple(_words(path, "layers", content.get("layers", []))),
        options=_mapping(path, "options", content.get("options", {})),
        splits=splits,
        baseline=baseline,
    )


def check_jobs(jobs: Sequence[Job]) -> None:
    """Judge the options of all runs and their evaluations before the first one starts; each as its bundle would."""
    for job in jobs:
        if own := next((name for name in (*job.options, *job.row.evaluate) if name in OF_A_RUN), None):
            raise InputError(f"row '{job.row.name}': {own}: every run has its own; leave it out")
        if job.row.bundle and not job.row.of:
            configuration(job.row.bundle, job.layers, {**job.options, "output_dir": "runs/experiment"})
        if how := {name: value for name, value in job.row.evaluate.items() if name != "checkpoint"}:  # not there yet
            configuration(job.row.bundle, ["evaluate"], how)


def _row(path: Path, name: str, row: Any, rows: Mapping[str, Any]) -> Row:
    where = f"{path}: row '{name}'"
    if not NAME.fullmatch(name):
        raise InputError(f"{where}: its name must be of small letters, digits and _")
    row = _mapping(path, f"rows#{name}", row)
    _known(row, ROW_KEYS, where)
    if sum(bool(row.get(key)) for key in ("bundle", "of", "predictions")) != 1:
        raise InputError(f"{where}: expected a bundle, another row (of), or predictions that were made elsewhere")
    bundle, of = str(row.get("bundle", "")), str(row.get("of", ""))
    if of:
        other = rows.get(of)
        if not isinstance(other, Mapping) or not other.get("bundle") or {"layers", "options"} & {*row}:
            raise InputError(f"{where}: of: expected the name of a row with a bundle, and no layers or options")
        bundle = str(other["bundle"])
    chosen = _mapping(path, f"rows#{name}#evaluate", row.get("evaluate", {})).get("checkpoint", BEST)
    if chosen not in (BEST, AVERAGE) or ("checkpoint" in row.get("evaluate", {}) and not of):
        raise InputError(f"{where}: evaluate: checkpoint: expected {BEST} or {AVERAGE}, in a row of another one (of)")
    if bundle:
        bundle_folder(bundle)
    _template(f"{where}: predictions", str(row.get("predictions", "")), run=name)
    if "choose" in row and (row["choose"] not in STRATEGIES or not row.get("bundle")):
        raise InputError(f"{where}: choose: expected one of {', '.join(STRATEGIES)}, with a bundle")
    return Row(
        name,
        str(row.get("title", name)),
        bundle,
        tuple(_words(path, f"rows#{name}#layers", row.get("layers", []))),
        _mapping(path, f"rows#{name}#options", row.get("options", {})),
        _counts(path, f"rows#{name}#labeled", row["labeled"]) if "labeled" in row else (),
        _mapping(path, f"rows#{name}#evaluate", row.get("evaluate", {})),
        of,
        str(row.get("predictions", "")),
        str(row.get("choose", "")),
    )


def _template(where: str, text: str, **values: Any) -> None:
    """Refuse a template with other gaps than those of ``values``, or with braces that do not fit."""
    try:
        text.format(**values)
    except (KeyError, IndexError, ValueError, AttributeError, TypeError):
        raise InputError(f"{where}: {text}: expected no gap but {{{next(iter(values))}}}") from None


def _known(content: Mapping, keys: Sequence[str], where: str) -> None:
    if unknown := next((key for key in content if key not in keys), None):
        raise InputError(f"{where}: unknown key '{unknown}'; there are {', '.join(keys)}{hint(unknown, keys)}")


def _mapping(path: Path, key: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise InputError(f"{path}: key '{key}' must map names to values")
    return value


def _words(path: Path, key: str, value: Any, known: Sequence[str] = ()) -> list[str]:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
        raise InputError(f"{path}: key '{key}' must be a list of names")
    if wrong := next((word for word in words if known and word not in known), None):
        raise InputError(f"{path}: key '{key}': {wrong} is none of {', '.join(known)}")
    return words


def _counts(path: Path, key: str, value: Any) -> tuple[int, ...]:
    counts = [value] if isinstance(value, int) else value
    fine = isinstance(counts, list) and counts
    if not fine or not all(isinstance(count, int) and not isinstance(count, bool) and count > 0 for count in counts):
        raise InputError(f"{path}: key '{key}' must be a list of whole numbers from 1")
    return tuple(counts)
