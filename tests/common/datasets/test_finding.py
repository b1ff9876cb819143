"""Cases in the forms that folders come in, and the mistakes in them."""

import json
import unicodedata

import pytest

from common.datasets import find_cases, find_images, load_datalist
from common.datasets.itk import file_reader
from common.datasets.lists import read_lists
from common.errors import InputError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def lists(root, **content):
    (root / "splits.json").write_text(json.dumps(content), encoding="utf-8")
    return root


ENDINGS = [".nii", ".NII.GZ", ".nrrd", ".nhdr", ".MHA", ".mhd", ".png", ".JPG", ".jpeg", ".bmp", ".tif", ".TIFF"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_is_read_everywhere(tmp_path, ending):
    root = lists(touch(tmp_path, f"images/a{ending}", f"masks/a{ending}"), labeled=["a"])
    (item,) = load_datalist(root)["labeled"]
    (case,) = find_cases(root).cases
    assert item == case.entry() and item["label"].endswith(f"masks/a{ending}")
    assert find_images(root / "images") == [{"image": item["image"], "case": "a"}]
    assert load_datalist("none", studies=str(root / "images"))["unlabeled"] == [{"image": item["image"]}]


def test_hidden_files_are_no_images(tmp_path):
    root = touch(tmp_path, "images/a.png", "images/._a.png", "labels/a.png", "labels/._a.png", "labels/.x.png")
    assert [case.name for case in find_cases(root).cases] == ["a"] and find_cases(root).broken == {}
    assert len(find_images(root / "images")) == 1


@pytest.mark.parametrize("pair", [("a.nii", "a.nii.gz"), ("a.png", "a.PNG"), ("a.bmp", "a.jpg")])
def test_one_case_in_two_spellings_is_refused(tmp_path, pair):
    root = lists(touch(tmp_path, *(f"images/{name}" for name in pair), "labels/a.png"), labeled=["a"])
    for find in (load_datalist, find_cases, lambda root: find_images(root / "images")):
        with pytest.raises(InputError, match="same case in another spelling; keep one"):
            find(root)


def test_accents_composed_or_apart_are_one_name(tmp_path):
    apart = unicodedata.normalize("NFD", "é")
    root = lists(touch(tmp_path, f"images/{apart}.png", "labels/é.png"), labeled=["é"])
    assert load_datalist(root)["labeled"][0]["image"].endswith(f"{apart}.png")
    lists(root, labeled=["é", apart])
    with pytest.raises(InputError, match="names the case .* twice"):
        load_datalist(root)


def test_one_file_under_two_names_is_a_leak(tmp_path):
    root = touch(tmp_path, "images/a.png", "labels/a.png", "labels/b.png")
    (root / "images" / "b.png").symlink_to("a.png")
    lists(root, labeled=["a"], validation=["b"])
    with pytest.raises(InputError, match=r"is the image of a \(labeled\) and of b \(validation\)"):
        load_datalist(root)


def test_names_may_carry_their_endings_and_masks_their_words(tmp_path):
    root = touch(tmp_path, "images/a.png", "labels/a_mask.png", "labels/a_mask_1.png", "images/b.png")
    lists(root, labeled=["a.png"], unlabeled=["b"])
    (item,) = load_datalist(root)["labeled"]
    assert item["case"] == "a" and [path.rsplit("/", 1)[1] for path in item["label"]] == ["a_mask.png", "a_mask_1.png"]
    assert [len(case.labels) for case in find_cases(root).cases] == [2, 0]


def test_a_list_of_test_cases_alone_is_enough_to_evaluate(tmp_path):
    root = lists(touch(tmp_path, "images/a.png", "labels/a.png"), test=["a"])
    assert [case["case"] for case in load_datalist(root, labeled=4, training=False)["test"]] == ["a"]
    with pytest.raises(InputError, match="expected a list 'labeled' or 'train'"):
        load_datalist(root)


def test_a_folder_without_lists_says_what_draws_them(tmp_path):
    with pytest.raises(InputError, match="splits.json: no such file; .*python -m tools plan .* draws them"):
        load_datalist(touch(tmp_path, "images/a.png"))


@pytest.mark.parametrize("ending", [".mhd", ".mha", ".nhdr", ".nrrd"])
@pytest.mark.parametrize("place", ["/etc/hostname", "../other.raw"])
def test_headers_take_their_voxels_from_their_own_folder(tmp_path, ending, place):
    path = tmp_path / f"case{ending}"
    if ending.startswith(".m"):
        start = "ObjectType = Image\nNDims = 2\nDimSize = 2 2\nElementType = MET_UCHAR\nElementDataFile = "
        texts = [start + place + "\n", start + f"LIST\nown.raw\n{place}\n"]
    else:
        start = "NRRD0004\ntype: uchar\ndimension: 2\nsizes: 2 2\nencoding: raw\ndata file: "
        texts = [start + place + "\n", start + f"LIST\nown.raw\n{place}\n"]
    for text in texts:
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match="outside its own folder"):
            file_reader(path)


def test_a_detached_header_reads_the_file_beside_it(tmp_path):
    (tmp_path / "own.raw").write_bytes(bytes([1, 2, 3, 4]))
    for name, text in (
        (
            "case.mhd",
            "ObjectType = Image\nNDims = 2\nDimSize = 2 2\nElementType = MET_UCHAR\nElementDataFile = own.raw\n",
        ),
        ("case.nhdr", "NRRD0004\ntype: uchar\ndimension: 2\nsizes: 2 2\nencoding: raw\ndata file: own.raw\n"),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert file_reader(tmp_path / name).Execute()[1, 1] == 4


def test_a_list_by_a_name_that_nothing_reads_is_said(tmp_path, caplog):
    path = tmp_path / "splits.json"
    path.write_text('{"train": ["a"], "labelled": ["b"], "seed": 3, "unlisted": []}', encoding="utf-8")
    read_lists(path)
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: the list 'labelled' is none of labeled, unlabeled, train, training, val, validation, test: not used"
    ]
