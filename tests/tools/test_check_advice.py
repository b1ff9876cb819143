"""What ``check`` tells a user to do: a remedy for each finding, patients by names, what to label next."""

import json

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from common.data import Phantom, write_phantoms
from common.errors import InputError
from tests.tools import archives
from tools.check import check
from tools.check.families import families, suggest_group
from tools.check.inspect import Facts
from tools.check.remedies import REMEDIES
from tools.check.unlike import check_unlike


def facts_of(name, labeled=False, shift=0.0, shape=(10, 10, 10)):
    return Facts(
        name,
        "unlisted",
        f"{name}.nii.gz",
        list(shape),
        spacing=[1.0, 1.0, 1.0],
        mean=0.4 + shift,
        percentiles=[shift, 0.5 + shift, 1.0 + shift],
        label=f"{name}.nii.gz" if labeled else None,
        volumes={0: 1.0, 1: 0.1} if labeled else {},
    )


def test_unlabeled_images_unlike_the_labeled_ones_come_first():
    labeled = [facts_of(f"l{n}", True, 0.02 * n) for n in range(4)]
    others = [facts_of("alike", shift=0.03), facts_of("bright", shift=0.9), facts_of("brighter", shift=3.0),
              facts_of("large", shape=(10, 10, 30))]  # fmt: skip
    assert check_unlike([*labeled, *others]) == ["brighter", "large", "bright"]
    assert [[f.text.split()[0] for f in other.findings] for other in others] == [
        [], ["intensities"], ["intensities"], ["size"]
    ]  # fmt: skip
    assert "--contrast" in others[1].findings[0].remedy and not any(f.findings for f in labeled)


def test_two_labeled_images_make_no_range():
    assert check_unlike([facts_of("a", True), facts_of("b", True), facts_of("c", shift=5.0)]) == []


def test_pairs_make_families():
    assert families([("a", "b"), ("c", "d"), ("b", "e"), ("e", "a")]) == [["a", "b", "e"], ["c", "d"]]


FRAMES = [f"p{p:02d}_{frame}" for p in range(8) for frame in (1, 7)]


@pytest.mark.parametrize(
    ("names", "pairs", "template"),
    [
        (FRAMES, [(f"p{p:02d}_1", f"p{p:02d}_7") for p in range(5)], "{patient}_*"),
        (FRAMES, [("p00_1", "p01_1"), ("p02_1", "p03_1"), ("p04_1", "p05_1")], None),
        (FRAMES, [("p00_1", "p00_7")], None),
        ([f"malignant_{n}" for n in range(9)], [("malignant_1", "malignant_2")] * 3, None),
        ([f"s{p}/{n}" for p in range(6) for n in range(2)], [(f"s{p}/0", f"s{p}/1") for p in range(3)], "{patient}/*"),
        ([f"{p}-{n}" for p in range(6) for n in range(2)], [(f"{p}-0", f"{p}-1") for p in range(3)], "{patient}-*"),
    ],
)
def test_a_template_is_suggested_where_names_tell_patients(names, pairs, template):
    assert suggest_group(names, pairs) == template


def write_frames(folder, names):
    """Volumes of which those of one patient look alike: names for each patient."""
    rng = np.random.default_rng(3)
    for frames in names:
        scan = ndimage.gaussian_filter(rng.normal(size=(32, 32, 16)), 1.5).astype(np.float32)
        for name in frames:
            noisy = scan + 0.02 * rng.normal(size=scan.shape).astype(np.float32) * scan.std()
            path = folder / "images" / f"{name}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(noisy, np.eye(4)), path)


def test_frames_of_a_patient_stand_in_one_group_with_advice(tmp_path, capsys):
    write_frames(tmp_path / "data", [("a", "k"), ("b", "m", "n"), ("c",), ("d",), ("e",)])
    check(str(tmp_path / "data"), output=str(tmp_path / "report"))
    text = capsys.readouterr().out
    assert "a, k: look alike, 2 images of one patient? (2)" in text and f"-> {REMEDIES['alike']}" in text
    assert "b, m, n: look alike, 3 images of one patient? (1)" in text and "--group '" not in text
    report = json.loads((tmp_path / "report" / "check.json").read_text(encoding="utf-8"))
    assert report["group"] is None and all(f["remedy"] for c in report["cases"] for f in c["findings"])


def test_images_that_are_all_alike_tell_no_patients(tmp_path, capsys):
    write_frames(tmp_path / "data", ["abcdefg"])
    check(str(tmp_path / "data"), output=str(tmp_path / "report"))
    text = capsys.readouterr().out
    assert "7 images look alike, too many for a patient" in text and "one patient?" not in text


def test_frames_whose_names_say_so_are_no_finding(tmp_path, capsys):
    write_frames(tmp_path / "data", [[f"p{patient}_{frame}" for frame in range(2)] for patient in range(5)])
    check(str(tmp_path / "data"), output=str(tmp_path / "report"))
    text = capsys.readouterr().out
    assert "--group '{patient}_*' keeps a patient's images together" in text and "look alike" not in text
    report = json.loads((tmp_path / "report" / "check.json").read_text(encoding="utf-8"))
    assert report["group"] == "{patient}_*"


def test_extents_and_spacings_are_those_of_training(tmp_path, capsys):
    data = write_phantoms(tmp_path / "data", Phantom((20, 24, 16)), labeled=2, unlabeled=1, validation=0, test=0)
    for folder in ("images", "labels"):
        for path in (data / folder).iterdir():
            image = nibabel.load(path)
            turned = image.as_reoriented(nibabel.orientations.axcodes2ornt("SPL"))
            nibabel.save(turned, path)
    check(str(data), output=str(tmp_path / "report"))
    report = json.loads((tmp_path / "report" / "check.json").read_text(encoding="utf-8"))
    assert sorted({case["orientation"] for case in report["cases"]}) != ["LPS"]
    assert all(case["shape"] == [20, 24, 16] for case in report["cases"])
    assert "20 x 24 x 16" in capsys.readouterr().out


def test_a_download_with_masks_beside_its_images_is_read(tmp_path, capsys):
    for domain in ("benign", "malignant"):
        for n in range(3):
            folder = tmp_path / "Dataset_BUSI_with_GT" / domain
            archives.picture(folder / f"{domain} ({n}).png", 7 * n + len(domain))
            for part in ("mask", "mask_1")[: n + 1]:
                values = np.zeros((20, 16), np.uint8)
                values[n : n + 4, 2 + len(part) : 6 + len(part)] = 255
                archives.picture(folder / f"{domain} ({n})_{part}.png", 0, values=values)
    check(str(tmp_path / "Dataset_BUSI_with_GT"), output=str(tmp_path / "report"))
    assert "6 images, 6 with a readable label" in capsys.readouterr().out
    report = json.loads((tmp_path / "report" / "check.json").read_text(encoding="utf-8"))
    sizes = {case["case"]: case["volumes"]["1"] for case in report["cases"]}
    assert sizes["benign (0)"] == 16 and sizes["benign (2)"] > 16


@pytest.mark.parametrize("by", ["coverage", "foreground", "random"])
def test_the_first_images_to_label_are_named_with_a_reason(tmp_path, capsys, by):
    data = write_phantoms(tmp_path / "data", Phantom((32, 28, 16)), labeled=1, unlabeled=5, validation=0, test=0)
    check(str(data), output=str(tmp_path / "report"), first=3, by=by)
    text = capsys.readouterr().out
    report = json.loads((tmp_path / "report" / "check.json").read_text(encoding="utf-8"))
    names = [choice["id"] for choice in report["label_first"]]
    assert len(set(names)) == 3 and "phantom_000" not in names
    assert all(f"label {n}: {name} (" in text for n, name in enumerate(names, 1))
    check(str(data), output=str(tmp_path / "again"), first=3, by=by)
    again = json.loads((tmp_path / "again" / "check.json").read_text(encoding="utf-8"))
    assert by == "random" or [choice["id"] for choice in again["label_first"]] == names


def test_another_way_to_choose_the_first_is_refused(tmp_path):
    data = write_phantoms(tmp_path / "data", Phantom((32, 28, 16)), labeled=1, unlabeled=1, validation=0, test=0)
    with pytest.raises(InputError, match="by must be one of"):
        check(str(data), output=str(tmp_path / "report"), first=1, by="size")
