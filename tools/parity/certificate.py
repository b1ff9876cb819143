"""A certificate of parity: what was compared with published code, to which tolerance, and what was found."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

CERTIFICATE = Path("docs") / "parity.json"  # of a bundle
Row = Sequence  # what is compared, largest absolute difference, tolerance
MARK = " *"  # ends the name of a mistake of the published code, which lines of the tests make
SHOWN = 10  # quantities of one tolerance on a page; the command prints all
MARKED = "* a mistake of the published code, made by the lines named below, which the presets do not make"


def measure(table: Any) -> dict:
    """Make every comparison of a method's ``Table`` of the repository's tests.

    Returns:
        The certificate as plain data: method, presets, sources, made_with, topics with their rows, repaired (text, what
        makes the mistake here, its lines), missing.
    """
    topics = [
        {
            "functions": list(topic.functions),
            "source": topic.source,
            "note": topic.note,
            "rows": [[what, float(difference), tolerance] for what, difference, tolerance in topic.rows()],
        }
        for topic in table.topics.values()
    ]
    return {
        "method": table.method,
        "presets": table.presets,
        "sources": {name: [s.repository, s.commit, s.licence] for name, s in table.sources.items()},
        "made_with": made_with(),
        "topics": topics,
        "repaired": [list(repair) for repair in table.repairs()],
        "missing": list(table.missing),
    }


def made_with() -> str:
    """What differences of the last digits depend on."""
    import torch

    kind = torch.backends.cpu.get_cpu_capability()
    return f"torch {torch.__version__}, CPU ({kind}), Python {platform.python_version()}"


def missed(certificate: Mapping) -> list[Row]:
    """Rows beyond their tolerance; NaN is."""
    return [row for topic in certificate["topics"] for row in topic["rows"] if not row[1] <= row[2]]


def summary(certificate: Mapping) -> str:
    """Counts, and the comparison that comes nearest to its tolerance."""
    rows = [row for topic in certificate["topics"] for row in topic["rows"]]
    functions = dict.fromkeys(name for topic in certificate["topics"] for name in topic["functions"])
    exact = [row for row in rows if not row[2]]
    what, difference, tolerance = max((row for row in rows if row[2]), key=lambda row: row[1] / row[2])
    wrong = len(missed(certificate))
    return (
        f"{len(functions)} functions, {len(rows)} quantities, {len(exact)} of them compared exactly; "
        f"{wrong or 'none'} beyond the tolerance. Largest difference {max(row[1] for row in rows):.1e}; nearest to its "
        f"tolerance: {what.removesuffix(MARK)}, {difference:.1e} of {_tolerance(tolerance)}."
    )


def as_text(certificate: Mapping) -> str:
    """The certificate for a terminal."""
    own, *others = certificate["sources"].items()
    lines = [f"{certificate['method']}: presets {certificate['presets']}", f"published code: {_source(*own)}"]
    lines += [f"                {_source(*other)}" for other in others]
    for topic in certificate["topics"]:
        lines += ["", *_heading(topic, own[0])]
        lines += [row_text(*row) for row in topic["rows"]]
    lines += ["", summary(certificate)]
    if any(row[0].endswith(MARK) for topic in certificate["topics"] for row in topic["rows"]):
        lines.append(MARKED)
    lines += ["", "Mistakes of that code that are repaired:"]
    lines += [
        f"- {text}" + (f" By {where}, lines {own}." if where else "") for text, where, own in certificate["repaired"]
    ]
    lines += ["", "Not compared:", *(f"- {text}" for text in certificate["missing"])]
    return "\n".join(lines) + "\n"


def row_text(what: str, difference: float, tolerance: float) -> str:
    """A comparison in one line."""
    beyond = "" if difference <= tolerance else "  MISSED"
    return f"  {what:58} {_number(difference):>8}  {_tolerance(tolerance):>6}{beyond}"


def as_markdown(certificate: Mapping) -> str:
    """The certificate for a page: one row for each group of functions and tolerance."""
    own = next(iter(certificate["sources"]))
    sources = "; ".join(f"{repository} at {commit[:7]}" for repository, commit, _ in certificate["sources"].values())
    rows = [["published", "compared", "tolerance", "difference"], ["---"] * 4]
    for topic in certificate["topics"]:
        named = "<br>".join(f"`{_named(function, topic, own)}`" for function in topic["functions"])
        named += f" ({topic['note']})" if topic["note"] else ""
        for number, (tolerance, group) in enumerate(_by_tolerance(topic["rows"])):
            quantities = "; ".join(what.replace(MARK, "\\*") for what, *_ in group[:SHOWN])
            quantities += f"; {len(group) - SHOWN} more" if len(group) > SHOWN else ""
            worst = max(difference for _, difference, _ in group)
            rows.append(["" if number else named, quantities, _tolerance(tolerance), _number(worst)])
    table = "".join("| " + " | ".join(row) + " |\n" for row in rows)
    marked = "\n\\* by lines that make a mistake of the published code.\n" if "\\*" in table else ""
    repaired = "".join(f"- {text}{f' (`{where}`)' if where else ''}\n" for text, where, *_ in certificate["repaired"])
    missing = "".join(f"- {text}\n" for text in certificate["missing"])
    return (
        f"{sources}: {summary(certificate)} Measured with {certificate['made_with']}.\n\n{table}{marked}\n"
        f"Repaired mistakes of that code:\n\n{repaired}\nNot compared:\n\n{missing}"
    )


def _by_tolerance(rows: Sequence[Row]) -> Iterator[tuple[float, list[Row]]]:
    for tolerance in dict.fromkeys(row[2] for row in rows):
        yield tolerance, [row for row in rows if row[2] == tolerance]


def _heading(topic: Mapping, own: str) -> list[str]:
    names = [_named(function, topic, own) for function in topic["functions"]]
    note = f" ({topic['note']})" if topic["note"] else ""
    return [*names[:-1], names[-1] + note]


def _named(function: str, topic: Mapping, own: str) -> str:
    return function if topic["source"] == own else f"{topic['source']} {function}"


def _number(value: float) -> str:
    return f"{value:.1e}" if value else "0"


def _tolerance(value: float) -> str:
    return f"{value:.1e}".replace(".0e", "e") if value else "exact"


def _source(name: str, source: Sequence[str]) -> str:
    repository, commit, licence = source
    return f"{name}, {repository} @ {commit} (license: {licence})"
