"""Pages of the site that stand elsewhere in the repository: the front page, the methods' pages, the interface.

MkDocs calls the functions named ``on_...``; nothing is written into the repository.
"""

from __future__ import annotations

import html
import json
import posixpath
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
}
MODULES = (  # in the order of the interface
    "tools.api",
    "common.losses",
    "common.transforms",
    "common.networks",
    "common.sam",
    "common.engines",
    "common.inferers",
    "common.metrics",
    "common.handlers",
    "common.data",
    "common.datasets",
    "common.runs",
)
LINK = re.compile(r"(!?\[[^\]]*\])\(([^)#\s]+)(#[^)]*)?\)")
MATH = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
ITEM = re.compile(r"(\d\.|[*-]) (?=\S)")  # of a list, at the start of a line
MATH_IN_LINE = re.compile(r"\$`(.+?)`\$")
BLOCK = re.compile(r"<p>\.\. math::(.*?)</p>(?:\s*<pre>\s*<code>(.*?)</code>\s*</pre>)?", re.DOTALL)  # of docstrings
INLINE = re.compile(r":math:<code>(.*?)</code>", re.DOTALL)


def methods() -> dict[str, Path]:
    """Pages of all bundles by the name of their page."""
    found = sorted(ROOT.glob("bundles/*/docs/README.md"))
    return {f"methods/{path.parents[1].name}.md": path for path in found}


def on_config(config):
    """Fill in the parts of the navigation that follow from the folders."""
    parts = {"METHODS": list(methods()), "INTERFACE": [f"interface/{name}.md" for name in MODULES]}
    config.nav = [
        {title: parts.get(part, part) if isinstance(part, str) else part for title, part in entry.items()}
        for entry in config.nav
    ]
    return config


@cache
def places() -> dict[Path, str]:
    """Name in the site of every page of the repository that is in it."""
    pages = {ROOT / name: target for name, target in PAGES.items()} | {path: name for name, path in methods().items()}
    return pages | {path: path.name for path in (ROOT / "docs").glob("*.md")}


def on_files(files, config):
    """Add the pages that stand elsewhere, and those of the interface."""
    from mkdocs.structure.files import File  # the rest needs neither MkDocs nor a converter

    for path, target in places().items():
        if path.parent != ROOT / "docs":
            files.append(File.generated(config, target, content=path.read_text(encoding="utf-8")))
    for name in MODULES:
        files.append(File.generated(config, f"interface/{name}.md", content=f"# {name}\n\n::: {name}\n"))
    return files


def on_page_markdown(text, page, **_):
    """The text with its links turned to where pages are in the site, its title and its equations."""
    target = page.file.src_uri
    path = next((path for path, name in places().items() if name == target), None)
    if path is None:
        return text
    text = indented(LINK.sub(lambda match: moved(match, path, target), text))
    if target.startswith("methods/"):
        text = titled(text, path.parents[1])
    text = MATH_IN_LINE.sub(lambda match: mathml(match[1], "inline"), text)
    return MATH.sub(lambda match: mathml(match[1], "block"), text)


def on_page_content(text, **_):
    """Equations of docstrings as MathML, which browsers show without a script or a font."""

    def shown(latex: str, display: str) -> str:
        return mathml(html.unescape(re.sub(r"<[^>]+>", "", latex)).strip(), display)

    text = BLOCK.sub(lambda match: f"<p>{shown(match[1] + (match[2] or ''), 'block')}</p>", text)
    return INLINE.sub(lambda match: shown(match[1], "inline"), text)


def moved(match: re.Match, path: Path, target: str) -> str:
    """A link of the page in ``path``, for the place ``target`` in the site."""
    label, link, anchor = match[1], match[2], match[3] or ""
    if "://" in link:
        return match[0]
    place, folder = (path.parent / link).resolve(), posixpath.dirname(target) or "."
    if place in places():
        return f"{label}({posixpath.relpath(places()[place], folder)}{anchor})"
    if ROOT / "docs" in place.parents:
        return f"{label}({posixpath.relpath(place.relative_to(ROOT / 'docs').as_posix(), folder)}{anchor})"
    return html.escape(label.lstrip("!")[1:-1]) + f" (`{place.relative_to(ROOT) if ROOT in place.parents else link}`)"


def indented(text: str) -> str:
    """The text with four spaces before what belongs to an item of a list; elsewhere two or three are enough."""
    lines, missing, fenced, parts = [], 0, False, False
    for line in text.splitlines():
        fenced ^= line.startswith("```")
        item = None if fenced else ITEM.match(line)
        if item:
            lines += [""] if parts else []  # after a paragraph of an item the next one needs an empty line
            missing, parts = 4 - len(item[0]), False
        elif missing and line.startswith(" " * (4 - missing)):
            parts |= not lines[-1]
            line = " " * missing + line
        elif line.strip():
            missing, parts = 0, False
        lines.append(line)
    return "\n".join(lines) + "\n"


def mathml(latex: str, display: str) -> str:
    """An equation as browsers show it; what the converter does not know is said in other words."""
    from latex2mathml.converter import convert

    return convert(latex.replace(r"\arg", r"\mathrm{arg}\,"), display=display)


def titled(text: str, bundle: Path) -> str:
    """A model card under the name of its method; its other headings of the first level are of the second here."""
    name = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))["name"]
    text = re.sub(r"^# ", "## ", text, flags=re.MULTILINE)
    return text.replace("## Model Overview", f"# {name.partition(' semi-supervised')[0]}", 1)
