"""Segments of viewers become classes of models by their names."""

import numpy as np
import pytest

from common.errors import InputError
from tools.label.labels import UNCERTAIN, Labels, by_model, colors, merged

ATRIUM = Labels("la", {"left atrium": 1})
HEART = Labels("acdc", {"right ventricle": 1, "myocardium": 2, "left ventricle": 3})
BOTH = [ATRIUM, HEART]


def segments(*names):
    return [{"name": name, "idx": 10 + k} for k, name in enumerate(names)]


ALL = segments("left atrium", "right ventricle", "myocardium", "left ventricle")
CASES = {  # values of the file, segments, which model is meant, labels by model
    "an atrium of Slicer": ([0, 1], ALL, None, {"la": [0, 1]}),
    "ventricles of Slicer, numbered behind the atrium": ([0, 2, 4], ALL, None, {"acdc": [0, 1, 3]}),
    "both": ([1, 3, 0], ALL, None, {"la": [1, 0, 0], "acdc": [0, 2, 0]}),
    "other spelling": ([1, 2], segments("Myocardium", "LEFT_ATRIUM"), None, {"la": [0, 1], "acdc": [2, 0]}),
    "a skipped segment": ([0, 1, 2], segments("scribbles", "left atrium"), None, {"la": [0, 0, 1]}),
    "what was uncertain": ([0, 1, 2], segments("left atrium", UNCERTAIN), None, {"la": [0, 1, 0]}),
    "something known": ([1, 2], segments("liver", "left atrium"), None, {"la": [0, 1]}),
    "nothing but what was uncertain": ([0, 1], segments(UNCERTAIN), None, {}),
    "nothing there, meant for one": ([0, 0], ALL, "acdc", {"acdc": [0, 0]}),
    "numbers of a model": ([0, 1, 3], None, "acdc", {"acdc": [0, 1, 3]}),
}


@pytest.mark.parametrize(("values", "said", "meant", "expected"), CASES.values(), ids=CASES)
def test_labels_go_to_their_models(values, said, meant, expected):
    found = by_model(np.array(values, np.uint8), said, BOTH, meant)
    assert {model: list(label) for model, label in found.items()} == expected
    assert all(label.dtype == np.uint8 for label in found.values())


def test_a_file_for_the_only_model_needs_no_names():
    assert list(by_model(np.array([0, 1]), None, [ATRIUM])["la"]) == [0, 1]
    assert list(by_model(np.array([0, 0]), ALL, [ATRIUM])["la"]) == [0, 0]


@pytest.mark.parametrize(
    ("values", "said", "meant", "message"),
    [
        ([5], ALL, None, "has the value 5, but label_info names 4 segments"),
        ([1], None, None, "does not say what its values are: .* one of la, acdc"),
        ([3], None, "la", r"has the value 3; the classes of la are \[1\]"),
        (
            [1],
            segments("Segment_1"),
            None,
            "no segment is a class of a model: Segment_1; the classes are left atrium, right",
        ),
        ([0], ALL, None, r"the label is empty: say which model it is for \(tag\), one of la, acdc"),
        ([1], ALL, "liver", "liver: no such model; there are la, acdc"),
    ],
)
def test_a_label_that_nobody_can_read_is_refused(values, said, meant, message):
    with pytest.raises(InputError, match=message):
        by_model(np.array(values), said, BOTH, meant)


def test_names_and_colors_of_all_models():
    names = merged([HEART, ATRIUM, Labels("again", {"myocardium": 1})])
    assert names == ["right ventricle", "myocardium", "left ventricle", "left atrium"]
    found = colors(names)
    assert found == colors(names) and all(0 <= part <= 255 for color in found.values() for part in color)
    distances = [np.abs(np.subtract(a, b)).sum() for a in found.values() for b in found.values() if a is not b]
    assert min(distances) > 60
