"""Each data set in the form of its download; and what is wrong with a download is told in a line."""

import json
import shutil

import nibabel
import numpy as np
import pytest

from common.errors import InputError
from tests.downloads import WRITERS
from tests.tools import archives
from tools.prepare import prepare
from tools.prepare.lists import published
from tools.volumes import read

# download, data set, options, lists (cases of train, val, test and none), values of a label
FORMS = [
    ("la2018", "la2018", {}, (4, 0, 1, 1), 2),
    ("la2018_h5", "h5", {"benchmark": "la2018"}, (4, 0, 1, 0), 2),
    ("pancreas", "pancreas", {"convention": "mcf"}, (9, 0, 1, 0), 2),
    ("pancreas_nifti", "pancreas", {}, (7, 0, 3, 0), 2),
    ("brats2019_h5", "h5", {"benchmark": "brats2019"}, (4, 1, 1, 0), 2),
    ("acdc", "acdc", {}, (18, 2, 2, 2), 4),
    ("acdc_h5", "h5", {"benchmark": "acdc"}, (18, 2, 2, 0), 4),
    ("mscmr_folders", "mscmr", {}, (8, 0, 4, 0), 4),
    ("busi", "busi", {}, (15, 0, 3, 0), 2),
]


def lists(folder):
    splits = json.loads((folder / "splits.json").read_text(encoding="utf-8"))
    return tuple(len(splits.get(key, ())) for key in ("train", "val", "test", "unlisted"))


@pytest.mark.parametrize(("download", "dataset", "options", "counts", "classes"), FORMS, ids=[f[0] for f in FORMS])
def test_a_download_becomes_the_published_lists(tmp_path, download, dataset, options, counts, classes):
    prepare(dataset, str(WRITERS[download](tmp_path / "in")), str(tmp_path / "out"), workers=1, **options)
    assert lists(tmp_path / "out") == counts
    assert len(list((tmp_path / "out" / "images").iterdir())) == sum(counts)
    for path in (tmp_path / "out" / "labels").glob("*.nii.gz"):
        assert set(np.unique(nibabel.load(path).dataobj)) <= set(range(classes))


@pytest.mark.parametrize(
    ("benchmark", "zooms", "shape"),
    [("la2018", 0.625, (36, 34, 24)), ("brats2019", 1, (30, 28, 26)), ("acdc", 1, (30, 34, 5))],
)
def test_files_of_a_benchmark_need_no_axes_and_no_spacing(tmp_path, benchmark, zooms, shape):
    source = WRITERS[f"{benchmark}_h5"](tmp_path / "in")
    prepare("h5", str(source), str(tmp_path / "out"), workers=1, benchmark=benchmark)
    image = nibabel.load(next((tmp_path / "out" / "images").iterdir()))
    assert image.shape == shape and image.header.get_zooms() == pytest.approx((zooms,) * 3)


def test_hearts_of_the_challenge_keep_vendor_phase_and_labels(tmp_path):
    source = WRITERS["mnms"](tmp_path / "in")
    prepare("mnms", str(source), str(tmp_path / "out"), workers=1)
    rows = [line.split(",") for line in (tmp_path / "out" / "manifest.csv").read_text(encoding="utf-8").splitlines()]
    assert sorted({row[2] for row in rows[1:]}) == ["A", "B", "C", "D"] and len(rows) == 1 + 2 * 9
    code, split = rows[1][3], rows[1][5]
    assert split == "train" and rows[1][0] == f"images/{code}_ED.nii.gz" and rows[2][0] == f"images/{code}_ES.nii.gz"
    cine, label = (
        nibabel.load(source / "OpenDataset" / "Training" / "Labeled" / code / f"{code}_{end}.nii.gz")
        for end in ("sa", "sa_gt")
    )
    for phase, number in (("ED", 0), ("ES", 2)):
        image, mask = (nibabel.load(tmp_path / "out" / f / f"{code}_{phase}.nii.gz") for f in ("images", "labels"))
        np.testing.assert_array_equal(image.dataobj, cine.dataobj[..., number])
        np.testing.assert_array_equal(mask.dataobj, label.dataobj[..., number])
        np.testing.assert_allclose(image.affine, cine.affine, atol=1e-5)


def test_two_sequences_of_a_patient_stay_on_one_side(tmp_path):
    prepare("mscmr", str(WRITERS["mscmr"](tmp_path / "in")), str(tmp_path / "out"), workers=1)
    splits = json.loads((tmp_path / "out" / "splits.json").read_text(encoding="utf-8"))
    assert [name for name in splits["train"] if name.startswith("patient34")] == ["patient34_C0", "patient34_LGE"]
    assert {name.split("_")[0] for name in splits["test"]} == {"patient36", "patient40", "patient45"}
    stored = nibabel.load(tmp_path / "in/C0LET2_nii45_for_challenge19/lgegt/patient5_LGE_manual.nii.gz").get_fdata()
    made = nibabel.load(tmp_path / "out/labels/patient5_LGE.nii.gz").get_fdata()
    for code, number in ((200, 1), (500, 2), (600, 3)):
        np.testing.assert_array_equal(made == number, stored == code)


def test_prostates_of_leaderboard_and_test_are_in_no_list(tmp_path):
    prepare("nci_isbi2013", str(WRITERS["nci_isbi2013"](tmp_path / "in")), str(tmp_path / "out"), workers=1)
    splits = json.loads((tmp_path / "out" / "splits.json").read_text(encoding="utf-8"))
    assert {name.split("-")[1] for name in splits["unlisted"]} == {"02", "03"}
    assert {name.split("-")[1] for name in splits["train"] + splits["test"]} == {"01"}
    assert any(name.startswith("ProstateDx-01-0006") for name in splits["test"])  # whose file has another ending


def packed(root):
    WRITERS["la2018"](root)
    archive = shutil.make_archive(str(root / "Training Set"), "zip", root, next(root.iterdir()).name)
    shutil.rmtree(next(path for path in root.iterdir() if path.is_dir()))
    return archive


def renamed(download, old, new):
    def make(root):
        WRITERS[download](root)
        for path in sorted(root.rglob(f"*{old}*"), reverse=True):
            path.rename(path.with_name(path.name.replace(old, new)))

    return make


def without(download, pattern):
    def make(root):
        WRITERS[download](root)
        for path in root.rglob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return make


def of_an_outsider(root):
    for path in list(WRITERS["acdc"](root).rglob("training")):
        shutil.rmtree(path)


WRONG = [
    ("la2018", {}, packed, "no lgemri.nrrd below; .*Training Set.zip is there: unpack it first"),
    ("la2018", {}, WRITERS["la2018_h5"], "no lgemri.nrrd below; expected the unpacked archive"),
    ("brats2019", {}, renamed("brats2019", "BraTS19_", "BraTS20_Training_"),
     "none of the 335 published cases .* is among the 6 found \\(BraTS20_Training_.*another version, or renamed"),
    ("acdc", {}, of_an_outsider, "none of the 100 published cases .*patient101"),
    ("h5", {"benchmark": "brats2019"}, WRITERS["la2018_h5"], "none of the 335 published cases"),
    ("mnms", {}, without("mnms", "*.csv"), "no table with the columns External code, Vendor, ED and ES"),
    ("mnms", {}, without("mnms", "*_gt.nii.gz"), "10 patients, none with labels"),
    ("mnms", {}, WRITERS["mscmr"], "expected mnms/<vendor>"),
    ("mscmr", {}, WRITERS["busi"], "no patient<n>_C0.nii.gz"),
    ("busi", {}, without("busi", "*[bm][ea][nl]*"), "expected Dataset_BUSI_with_GT"),
    ("fundus", {}, without("fundus", "ROIs"), "expected Fundus/<domain>"),
    ("nci_isbi2013", {}, WRITERS["pancreas_nifti"], "no series and labels named Prostate3T-01-0001"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("dataset", "options", "make", "words"), WRONG, ids=[f"{w[0]}-{n}" for n, w in enumerate(WRONG)]
)
def test_a_wrong_download_is_told_in_a_line_and_nothing_is_written(tmp_path, dataset, options, make, words):
    make(tmp_path / "in")
    with pytest.raises(InputError, match=words) as caught:
        prepare(dataset, str(tmp_path / "in"), str(tmp_path / "out"), workers=1, **options)
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def half(download, pattern, part="*"):
    """Files of a download cut in the middle."""

    def make(root):
        WRITERS[download](root)
        for path in sorted(root.rglob(pattern))[:1]:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return make


def with_rows_of_others(root):
    WRITERS["mnms"](root)
    (table,) = root.rglob("*.csv")
    lines = table.read_text(encoding="utf-8").splitlines()
    late = lines[1].split(",")
    late[6] = "7"
    table.write_text("\n".join([lines[0], ",".join(late), *lines[3:]]) + "\n", encoding="utf-8")


PARTS = [
    ("brats2019", half("brats2019", "*_flair.nii.gz"), "1 of 6", "_flair.nii.gz: cannot be read"),
    ("la2018", half("la2018", "lgemri.nrrd"), "1 of 6", "lgemri.nrrd: cannot be read"),
    (
        "acdc",
        without("acdc", "patient011_frame04_gt.nii.gz"),
        "1 of",
        "no label patient011_frame04_gt.nii.gz beside it",
    ),
    ("mnms", with_rows_of_others, "2 of", "ES of A00QA0 is '7'; expected a frame from 0 to 2"),
    ("mscmr", without("mscmr", "C0LET2_gt_for_challenge19"), "6 of 20", "no mask patient36_C0_manual.nii.gz; the test"),
    ("pancreas", without("pancreas", "label0001.nii.gz"), "1 of 10", "a scan without its label"),
    ("busi", without("busi", "benign (4)_mask.png"), "1 of 18", "benign (4)_mask.png: no such file"),
]


@pytest.mark.parametrize(("dataset", "make", "count", "words"), PARTS, ids=[part[0] for part in PARTS])
def test_a_part_that_is_missing_is_told_and_the_rest_goes_on(tmp_path, capsys, dataset, make, count, words):
    make(tmp_path / "in")
    with pytest.raises(InputError, match=f"{count}.* cases failed"):
        prepare(dataset, str(tmp_path / "in"), str(tmp_path / "out"), workers=1)
    assert words in capsys.readouterr().out
    assert len(list((tmp_path / "out" / "images").iterdir())) > 2 and (tmp_path / "out" / "splits.json").is_file()


@pytest.mark.parametrize(
    ("download", "dataset", "options"),
    [("brats2019", "brats2019", {}), ("mnms", "mnms", {}), ("mscmr", "mscmr", {}), ("prostate", "prostate", {}),
     ("la2018_h5", "h5", {"benchmark": "la2018"})],
)  # fmt: skip
def test_what_another_system_leaves_in_archives_is_no_case(tmp_path, download, dataset, options):
    source = WRITERS[download](tmp_path / "in")
    for path in [path for path in source.rglob("*") if path.is_file()]:
        for hidden in (path.with_name(f"._{path.name}"), source / "__MACOSX" / path.relative_to(source)):
            hidden.parent.mkdir(parents=True, exist_ok=True)
            hidden.write_bytes(b"Mac OS X")
    prepare(dataset, str(source), str(tmp_path / "out"), workers=1, **options)
    assert not list((tmp_path / "out" / "images").glob("._*"))


def test_a_domain_that_was_not_unpacked_is_told(tmp_path, capsys):
    without("prostate", "HK")(tmp_path / "in")
    prepare("prostate", str(tmp_path / "in"), str(tmp_path / "out"), workers=1)
    assert "missing: domain HK\n" in capsys.readouterr().out


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd"])
def test_a_volume_that_was_cut_off_is_no_volume(tmp_path, ending):
    path = archives.write(archives.volume(0)[0].astype(np.int16), tmp_path / f"a{ending}")
    assert read(path).GetSize() == (24, 20, 12)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=f"a{ending}: .*(end is missing|to its end|cannot be read)"):
        read(path)


def test_published_lists_are_complete():
    sizes = {"la2018": (80, 0, 20), "brats2019": (250, 25, 60), "acdc": (70, 10, 20), "pancreas_mcnet": (62, 0, 20),
             "pancreas_mcf": (62, 0, 20)}  # fmt: skip
    for name, counts in sizes.items():
        found = published(name)
        assert tuple(len(set(found.get(key, ()))) for key in ("train", "val", "test")) == counts
