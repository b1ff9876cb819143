"""Templates of names: what they take for the patient, what is no template, and that nothing takes long."""

import random
import re
import time

import pytest

from common.errors import InputError
from common.groups import PATIENT, grouping


@pytest.mark.parametrize(("template", "name", "patient"), [
    ("{patient}_*", "patient001_frame01_slice_3", "patient001"),
    ("{patient}_{number}", "site_case01_12", "site_case01"),
    ("{patient}_{number}_{number}", "site_case01_3_12", "site_case01"),
    ("*_{patient}", "scan_12_p03", "p03"),
    ("scan*_{patient}_z{number}", "scan_a_p03_z7", "p03"),
    ("{patient}?", "p01a", "p01"),
    ("patient{patient}frame*", "patient7frame1", "7"),
    ("{patient} (*)", "benign (12)", "benign"),
    ("{patient}_*", "A/train/p1_a", "p1"),
    ("{patient}/*", "A/train/p1/a", "p1"),
    ("{folder}/{patient}_*", "A/train/p1_a", "A/train/p1"),
    ("{folder}/{patient}/*_{number}", "A/train/p1/a_2", "A/train/p1"),
    ("{folder}/{patient}_*", "p1_a", "p1"),
    ("{patient}.$[a]#*", "p.$[a]#1", "p"),
    ("*{patient}-", "ab-", None),
    ("{patient}_*", "p1", None),
    ("{patient}_*", "_a", None),
    ("{patient}/*", "a", None),
    ("{patient}_{number}", "p_1a", None),
    ("{patient}_{number}", "p_\u0661", None),
    (None, "p1_a", "p1_a"),
])  # fmt: skip
def test_the_patient_is_what_the_template_says(template, name, patient):
    if patient is not None:
        assert grouping(template)(name) == patient
        return
    with pytest.raises(InputError, match="does not fit the template|with something between"):
        grouping(template)(name)


@pytest.mark.parametrize("template", [
    r"(patient\d+)", "^(p)", "*", "", "{patient}", "{patient}*", "*{patient}", "{patient}{number}_",
    "{patient}_{patient}",
    "{case}_{patient}", "a/{folder}/{patient}_*", "{patient}\n_*", "{patient}_" + "*" * 200, 3, ["{patient}_*"],
    "{Patient}_*", "{ patient }_*",
])  # fmt: skip
def test_what_is_no_template_is_answered_with_one(template):
    if template == "{patient}":  # the whole name: every case by itself
        assert grouping(template)("a_b") == "a_b"
        return
    with pytest.raises(InputError, match=r"expected a template such as \{patient\}_\*"):
        grouping(template)


def test_random_templates_agree_with_all_ways_of_reading_them():
    rng = random.Random(0)
    for _ in range(2000):
        before, after = ("".join(rng.choices(["a", "b", "_", "?", "*", "{number}"], k=rng.randrange(4))) for _ in "ab")
        template, name = f"{before}_{PATIENT}_{after}", "".join(rng.choices("ab_12", k=rng.randrange(1, 12)))
        meant = {"*": ".*", "?": ".", "{number}": "[0-9]+"}
        sides = ["".join(meant.get(sign, sign) for sign in re.findall(r"\{number\}|.", side))
                 for side in (before + "_", "_" + after)]  # fmt: skip
        fits = [(j - i, i) for i in range(len(name)) for j in range(i + 1, len(name) + 1)
                if re.fullmatch(sides[0], name[:i]) and re.fullmatch(sides[1], name[j:])]  # fmt: skip
        if fits:
            length, start = min(fits)
            assert grouping(template)(name) == name[start : start + length], (template, name)
        else:
            with pytest.raises(InputError):
                grouping(template)(name)


def test_no_template_takes_long():
    started = time.perf_counter()
    for template in ("*a" * 90 + "{patient}b", "?*" * 90 + "b{patient}" + "b", "{patient}_" + "{number}*" * 20):
        with pytest.raises(InputError):
            grouping(template)("a" * 4000)
    assert time.perf_counter() - started < 5
