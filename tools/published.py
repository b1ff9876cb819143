"""Published figures of a method beside measured ones, each in columns of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from common.errors import InputError
from common.files import read_json

PUBLISHED = Path("docs") / "published.json"
HEAD = ("data", "labels", "published: Dice %", "Jaccard %", "95HD", "ASD", "its checkpoint", "measured here: Dice %")
CAVEAT = (
    "Measured figures are of other conditions, those of the table or layer that they name, and of the last checkpoint: "
    "they say nothing of whether the published ones hold.\n"
)


def as_markdown(rows: Sequence[Mapping], record: Sequence[Mapping], experiments: Path) -> str:
    """A table of ``docs/published.json``, with what was measured of the same kind if there is anything.

    Args:
        rows: what was published: data, labels, figures in %, the rule by which its checkpoint was chosen, the source.
        record: measured figures of the bundle, as ``docs/results.json`` holds them.
        experiments: folder of experiments and their figures.
    """
    lines = [HEAD, ("---",) * len(HEAD)]
    for row in rows:
        figures = [f"{row[name]:.2f}" if name in row else "" for name in ("dice", "jaccard", "hd95", "asd")]
        found = _measured(row["measured"], record, experiments) if "measured" in row else ""
        lines.append((row["data"], row["labels"], *figures, row["checkpoint"], found))
    sources = "; ".join(dict.fromkeys(row["source"] for row in rows))
    table = "".join("| " + " | ".join(line) + " |\n" for line in lines)
    return f"Published: {sources}.\n\n{table}\n{CAVEAT}"


def _measured(where: Mapping, record: Sequence[Mapping], experiments: Path) -> str:
    """Dice and its interval or deviation, and what it was measured in."""
    if "experiment" in where:
        file = experiments / f"{where['experiment']}.json"
        content = read_json(file, "experiment writes the figures there", dict)
        rows = [row for table in content["tables"] for row in table["rows"] if row["title"] == where["row"]]
        if len(rows) != 1:
            raise InputError(f"{file}: {len(rows)} rows are called {where['row']!r}, which published.json names")
        low, high = rows[0]["dice interval"]
        return f"{100 * rows[0]['dice']:.2f} ({100 * low:.1f} to {100 * high:.1f}), {content['title']}"
    found = [entry for entry in record if all(entry.get(key) == value for key, value in where.items())]
    if len(found) != 1:
        raise InputError(f"{PUBLISHED}: {len(found)} measured entries are {dict(where)}")
    return f"{100 * found[0]['mean']['dice']:.2f}, `{where['configuration']}`, list {found[0]['split']}"
