import csv
import json

import h5py
import numpy as np
import pytest
from monai.transforms import Compose, LoadImaged
from PIL import Image

from common.data import CachedDataset, DecodeMaskd, H5Reader
from common.datasets import load_domains
from common.errors import InputError


def touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def names(roles):
    return {role: [case["case"] for case in cases] for role, cases in roles.items()}


def folders(root, domains, train=4, test=2, inner="", masks=True):
    for domain in domains:
        for split, count in (("train", train), ("test", test)):
            for n in range(count):
                for kind in ("image", "mask") if masks else ("image",):
                    touch(root, f"{domain}/{split}/{inner}{kind}/{n // 2:02d}_{n % 2:02d}.png")
    return root


@pytest.fixture
def two_sites(tmp_path):
    return folders(tmp_path / "an_image_folder", ["A", "B"])


def test_first_cases_of_one_domain_are_labeled_and_all_else_is_unlabeled(two_sites):
    roles = load_domains(two_sites, "prostate", "B", labeled=1)
    assert names(roles) == {
        "labeled": ["B/train/image/00_00"],
        "unlabeled": [f"A/train/image/{n}" for n in ("00_00", "00_01", "01_00", "01_01")]
        + [f"B/train/image/{n}" for n in ("00_01", "01_00", "01_01")],
        "validation": [],
        "test": [f"{d}/test/image/00_0{n}" for d in "AB" for n in (0, 1)],
    }
    assert roles["labeled"][0]["label"].endswith("an_image_folder/B/train/mask/00_00.png")
    assert all("label" not in case and case["domain"] in "AB" for case in roles["unlabeled"])


def test_each_domain_gives_its_last_cases_for_validation(two_sites):
    roles = names(load_domains(two_sites, "prostate", "A", labeled=2, validation=1))
    assert roles["validation"] == ["A/train/image/01_01", "B/train/image/01_01"]
    assert roles["unlabeled"] == [
        "A/train/image/01_00", *(f"B/train/image/{n}" for n in ("00_00", "00_01", "01_00"))
    ]  # fmt: skip


def test_counts_are_of_patients_where_these_are_known(two_sites):
    roles = names(load_domains(two_sites, "prostate", "A", 1, validation=1, group="{folder}/{patient}_*"))
    assert roles["labeled"] == ["A/train/image/00_00", "A/train/image/00_01"]
    assert roles["validation"] == [f"{d}/train/image/01_0{n}" for d in "AB" for n in (0, 1)]
    images = load_domains(two_sites, "prostate", "A", 1, group="{folder}/{patient}_*", by_patient=False)
    assert len(images["labeled"]) == 1 and images["labeled"][0]["patient"] == "A/A/train/image/00"


def test_a_patient_on_both_sides_is_refused(two_sites):
    with pytest.raises(InputError, match="is in both"):
        load_domains(two_sites, "prostate", "A", 1, group="{patient}_*")


def test_other_domains_may_be_unseen(two_sites):
    roles = names(load_domains(two_sites, "prostate", "A", labeled=2, others="test"))
    assert {name[0] for role in ("labeled", "unlabeled") for name in roles[role]} == {"A"}
    assert len(roles["test"]) == 2 + 4 + 2


def test_without_a_count_the_whole_domain_is_labeled(two_sites):
    roles = names(load_domains(two_sites, "mnms", "A"))
    assert len(roles["labeled"]) == 4 and {name[0] for name in roles["unlabeled"]} == {"B"}


def test_fundus_looks_into_the_regions_of_interest(tmp_path):
    root = folders(tmp_path, ["Domain1"], inner="ROIs/")
    assert names(load_domains(root, "fundus", labeled=1))["labeled"] == ["Domain1/train/ROIs/image/00_00"]


def test_published_counts_of_busi_and_its_many_masks(tmp_path):
    for domain, count in (("benign", 437), ("malignant", 210), ("normal", 3)):
        for n in range(1, count + 1):
            touch(tmp_path, f"{domain}/{domain} ({n}).png", f"{domain}/{domain} ({n})_mask.png")
    touch(tmp_path, "benign/benign (10)_mask_1.png")
    roles = load_domains(tmp_path, "busi", "benign", labeled=64)
    assert [len(cases) for cases in roles.values()] == [64, 350 - 64 + 168, 0, 87 + 42]
    assert [case["case"] for case in roles["labeled"][:3]] == [f"benign/benign ({n})" for n in (1, 10, 100)]
    assert [path.rsplit("/")[-1] for path in roles["labeled"][1]["label"]] == [
        "benign (10)_mask.png", "benign (10)_mask_1.png"
    ]  # fmt: skip


def test_lists_keep_their_order(tmp_path):
    touch(tmp_path, *(f"d/{folder}/{n}.png" for folder in ("images", "masks") for n in "abc"))
    (tmp_path / "splits.json").write_text(
        json.dumps({"train": {"d": ["c", "a"]}, "test": {"d": ["b"]}}), encoding="utf-8"
    )
    roles = names(load_domains(tmp_path, "domain_lists", labeled=1))
    assert (roles["labeled"], roles["unlabeled"], roles["test"]) == (["d/images/c"], ["d/images/a"], ["d/images/b"])


def test_acdc_slices_are_counted_by_patient_and_decode(tmp_path):
    slices = [f"patient00{p}_frame01_slice_{n}" for p in (1, 2) for n in (1, 2)]
    (tmp_path / "data" / "slices").mkdir(parents=True)
    for name in [*(f"slices/{name}" for name in slices), "patient009_frame01"]:
        shape = (4, 6) if "slice" in name else (3, 4, 6)
        with h5py.File(tmp_path / "data" / f"{name}.h5", "w") as file:
            file["image"], file["label"] = np.random.rand(*shape), np.arange(np.prod(shape)).reshape(shape) % 4
    (tmp_path / "train_slices.list").write_text("\n".join(slices), encoding="utf-8")
    (tmp_path / "val.list").write_text("patient009_frame01\n", encoding="utf-8")
    roles = load_domains(tmp_path, "acdc_slices", labeled=1)
    assert [len(cases) for cases in roles.values()] == [2, 2, 1, 0]
    load = Compose([LoadImaged("image", reader=H5Reader(), ensure_channel_first=True), DecodeMaskd("label")])
    volume = CachedDataset(roles["validation"], load, classes=4)[0]
    assert volume["image"].shape == volume["label"].shape == (1, 4, 6, 3)
    assert CachedDataset(roles["labeled"], load, classes=4)[0]["label"].flatten().tolist()[:5] == [0, 1, 2, 3, 0]


def test_mscmr_pairs_images_with_manual_masks(tmp_path):
    for name in ("C0/train/p1", "LGE/train/p2", "LGE/test/p3"):
        touch(tmp_path, f"{name}.nii.gz", f"{name}_manual.nii.gz")
    roles = load_domains(tmp_path, "mscmr", "C0")
    assert names(roles) == {
        "labeled": ["C0/train/p1"], "unlabeled": ["LGE/train/p2"], "validation": [], "test": ["LGE/test/p3"]
    }  # fmt: skip
    assert roles["test"][0]["label"].endswith("LGE/test/p3_manual.nii.gz")


def manifest(root, rows, columns=("path", "label", "domain", "patient", "slice", "split")):
    with open(root / "manifest.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([columns, *rows])
    return touch(root, *(path for row in rows for path in row[:2]))


def test_a_manifest_gives_patients_and_puts_their_slices_in_order(tmp_path):
    rows = [(f"i/{p}{z}.png", f"m/{p}{z}.png", d, p, z, s) for p, z, d, s in (
        ("q", 10, "A", "train"), ("q", 9, "A", "train"), ("p", 1, "A", "train"), ("p", 1, "B", "train"),
        ("r", 2, "A", "val"), ("s", 3, "B", "test"),
    ) if (p, d) != ("p", "B")]  # fmt: skip
    roles = load_domains(manifest(tmp_path, rows), "manifest", "A", labeled=1)
    assert names(roles) == {"labeled": ["i/q9", "i/q10"], "unlabeled": ["i/p1"], "validation": ["i/r2"],
                            "test": ["i/s3"]}  # fmt: skip
    assert [case["patient"] for case in roles["labeled"]] == ["A/q", "A/q"]


def test_broken_manifests_are_explained(tmp_path):
    for rows, columns, message in (
        ([("a.png", "b.png", "A", "p", "1", "trian")], None, "row 1: split 'trian' is none of train"),
        ([("a.png", "b.png", "A", "p", "one", "train")], None, "row 1: slice 'one' is no whole number"),
        ([("a.png", "b.png")], ("path", "label"), "no rows or no column domain, split"),
        ([("a.png", "b.png", "A", "p", "1", "train")] * 2, None, "a is listed twice"),
    ):
        root = manifest(tmp_path, rows, *([columns] if columns else []))
        with pytest.raises(InputError) as caught:
            load_domains(root, "manifest")
        assert message in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "mnist"}, "layout='mnist': expected one of prostate, mnms"),
        ({"labeled_domain": None}, "labeled_domain=None: expected one of A, B"),
        ({"labeled_domain": "C"}, "labeled_domain='C': expected one of A, B"),
        ({"labeled": 9}, "domain A: labeled=9: expected a number between 0 and the 4"),
        ({"labeled": 0}, "domain A: the labeled list is empty"),
        ({"validation": 5}, "domain A: validation=5: expected a number between 0 and the 4"),
        ({"layout": "fundus"}, "no images in the layout 'fundus'"),
        ({"layout": "domain_lists"}, "splits.json: no such file"),
        ({"layout": "manifest"}, "manifest.csv: no such file"),
    ],
)
def test_mistakes_name_themselves(options, message, two_sites):
    with pytest.raises(InputError) as caught:
        load_domains(**{"dataset_dir": two_sites, "layout": "prostate", "labeled_domain": "A", "labeled": 1, **options})
    assert message in str(caught.value)


def test_a_missing_mask_is_named_but_unlabeled_cases_need_none(tmp_path):
    root = folders(tmp_path, ["A"], test=0, masks=False)
    touch(root, "A/train/mask/00_00.png")
    assert len(load_domains(root, "prostate", labeled=1)["unlabeled"]) == 3
    with pytest.raises(InputError, match="00_01.png: no such file; it is the mask of A/train/image/00_01"):
        load_domains(root, "prostate", labeled=2)


def test_a_mask_of_another_size_names_the_file(tmp_path):
    root = folders(tmp_path, ["A"], train=1, test=0)
    Image.new("L", (8, 6)).save(root / "A/train/image/00_00.png")
    Image.new("L", (8, 7)).save(root / "A/train/mask/00_00.png")
    load = Compose([LoadImaged("image", ensure_channel_first=True), DecodeMaskd("label", "binary")])
    with pytest.raises(InputError, match=r"mask/00_00.png: label of shape \(8, 7\) for an image of shape \(8, 6\)"):
        CachedDataset(load_domains(root, "prostate")["labeled"], load)


RATIOS = {"labeled": 0.14, "unlabeled": 0.56, "validation": 0.3}


def patients(root, counts, slices=3):
    """A manifest of domains with so many patients of a few slices each, the split column of no use."""
    return manifest(root, [
        (f"i/{d}{n}_{z}.png", f"m/{d}{n}_{z}.png", d, n, z, "train") for d, count in counts.items()
        for n in range(count) for z in range(slices)
    ])  # fmt: skip


def test_ratios_split_the_patients_of_one_domain_in_order(tmp_path):
    root = patients(tmp_path, {"A": 30, "B": 2, "C": 1})
    roles = load_domains(root, "manifest", "A", others="test", ratios=RATIOS)
    found = {role: list(dict.fromkeys(case["patient"] for case in cases)) for role, cases in roles.items()}
    expected = {"labeled": range(4), "unlabeled": range(4, 21), "validation": range(21, 23), "test": range(23, 30)}
    assert {role: [p for p in found[role] if p[0] == "A"] for role in found} == {
        role: [f"A/{n}" for n in numbers] for role, numbers in expected.items()
    }
    assert [p for role in found for p in found[role] if p[0] != "A"] == ["B/0", "B/1", "C/0"] == found["test"][-3:]
    assert len(roles["labeled"]) == 12
    assert len(load_domains(root, "manifest", "A", labeled=1, others="test", ratios=RATIOS)["unlabeled"]) == 60


def test_targets_leave_other_domains_out(tmp_path):
    root = patients(tmp_path, {"A": 5, "B": 2, "C": 1}, slices=1)
    roles = load_domains(root, "manifest", "A", others="test", targets=["C"])
    assert {case["domain"] for case in roles["test"]} == {"C"}
    with pytest.raises(InputError, match="D is none of the domains A, B, C"):
        load_domains(root, "manifest", "A", others="test", targets=["D"])


def test_acdc_patients_are_grouped_by_pathology(tmp_path):
    cases = ["patient001_frame01", "patient020_frame12", "patient021_frame01", "patient080_frame01"]
    touch(tmp_path, *(f"{folder}/{case}.nii.gz" for folder in ("images", "labels") for case in cases))
    (tmp_path / "splits.json").write_text(json.dumps({"train": cases, "seed": 1}), encoding="utf-8")
    roles = load_domains(tmp_path, "acdc_groups", "DCM", labeled=1, others="test")
    assert [(case["domain"], case["patient"]) for case in roles["test"]] == [
        ("HCM", "patient021"),
        ("NOR", "patient080"),
    ]
    assert names(roles)["unlabeled"] == ["images/patient020_frame12"]
    (tmp_path / "splits.json").write_text(json.dumps({"train": ["patient101_frame01"]}), encoding="utf-8")
    with pytest.raises(InputError, match="a number from 1 to 100"):
        load_domains(tmp_path, "acdc_groups", "DCM")


def test_lists_of_one_domain_are_read_as_they_are(tmp_path):
    touch(tmp_path, *(f"images/p{n}_0.png" for n in range(4)), "labels/p0_0.png", "labels/p1_0.png")
    lists = {"labeled": ["p0_0"], "unlabeled": ["p2_0", "p3_0"], "validation": ["p1_0"]}
    (tmp_path / "splits.json").write_text(json.dumps(lists), encoding="utf-8")
    assert names(load_domains(tmp_path, "lists")) == {**lists, "test": []}
    assert not any("patient" in case for cases in load_domains(tmp_path, "lists").values() for case in cases)
    assert load_domains(tmp_path, "lists", group="{patient}_*")["labeled"][0]["patient"] == "p0"
    with pytest.raises(InputError, match="layout='lists' splits by its own lists: set ratios to null"):
        load_domains(tmp_path, "lists", ratios=RATIOS)


@pytest.mark.parametrize("group", [None, "{patient}_*"])
def test_a_studies_folder_counts_instead_of_every_layout(group, tmp_path):
    touch(tmp_path, "a.png")
    roles = load_domains("nowhere", "manifest", "A", labeled=3, ratios=RATIOS, studies=str(tmp_path), group=group)
    assert [case["image"] for case in roles["unlabeled"]] == [str(tmp_path / "a.png")] and not roles["labeled"]
