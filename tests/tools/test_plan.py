"""Plans for own data in all forms, and a training of every bundle on an unedited plan."""

import csv
import json

import numpy as np
import pytest
import yaml

from common.data import Phantom, write_phantoms
from common.datasets import load_datalist
from common.errors import InputError
from tests.tools import archives
from tools.plan import plan, timing
from tools.plan.method import all_methods, method_of
from tools.run import BUNDLES, layer_files, run

METHODS = [method.name for method in all_methods()]
VOLUMETRIC = [method.name for method in all_methods() if method.dims == 3]
SHORT = {"iterations": 2, "epoch_length": 2, "base_channels": 4, "amp": False, "progress": False, "device": "cpu"}


def own_volumes(folder, cases=5, labeled=3, size=(56, 50, 30), spacing=(1.0, 1.0, 2.0), channels=1, classes=2):
    """images/ with ``cases`` volumes, labels/ with fewer."""
    for n in range(cases):
        image, label = Phantom(size, classes).sample(n)
        path = folder / "images" / f"case{n}.nii.gz"
        if channels > 1:
            path.parent.mkdir(parents=True, exist_ok=True)
            parts = [archives.to_image((image * k).astype(np.float32), spacing) for k in range(1, channels + 1)]
            archives.sitk.WriteImage(archives.sitk.JoinSeries(parts), str(path))
        else:
            archives.write(image, path, spacing=spacing)
        if n < labeled:
            archives.write(label, folder / "labels" / f"case{n}.nii.gz", spacing=spacing)
    return folder


def planned(folder, **options):
    """The plan of a folder as a dictionary; for a CPU and without a SAM, whatever the machine of the test."""
    plan(str(folder), **{"device": "cpu", "memory": 16.0, "sam": "none", "overwrite": True, **options})
    where = options.get("output", folder if folder.is_dir() else folder.parent)
    return yaml.safe_load((type(folder)(where) / "plan.yaml").read_text(encoding="utf-8"))


def train_and_infer(method, folder, image, tmp_path, **options):
    """Two iterations and one inference on the unedited plan; returns the path of the prediction."""
    run(method, str(folder / "plan.yaml"), **{**SHORT, "output_dir": str(tmp_path / "run"), **options})
    with open(tmp_path / "run" / "history.csv", encoding="utf-8", newline="") as file:
        assert all(np.isfinite(float(row["loss"])) for row in csv.DictReader(file))
    where = {"checkpoint": str(tmp_path / "run"), "output_dir": str(tmp_path / "out")}
    run(method, "inference", inputs=str(image), **where, amp=False, device="cpu")
    return next((tmp_path / "out").iterdir())


@pytest.mark.parametrize("method", VOLUMETRIC)
def test_bundles_for_volumes_run_on_an_unedited_plan_for_one_of_them(method, tmp_path):
    folder = own_volumes(tmp_path / "data", channels=2, classes=3)
    values = planned(folder, method="ssnet_segmentation")
    assert values["in_channels"] == 2 and values["num_classes"] == 3
    image = folder / "images" / "case4.nii.gz"
    result = archives.sitk.ReadImage(str(train_and_infer(method, folder, image, tmp_path)))
    assert result.GetSize() == (56, 50, 30) and result.GetSpacing() == pytest.approx((1, 1, 2))


@pytest.mark.parametrize("method", METHODS)
def test_every_bundle_runs_on_an_unedited_plan_of_thin_stacks(method, tmp_path):
    folder = own_volumes(tmp_path / "data", size=(40, 36, 16), spacing=(1.5, 1.5, 8.0), classes=4)
    values = planned(folder, method=method)
    if "pooling" in values:
        assert (values["pooling"], values["patch_size"]) == ([4, 4, 2], [48, 48, 16])
    else:
        assert values.get("slices", True) is True and values["patch_size"] == [48, 48]
    image = folder / "images" / "case4.nii.gz"
    result = archives.sitk.ReadImage(str(train_and_infer(method, folder, image, tmp_path)))
    assert result.GetSize() == (40, 36, 16) and result.GetSpacing() == pytest.approx((1.5, 1.5, 8.0))


def test_slices_keep_their_pixels_where_they_are_asked_for(tmp_path):
    """Slices of 60 x 36 and 44 x 36 pixels of two spacings: none is stretched, and results lie on the files' grids."""
    folder = own_volumes(tmp_path / "data", size=(60, 36, 16), spacing=(1.0, 1.0, 8.0), cases=4)
    for n in range(2):
        image, _ = Phantom((44, 36, 16)).sample(9)
        archives.write(image, folder / "images" / f"other{n}.nii.gz", spacing=(1.5, 1.5, 8.0))
    values = planned(folder, dims=2)
    assert values["slice_fit"] == "patch" and values["spacing"] == [1.0, 1.0, None] and len(values["stride"]) == 2
    assert values["patch_size"] == [64, 48] and values["symmetries"] == "mirrors"
    result = train_and_infer("meanteacher_segmentation", folder, folder / "images" / "other0.nii.gz", tmp_path)
    assert archives.sitk.ReadImage(str(result)).GetSize() == (44, 36, 16)


def test_color_pictures_are_trained_as_they_are(tmp_path):
    for n in range(4):
        archives.picture(tmp_path / "data" / "images" / f"p{n}.png", n, size=(40, 36), color=True)
        if n < 2:
            mask = np.zeros((40, 36), np.uint8)
            mask[10:20, 5 : 15 + n] = 1
            archives.picture(tmp_path / "data" / "labels" / f"p{n}.png", 0, values=mask)
    values = planned(tmp_path / "data")
    assert values["in_channels"] == 3 and values["slices"] is True and values["patch_size"] == [48, 48]
    image = tmp_path / "data" / "images" / "p3.png"
    train_and_infer("meanteacher_segmentation", tmp_path / "data", image, tmp_path)


def test_volumes_smaller_than_the_patch_are_padded(tmp_path):
    folder = own_volumes(tmp_path / "data", cases=3, labeled=1, size=(24, 20, 26), spacing=(1.0, 1.0, 1.0))
    values = planned(folder)
    assert values["patch_size"] == [48, 48, 32] and values["pooling"] is None
    assert "smaller volumes are padded with zeros" in (folder / "plan.yaml").read_text(encoding="utf-8")
    train_and_infer("meanteacher_segmentation", folder, folder / "images" / "case2.nii.gz", tmp_path)


# ---- lists


def test_images_without_a_label_are_unlabeled_and_lists_are_written(tmp_path):
    folder = own_volumes(tmp_path / "data", cases=5, labeled=3, size=(24, 24, 24))
    planned(folder)
    cases = load_datalist(folder)
    assert sorted(case["case"] for case in cases["labeled"]) == ["case0", "case1", "case2"]
    assert [case["case"] for case in cases["unlabeled"]] == ["case3", "case4"]
    before = (folder / "splits.json").read_text(encoding="utf-8")
    planned(folder)  # the lists are there now
    assert (folder / "splits.json").read_text(encoding="utf-8") == before


def test_two_folders_and_another_output(tmp_path):
    folder = own_volumes(tmp_path / "data", size=(24, 24, 24))
    (folder / "images").rename(folder / "scans")
    (folder / "labels").rename(folder / "truth")
    values = planned(folder, images="scans", labels="truth", output=str(tmp_path / "here"))
    assert values["dataset_dir"] == str(tmp_path / "here")
    cases = load_datalist(tmp_path / "here")
    assert len(cases["labeled"]) == 3 and cases["unlabeled"][0]["image"].endswith("data/scans/case3.nii.gz")
    assert not (folder / "splits.json").exists()


def test_a_datalist(tmp_path):
    folder = own_volumes(tmp_path / "data", size=(24, 24, 24))
    training = [{"image": f"images/case{n}.nii.gz", "label": f"labels/case{n}.nii.gz"} for n in range(2)]
    training += [{"image": "images/case3.nii.gz"}]
    (folder / "dataset.json").write_text(json.dumps({"training": training}), encoding="utf-8")
    planned(folder / "dataset.json")
    cases = load_datalist(folder)
    assert sorted(case["case"] for case in cases["labeled"]) == ["case0", "case1"] and len(cases["unlabeled"]) == 1


def test_many_labels_give_a_validation_list_by_patient(tmp_path):
    folder = own_volumes(tmp_path / "data", cases=24, labeled=22, size=(24, 24, 24))
    for part in ("images", "labels"):
        for path in (folder / part).iterdir():
            number = int(path.name[4:].split(".")[0])
            path.rename(path.with_name(f"p{number // 2:02d}_{number % 2}.nii.gz"))
    values = planned(folder, group="{patient}_*", labeled=4)
    cases = load_datalist(folder, group=values["group"])
    patients = {role: {case["case"][:3] for case in cases[role]} for role in cases}
    assert len(patients["labeled"]) == 4 and len(patients["validation"]) == 2 and len(patients["unlabeled"]) == 6
    assert not patients["validation"] & (patients["labeled"] | patients["unlabeled"])


def test_a_benchmark_labels_a_tenth(tmp_path):
    folder = write_phantoms(tmp_path / "data", Phantom((24, 24, 24)), labeled=20, unlabeled=0, validation=1, test=0)
    lists = json.loads((folder / "splits.json").read_text(encoding="utf-8"))
    (folder / "splits.json").write_text(
        json.dumps({"train": lists["labeled"], "val": lists["validation"]}), encoding="utf-8"
    )
    assert planned(folder)["labeled"] == 2 and planned(folder, labeled=5)["labeled"] == 5


# ---- choices


def test_the_window_of_ct_holds_every_labeled_class(tmp_path):
    """Air and table decide the percentiles of the images, a small bright class those of the labels."""
    rng = np.random.default_rng(0)
    for n in range(3):
        image = np.full((56, 50, 30), -1000, np.int16)
        label = np.zeros(image.shape, np.uint8)
        image[8:48, 8:42, 4:26] = rng.normal(40, 10, (40, 34, 22))
        label[12:24, 12:24, 8:16], label[30:33, 30:33, 8:11] = 1, 2
        image[label == 2] = 700 + 10 * n
        image[0, 0, 0] = 3000
        archives.write(image, tmp_path / "images" / f"case{n}.nii.gz")
        if n < 2:
            archives.write(label, tmp_path / "labels" / f"case{n}.nii.gz")
    low, high = planned(tmp_path)["window"]
    assert -100 < low < 15 and 780 <= high <= 785


def test_names_of_frames_keep_patients_together_and_lists_are_drawn_anew(tmp_path):
    for patient in range(12):
        for frame in (1, 2):
            image, label = Phantom((48, 48, 32)).sample(patient)
            archives.write(image, tmp_path / "images" / f"p{patient:02d}_frame{frame:02d}.nii.gz")
            if patient < 10:
                archives.write(label, tmp_path / "labels" / f"p{patient:02d}_frame{frame:02d}.nii.gz")
    values = planned(tmp_path, overwrite=False)
    lists = json.loads((tmp_path / "splits.json").read_text(encoding="utf-8"))
    owners = {role: {name[:3] for name in lists[role]} for role in ("labeled", "unlabeled", "validation")}
    assert values["group"] == "{patient}_frame{number}" and len(owners["validation"]) == 2
    assert not owners["validation"] & (owners["labeled"] | owners["unlabeled"])
    (tmp_path / "plan.yaml").unlink()
    assert planned(tmp_path, overwrite=False, group="none")["group"] is None
    anew = json.loads((tmp_path / "splits.json").read_text(encoding="utf-8"))
    assert anew["labeled"] != lists["labeled"]
    anew["labeled"], anew["unlabeled"] = anew["labeled"][:-1], [*anew["unlabeled"], anew["labeled"][-1]]
    (tmp_path / "splits.json").write_text(json.dumps(anew), encoding="utf-8")
    with pytest.raises(InputError, match=r"splits\.json: was changed since a plan drew it"):
        planned(tmp_path, overwrite=False, group="{patient}_*")


def test_labels_say_how_large_organs_are_in_the_axes_of_training(tmp_path):
    label = np.zeros((40, 30, 20), np.uint8)
    label[5:25, 5:15, 5:9], label[30:33, 20:24, 10:15] = 1, 2
    for n in range(3):
        archives.write(
            np.random.default_rng(n).normal(size=label.shape).astype(np.float32),
            tmp_path / "images" / f"c{n}.nii.gz",
            spacing=(1, 1, 2),
        )
        if n < 2:
            archives.write(label, tmp_path / "labels" / f"c{n}.nii.gz", spacing=(1, 1, 2))
    planned(tmp_path)
    figures = json.loads((tmp_path / "fingerprint.json").read_text(encoding="utf-8"))
    assert figures["organ"] == [20.0, 10.0, 8.0] and figures["smallest"] == 3.0


def test_time_chooses_the_length_and_whether_unlabeled_images_can_pay(tmp_path, monkeypatch):
    folder = own_volumes(tmp_path / "data", cases=3, labeled=1, size=(24, 20, 26))
    monkeypatch.setattr(timing, "seconds_per_step", lambda method, path: 0.5)
    values = planned(folder, memory=None, hours=1.0)
    assert values["iterations"] == 5700 and "consistency" not in values
    values = planned(folder, memory=None, hours=0.1)
    text = (folder / "plan.yaml").read_text(encoding="utf-8")
    assert values["iterations"] == 500 and values["consistency"] is False and values["ramp_up"] == 200
    assert (
        "0.50 s each by 12 timed ones" in text
        and "unlabeled images pay from about 2000 on, which takes 0.3 hours" in text
    )
    assert json.loads((folder / "timing.json").read_text(encoding="utf-8"))["seconds_per_step"] == 0.5
    assert "consistency" not in planned(folder, memory=None, hours=0.1, method="ssnet_segmentation")
    with pytest.raises(InputError, match="--hours 0: expected a number of hours above 0"):
        planned(folder, memory=None, hours=0)
    with pytest.raises(InputError, match="leave out hours or iterations"):
        planned(folder, memory=None, hours=1, iterations=100)
    with pytest.raises(InputError, match="steps are timed on this machine"):
        planned(folder, hours=1)
    with pytest.raises(InputError, match="plan.yaml: there already"):
        planned(folder, memory=None, hours=1, overwrite=False)
    assert timing.iterations_in(0.5, 0.5) == 2800
    assert timing.iterations_in(0.001, 0.5) == 200 and timing.iterations_in(100, 0.01) == 20_000


def test_a_smaller_patch_is_taken_where_it_leaves_time(tmp_path, monkeypatch):
    folder = own_volumes(tmp_path / "data", cases=3, labeled=1, size=(96, 96, 64))
    usual = planned(folder)["patch_size"]
    sizes = []

    def seconds(method, path):
        sizes.append(np.prod(yaml.safe_load(path.read_text(encoding="utf-8"))["patch_size"]))
        return sizes[-1] / np.prod(usual)

    monkeypatch.setattr(timing, "seconds_per_step", seconds)
    values = planned(folder, memory=None, hours=0.5)
    assert sizes[0] == np.prod(usual) and sizes[1] <= 2**16 and np.prod(values["patch_size"]) == sizes[1]
    assert values["iterations"] >= 2000 and "consistency" not in values


def test_dims_can_be_asked_for(tmp_path):
    folder = own_volumes(tmp_path / "data", cases=3, labeled=1, size=(48, 48, 30))
    assert planned(folder, dims=2)["slices"] is True and "slices" not in planned(folder)
    with pytest.raises(InputError, match="--dims 3: iere_segmentation trains on slices"):
        planned(folder, dims=3, method="iere_segmentation")


def test_a_plan_holds_options_of_its_method_alone(tmp_path):
    folder = own_volumes(tmp_path / "data", size=(24, 24, 24))
    for name in METHODS:
        values = planned(folder, method=name)
        assert {key.split("#")[0] for key in values} <= method_of(name).options.keys()
        assert not any(isinstance(value, str) and value.startswith(("$", "@")) for value in values.values())
        assert not any(isinstance(value, dict) for value in values.values())


def test_a_folder_with_all_labels_is_planned_without_unlabeled_images(tmp_path):
    folder = own_volumes(tmp_path / "data", cases=3, labeled=3, size=(24, 24, 24))
    values = planned(folder)
    assert (values["consistency"], values["unlabeled_batch"]) == (False, 0)
    output = tmp_path / "run"
    run("meanteacher_segmentation", str(folder / "plan.yaml"), iterations=2, epoch_length=1, base_channels=2,
        output_dir=str(output), progress=False)  # fmt: skip
    assert (output / "model.pt").is_file()
    values = planned(folder, method="ssnet_segmentation", labeled=1, overwrite=True)
    assert values["unlabeled_batch"] > 0


# ---- mistakes


def test_a_folder_without_labels_is_told_what_to_label_first(tmp_path):
    folder = own_volumes(tmp_path / "data", cases=2, labeled=0, size=(24, 24, 24))
    with pytest.raises(InputError, match="no image has a label; python -m tools check .*data --first 4 names those"):
        planned(folder)


def test_what_cannot_be_planned_is_said_in_one_line(tmp_path):
    folder = own_volumes(tmp_path / "data", cases=3, labeled=3, size=(24, 24, 24))
    with pytest.raises(InputError, match="every image has a label; labeled=N labels so many.* or method=meanteacher"):
        planned(folder, method="ssnet_segmentation")
    with pytest.raises(InputError, match="3 patients have labels: 4 to train on and 0 to validate on"):
        planned(folder, labeled=4)
    with pytest.raises(InputError, match="nothing_segmentation: no such bundle"):
        planned(folder, labeled=1, method="nothing_segmentation")
    with pytest.raises(InputError, match="sam.pth: meanteacher_segmentation takes no SAM"):
        planned(folder, labeled=1, sam="sam.pth")
    with pytest.raises(InputError, match="my.yaml: output is the folder that plan.yaml is written to"):
        planned(folder, labeled=1, output=str(tmp_path / "my.yaml"))
    label = archives.sitk.ReadImage(str(folder / "labels" / "case0.nii.gz")) * 255
    archives.sitk.WriteImage(label, str(folder / "labels" / "case0.nii.gz"))
    with pytest.raises(InputError, match="values .255. outside the classes .*prepare folder numbers the classes"):
        planned(folder, labeled=1)
    (folder / "labels" / "stray.nii.gz").write_bytes((folder / "labels" / "case1.nii.gz").read_bytes())
    with pytest.raises(InputError, match="a label without its image"):
        planned(folder, labeled=1)
    assert not (folder / "plan.yaml").exists() and not (folder / "splits.json").exists()


def test_lists_of_domains_need_prepare(tmp_path):
    folder = own_volumes(tmp_path / "data", size=(24, 24, 24))
    (folder / "splits.json").write_text(json.dumps({"train": {"a": ["case0"]}}), encoding="utf-8")
    with pytest.raises(InputError, match="several domains, and this method takes one .*tools prepare makes one"):
        planned(folder)


def test_a_layer_may_be_a_file_anywhere(tmp_path):
    (tmp_path / "mine.yaml").write_text("labeled: 3\n", encoding="utf-8")
    root = BUNDLES / "ssnet_segmentation"
    assert layer_files(root, str(tmp_path / "mine.yaml")) == [str(tmp_path / "mine.yaml")]
    with pytest.raises(InputError, match="lost.yaml: no such file; it is given as a layer"):
        layer_files(root, str(tmp_path / "lost.yaml"))


def test_a_plan_that_was_edited_is_replaced_only_when_asked(tmp_path):
    folder = own_volumes(tmp_path / "data", size=(24, 24, 24))
    planned(folder)  # draws the lists
    planned(folder)
    planned(folder, overwrite=False)  # the same again
    (folder / "plan.yaml").write_text("seed: 1\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"plan\.yaml: there already, and another; overwrite replaces it"):
        planned(folder, overwrite=False)
    assert (folder / "plan.yaml").read_text(encoding="utf-8") == "seed: 1\n"
