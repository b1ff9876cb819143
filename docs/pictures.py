"""Pictures of the methods: what goes into which loss, as SVG files beside this script.

``python docs/pictures.py`` draws them anew. A picture is a grid of boxes and the arrows between them; a test compares
the files with what this script draws.
"""

from __future__ import annotations

import html
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "methods"
BOLD = ' font-weight="600"'
WIDTH, HEIGHT, BOX_WIDTH, BOX_HEIGHT, MARGIN = 196, 66, 150, 46, 12
COLORS = {  # of the frame, of the inside
    "image": ("#3b6ea5", "#e6eff8"),
    "network": ("#4b7f52", "#e6f2e7"),
    "label": ("#9a6b1d", "#fbf1dd"),
    "loss": ("#a33c3c", "#fae6e6"),
    "plain": ("#666666", "#f2f2f2"),
}

# name: (boxes, arrows); a box is (column, row, kind, text of one or two lines), an arrow "from to", dashed with ":"
PICTURES: dict[str, tuple[dict[str, tuple[float, float, str, str]], list[str]]] = {
    "meanteacher": (
        {
            "xl": (0, 0, "image", "labeled image"),
            "v": (0, 1, "image", "unlabeled image,|mixed with a labeled one"),
            "xu": (0, 2, "image", "unlabeled image|plus noise"),
            "s": (1, 0.5, "network", "student"),
            "t": (1, 2, "network", "teacher"),
            "p": (2, 0.5, "plain", "two predictions"),
            "q": (2, 2, "label", "pseudo-label"),
            "y": (2, -0.5, "label", "label"),
            "sup": (3, 0, "loss", "supervised|Dice + cross-entropy"),
            "con": (3, 1.25, "loss", "consistency|ramped up"),
        },
        ["xl s", "v s", "xu t", "s p", "t q", "y sup", "p sup", "p con", "q con", "s t:moving average"],
    ),
    "ssnet": (
        {
            "xl": (0, 0, "image", "labeled image"),
            "xu": (0, 1, "image", "unlabeled image"),
            "r": (0, 2.2, "image", "both, plus the noise|that changes most"),
            "f": (1, 0.5, "network", "V-Net"),
            "g": (1, 2.2, "network", "the same V-Net"),
            "y": (2, -0.4, "label", "label"),
            "p": (2, 0.5, "plain", "predictions"),
            "z": (2, 1.3, "plain", "voxel features"),
            "m": (2, 3, "label", "prototypes|of the classes"),
            "pr": (2, 2.2, "plain", "predictions"),
            "sup": (3, 0, "loss", "supervised|Dice"),
            "lds": (3, 1, "loss", "lds: smoothness|the same prediction"),
            "sep": (3, 2.2, "loss", "separation|near the own prototype"),
        },
        ["xl f", "xu f", "r g", "f p", "f z", "g pr", "y sup", "p sup", "p lds", "pr lds", "z sep", "m sep"],
    ),
    "bcp": (
        {
            "xa": (0, 0, "image", "labeled image a"),
            "ua": (0, 1, "image", "unlabeled image a"),
            "ub": (0, 2, "image", "unlabeled image b"),
            "xb": (0, 3, "image", "labeled image b"),
            "in": (1, 0.5, "plain", "x_in: box of u_a|pasted into x_a"),
            "out": (1, 2.5, "plain", "x_out: box of x_b|pasted into u_b"),
            "t": (1, 1.5, "network", "teacher"),
            "s": (2, 0.5, "network", "student"),
            "s2": (2, 2.5, "network", "student"),
            "q": (2, 1.5, "label", "pseudo-labels|q_a, q_b"),
            "li": (3, 0.5, "loss", "inward|label y_a, q_a in the box"),
            "lo": (3, 2.5, "loss", "outward|q_b, label y_b in the box"),
        },
        ["xa in", "ua in", "ub out", "xb out", "ua t", "ub t", "in s", "out s2", "t q", "s li", "s2 lo", "q li",
         "q lo"],
    ),
    "dualnet": (
        {
            "xl": (0, 0.25, "image", "labeled images"),
            "xu": (0, 1.75, "image", "unlabeled images"),
            "a": (1, 0.25, "network", "A: ResNet34 V-Net"),
            "b": (1, 1.75, "network", "B: V-Net"),
            "p": (2, 1, "plain", "two predictions,|entropies, features"),
            "sup": (3, -0.75, "loss", "supervised|each against the label"),
            "cr": (3, 0.05, "loss", "cr: where one alone|is sure, labeled voxels"),
            "cps": (3, 0.85, "loss", "cps, efs: pseudo-labels|of the other, of both"),
            "ue": (3, 1.65, "loss", "ue: soft label of the|other, by agreement"),
            "pgl": (3, 2.45, "loss", "pgl: uncertain features|to reliable prototypes"),
        },
        ["xl a", "xl b", "xu a", "xu b", "a p", "b p", "p sup", "p cr", "p cps", "p ue", "p pgl"],
    ),
    "sgrsnet": (
        {
            "l": (0, 0, "image", "labeled L"),
            "u": (0, 1, "image", "unlabeled U"),
            "m": (0, 2, "image", "M: MixUp of U and L"),
            "n": (0, 3, "image", "U plus noise"),
            "s": (1, 1, "network", "student"),
            "t": (1, 3, "network", "teacher"),
            "y": (2, 0, "label", "label"),
            "pu": (2, 1, "plain", "p_U and p_M"),
            "r": (2, 2, "plain", "regions: agree, differ,|both uncertain"),
            "q": (2, 3, "label", "pseudo-label of U"),
            "sup": (3, 0.25, "loss", "supervised|Dice + cross-entropy"),
            "om": (3, 1.4, "loss", "omega, agree:|cross-entropy, Dice"),
            "th": (3, 2.6, "loss", "theta, differ:|smoothed versions"),
        },
        ["l s", "u s", "m s", "n t", "s pu", "pu r", "t q", "y sup", "pu sup", "pu om", "r om", "r th", "q om", "q th",
         "s t:moving average"],
    ),
    "synfoc": (
        {
            "w": (0, 0, "image", "unlabeled, weak"),
            "c": (0, 1.6, "image", "unlabeled, strong,|with a labeled piece"),
            "l": (0, 2.8, "image", "labeled, weak"),
            "tu": (1, -0.4, "network", "U-Net teacher"),
            "ts": (1, 0.4, "network", "SAM teacher"),
            "su": (1, 1.6, "network", "U-Net student"),
            "ss": (1, 2.6, "network", "SAM student, LoRA"),
            "e": (2, 0, "label", "blend of both|pseudo-label and mask"),
            "p": (2, 1.6, "plain", "predictions of both"),
            "y": (2, 2.8, "label", "label"),
            "ps": (3, 0.4, "loss", "pseudo: where the|blend is sure"),
            "cd": (3, 1.6, "loss", "consensus: be certain|divergence: be alike"),
            "sup": (3, 2.8, "loss", "supervised"),
        },
        ["w tu", "w ts", "c su", "c ss", "l su", "l ss", "tu e", "ts e", "su p", "ss p", "e ps", "p ps", "p cd",
         "p sup", "y sup"],
    ),
    "iere": (
        {
            "l": (0, 0, "image", "labeled images"),
            "m": (0, 1.2, "image", "copy-paste mixtures|of labeled and unlabeled"),
            "u": (0, 2.4, "image", "unlabeled images"),
            "f": (1, 1.2, "network", "one trunk,|ResNet50 U-Net"),
            "sam": (1, 3.2, "network", "SAM, fine-tuned"),
            "hs": (2, 0.6, "network", "student head"),
            "ht": (2, 1.5, "network", "teacher head"),
            "q": (2, 2.4, "label", "its labels and boxes"),
            "g": (2, 3.2, "label", "SAM's labels"),
            "ir": (3, 0, "loss", "ir: variance low|outside, high inside"),
            "bcp": (3, 0.9, "loss", "bcp: mixtures with|the teacher's labels"),
            "sup": (3, 1.8, "loss", "supervised|Jaccard, labeled images"),
            "er": (3, 2.7, "loss", "er: mixtures with|SAM's labels"),
        },
        ["l f", "m f", "u f", "u sam", "f ht", "f hs", "ht sup", "ht q:unlabeled", "hs ir", "hs bcp", "hs er", "q bcp",
         "q sam:boxes", "sam g", "g er"],
    ),
}  # fmt: skip


def drawn(name: str) -> str:
    """The picture of a method as text of an SVG file."""
    boxes, arrows = PICTURES[name]
    top = min(row for _, row, _, _ in boxes.values())
    columns = max(column for column, _, _, _ in boxes.values())
    rows = max(row for _, row, _, _ in boxes.values()) - top
    width, height = columns * WIDTH + BOX_WIDTH + 2 * MARGIN, rows * HEIGHT + BOX_HEIGHT + 2 * MARGIN
    places = {
        key: (MARGIN + column * WIDTH, MARGIN + (row - top) * HEIGHT) for key, (column, row, _, _) in boxes.items()
    }
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" font-family="system-ui, sans-serif" font-size="12" text-anchor="middle">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#777"/></marker></defs>',
        f'<rect width="{width:g}" height="{height:g}" rx="8" fill="#ffffff"/>',
        *(_arrow(places, arrow) for arrow in arrows),
        *(_box(places[key], kind, text) for key, (_, _, kind, text) in boxes.items()),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _box(place: tuple[float, float], kind: str, text: str) -> str:
    (x, y), (frame, inside), lines = place, COLORS[kind], text.split("|")
    first = y + BOX_HEIGHT / 2 + 4 - 7.5 * (len(lines) - 1)
    words = "".join(
        f'<text x="{x + BOX_WIDTH / 2:g}" y="{first + 15 * number:g}" fill="#222"'
        f"{BOLD if not number else ''}>{html.escape(line)}</text>"
        for number, line in enumerate(lines)
    )
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6" fill="{inside}" stroke="{frame}"/>'
        + words
    )


def _arrow(places: dict[str, tuple[float, float]], arrow: str) -> str:
    ends, _, word = arrow.partition(":")
    (x1, y1), (x2, y2) = (places[key] for key in ends.split())
    middle = BOX_HEIGHT / 2
    style = 'fill="none" stroke="#777" stroke-width="1.3" marker-end="url(#tip)"' + (
        ' stroke-dasharray="5 4"' if word else ""
    )
    if x1 == x2:  # below each other
        down = y2 > y1
        a, b = (y1 + BOX_HEIGHT, y2) if down else (y1, y2 + BOX_HEIGHT)
        x = x1 + BOX_WIDTH / 2
        path, at = f"M{x:g} {a:g}L{x:g} {b:g}", (x + 6, (a + b) / 2 + 4, "start")
    elif x2 > x1:
        a, b, bend = x1 + BOX_WIDTH, x2, (x2 - x1 - BOX_WIDTH) / 2
        path = f"M{a:g} {y1 + middle:g}C{a + bend:g} {y1 + middle:g} {b - bend:g} {y2 + middle:g} {b:g} {y2 + middle:g}"
        at = ((a + b) / 2, (y1 + y2) / 2 + middle - 5, "middle")
    else:  # back, to the top of a lower box
        x = x2 + BOX_WIDTH / 2
        path = f"M{x1:g} {y1 + middle:g}Q{x:g} {y1 + middle:g} {x:g} {y2:g}"
        at = ((x1 + x) / 2, y1 + middle - 5, "middle")
    label = (
        f'<text x="{at[0]:g}" y="{at[1]:g}" text-anchor="{at[2]}" font-size="11" fill="#555">{html.escape(word)}</text>'
        if word
        else ""
    )
    return f'<path d="{path}" {style}/>{label}'


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for method in PICTURES:
        (FOLDER / f"{method}.svg").write_text(drawn(method), encoding="utf-8")
