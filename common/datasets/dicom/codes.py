"""What a class is called in DICOM: codes of SNOMED CT, and the color that a viewer shows it in."""

from __future__ import annotations

import re

import numpy as np
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from skimage.color import rgb2lab

ANATOMY = Code("91723000", "SCT", "Anatomical Structure")
CONTEXTS = (  # category, and the context group of PS3.16 that lists its types
    (ANATOMY, codes.cid7192),
    (Code("49755003", "SCT", "Morphologically Abnormal Structure"), codes.cid7194),
    (Code("85756007", "SCT", "Tissue"), codes.cid7191),
)
ALIASES = {
    "la": "LeftAtrium",
    "lv": "LeftVentricle",
    "lvcavity": "LeftVentricle",
    "ra": "RightAtrium",
    "rv": "RightVentricle",
    "rvcavity": "RightVentricle",
    "myo": "Myocardium",
    "tumor": "Neoplasm",
    "tumour": "Neoplasm",
    "wholetumor": "Neoplasm",
    "enhancingtumor": "EnhancingLesion",
    "oedema": "Edema",
}
MYOCARDIUM = Code("74281007", "SCT", "Myocardium")  # in none of those groups
COLORS = (  # sRGB, easy to tell apart in this order
    (220, 60, 60),
    (70, 130, 220),
    (80, 175, 75),
    (240, 165, 30),
    (150, 80, 190),
    (60, 190, 190),
    (235, 120, 180),
    (140, 100, 60),
    (190, 190, 60),
    (120, 120, 120),
)


def codes_of(name: str) -> tuple[Code, Code]:
    """Category and type of the class ``name``; an anatomical structure of no closer kind where none is known."""
    words = [word for word in re.split(r"[^A-Za-z]+", name) if word]
    wanted = "".join(words).lower()
    wanted = ALIASES.get(wanted, wanted).lower()
    if wanted == "myocardium":
        return ANATOMY, MYOCARDIUM
    for category, group in CONTEXTS:
        keyword = next((keyword for keyword in group.dir() if keyword.lower() == wanted), None)
        if keyword is not None and wanted not in ("background", "normal"):
            return category, getattr(group, keyword)
    return ANATOMY, ANATOMY


def color_of(number: int) -> list[int]:
    """CIELab value of class ``number`` (from 1), as DICOM stores it: three whole numbers from 0 to 65535."""
    red, green, blue = COLORS[(number - 1) % len(COLORS)]
    lightness, a, b = rgb2lab(np.array([red, green, blue]) / 255, illuminant="D50")
    return [round(lightness / 100 * 65535), *(round((value + 128) / 255 * 65535) for value in (a, b))]
