"""A collected experiment as text and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

CHOSEN = {"validation": "best checkpoint on these cases adds", "test": "best checkpoint in validation adds"}
DOMAINS = {"domain_mean": "mean of domains", "in_domain": "in domain", "out_of_domain": "out of domain"}


def as_markdown(content: Mapping) -> str:
    """The tables of an experiment as text."""
    parts = [f"## {content['title']}\n"]
    if note := content.get("conditions"):
        parts.append(f"{note}\n")
    for table in content["tables"]:
        rows = sorted(table["rows"], key=lambda row: -row["dice"])
        columns = ["row", "runs", "Dice %", f"difference to {content['baseline']}", "p, corrected", "95HD", "ASD",
                   "empty", "mean rank", "s / step"]  # fmt: skip
        groups = [group for group in DOMAINS if any(group in row.get("domains", ()) for row in rows)]
        columns += [title for group in groups for title in (f"{DOMAINS[group]} %", "difference")]
        cells = [_cells(row) + _domain_cells(row, groups) for row in rows]
        if any("best" in row for row in rows):
            columns.append(CHOSEN[table["list"]])
            for line, row in zip(cells, rows):
                gain = row.get("best")
                line.append("{:+.2f} ({:.1f} to {:.1f})".format(*(100 * value for value in gain)) if gain else "")
        lines = [columns, ["---"] * len(columns), *cells]
        parts.append(f"**{table['labeled']} labeled, list {table['list']}, {len(rows[0]['cases'])} cases**\n")
        parts.append("".join("| " + " | ".join(line) + " |\n" for line in lines))
        if widths := [np.ptp(row["difference interval"]) for row in rows if "difference" in row]:
            parts.append(f"A difference below about {50 * float(np.median(widths)):.1f} points cannot be told here.\n")
    if len(content["tables"]) > 2:
        parts.insert(2 if content.get("conditions") else 1, f"Dice % by number of labels:\n\n{_by_count(content)}")
    return "\n".join(parts)


def _curves(content: Mapping) -> dict[str, dict[int, tuple[float, list[float]]]]:
    """Dice and its interval by row and number of labels."""
    found: dict[str, dict[int, tuple[float, list[float]]]] = {}
    for table in content["tables"]:
        for row in table["rows"]:
            found.setdefault(row["title"], {})[table["labeled"]] = (row["dice"], row["dice interval"])
    return found


def _by_count(content: Mapping) -> str:
    counts = sorted({table["labeled"] for table in content["tables"]})
    lines = [["row", *map(str, counts)], ["---"] * (1 + len(counts))]
    for title, by_count in _curves(content).items():
        cells = [by_count.get(count) for count in counts]
        lines.append(
            [title, *(f"{100 * c[0]:.1f} ({100 * c[1][0]:.1f} to {100 * c[1][1]:.1f})" if c else "" for c in cells)]
        )
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def curve_plot(content: Mapping, path: Path) -> None:
    """Dice over the number of labels, a line for each row of several counts, from a row of one count on."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    curves = _curves(content)
    starts = {count: dice for points in curves.values() if len(points) == 1 for count, (dice, _) in points.items()}
    figure, axis = plt.subplots(figsize=(5.5, 3.6))
    for number, (title, points) in enumerate((t, p) for t, p in curves.items() if len(p) > 1):
        begin = max((count for count in starts if count < min(points)), default=None)
        counts = [*([begin] if begin is not None else []), *sorted(points)]
        axis.plot(counts, [100 * (points[c][0] if c in points else starts[c]) for c in counts], "o-", label=title)
        ends = np.array([points[c][1] for c in sorted(points)])
        axis.fill_between(sorted(points), *(100 * ends.T), alpha=0.12, color=f"C{number}")
    axis.set_xlabel("labeled")
    axis.set_ylabel("Dice %")
    axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120, format="png")
    plt.close(figure)


def as_rows(content: Mapping) -> str:
    """The first table in three columns, and two for what lies out of the domain, for a page that links to all of it."""
    rows = sorted(content["tables"][0]["rows"], key=lambda row: -row["dice"])
    away = ["out_of_domain"] if any("out_of_domain" in row.get("domains", {}) for row in rows) else []
    header = ["", "Dice %", f"difference to {content['baseline']}"] + ["out of domain %", "difference"] * len(away)
    lines = [header, ["---"] * len(header)]
    lines += [[cells[0], *cells[2:4], *_domain_cells(row, away)] for row, cells in zip(rows, map(_cells, rows))]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _cells(row: Mapping) -> list[str]:
    ends = "({:.1f} to {:.1f})".format
    dice = f"{100 * row['dice']:.2f} {ends(*(100 * end for end in row['dice interval']))}"
    gain = rank = corrected = ""
    if "difference" in row:
        gain = f"{100 * row['difference']:+.2f} {ends(*(100 * end for end in row['difference interval']))}"
        corrected = f"{row['no gain, corrected']:.3f}"
    if "rank" in row:
        rank = f"{row['rank']:.2f} {ends(*row['rank interval'])}"
    clock = "" if row["seconds per step"] is None else f"{row['seconds per step']:.2f}"
    return [row["title"], str(len(row["runs"])), dice, gain, corrected, f"{row['hd95']:.2f}", f"{row['asd']:.2f}",
            f"{row['empty']:.1f}", rank, clock]  # fmt: skip


def _domain_cells(row: Mapping, groups: Sequence[str]) -> list[str]:
    cells = []
    for group in groups:
        for key, words in (
            ("domains", "{:.1f} ({:.1f} to {:.1f})"),
            ("difference by domain", "{:+.1f} ({:.1f} to {:.1f})"),
        ):
            found = row.get(key, {}).get(group)
            cells.append(words.format(*(100 * value for value in found)) if found else "")
    return cells


def rank_plot(content: Mapping, path: Path) -> None:
    """Mean ranks with their intervals, one panel for each table."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    ranked = [table for table in content["tables"] if any("rank" in row for row in table["rows"])]
    if not ranked:
        return
    figure, axes = plt.subplots(1, len(ranked), figsize=(4.5 * len(ranked), 3.2), squeeze=False)
    for axis, table in zip(axes.flat, ranked):
        rows = sorted((row for row in table["rows"] if "rank" in row), key=lambda row: -row["rank"])
        for height, row in enumerate(rows):
            low, high = row["rank interval"]
            axis.plot([low, high], [height, height], color="0.6")
            axis.plot(row["rank"], height, "o", color="C0")
        axis.set_yticks(range(len(rows)), [row["title"] for row in rows])
        axis.set_xlabel("mean rank of Dice (1 is best)")
        axis.set_title(f"{table['labeled']} labeled, list {table['list']}", fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=120, format="png")
    plt.close(figure)
