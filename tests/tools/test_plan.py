"""Plans for own data in all forms, the choices by hand, and a training of every bundle on an unedited plan."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import yaml

from common.data import Phantom, write_phantoms
from common.datasets import load_datalist
from common.errors import InputError
from tests.tools import archives
from tools.plan import plan, timing
from tools.plan.choices import choose, pick_dims
from tools.plan.fingerprint import Fingerprint
from tools.plan.machine import GIB, Cost, Machine, cost_of, this_machine
from tools.plan.method import FACTS, Facts, Method, all_methods, method_of, read_facts
from tools.plan.patches import best_patch, halvings_of
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


def found(**changes):
    one = {
        "dims": 3, "channels": 1, "modality": "MR or other volumes",
        "sizes": ((100.0, 90.0, 60.0), (192.0, 142.0, 88.0), (240.0, 160.0, 88.0)),
        "spacings": ((0.625,) * 3,) * 3, "intensities": (-1.0, 0.0, 5.0), "classes": 2,
        "volumes": {0: 500.0, 1: 50.0}, "images": 80, "labeled": 8,
    }  # fmt: skip
    return Fingerprint(**{**one, **changes})


CHEAP = Cost(per_voxel=850.0, fixed=150e6)


def test_a_gpu_takes_the_published_patch_size_or_more():
    values = choose(found(), 3, Machine("cuda", 80 * GIB), CHEAP).values
    assert values["spacing"] is None and values["labeled_batch"] == 2
    assert 112 * 112 * 80 <= np.prod(values["patch_size"]) <= 2**20
    assert all(extent % 16 == 0 for extent in values["patch_size"])


def test_a_cpu_takes_coarser_voxels_so_that_a_patch_holds_the_organ():
    atrium = found(organ=(90.0, 70.0, 45.0), smallest=45.0)
    values = choose(atrium, 3, Machine("cpu", 16 * GIB), CHEAP).values
    held = np.array(values["patch_size"]) * values["spacing"]
    assert np.ptp(values["spacing"]) == 0 and (held > 0.8 * np.array(atrium.organ)).all()
    assert np.prod(values["patch_size"]) <= 2**17 and values["iterations"] == 2000 and values["ramp_up"] == 800
    fine = choose(found(organ=(90.0, 70.0, 45.0), smallest=3.0), 3, Machine("cpu", 16 * GIB), CHEAP)
    assert fine.values["spacing"] == [0.75] * 3 and "less than the largest class" in fine.reasons["patch_size"]


def test_ct_keeps_thick_slices_and_gets_a_window():
    ct = found(
        modality="CT", sizes=((512.0, 512.0, 60.0),) * 3, spacings=((0.8, 0.8, 2.0),) * 3,
        intensities=(-1024.0, -100.0, 460.0), foreground=(-20.0, 180.0),
    )  # fmt: skip
    values = choose(ct, pick_dims(ct)[0], Machine("cuda", 80 * GIB), CHEAP).values
    assert values["window"] == [-40, 200] and values["spacing"][2] == 2.0 and values["spacing"][0] > 0.8
    assert "contrast" not in values and choose(found(), 3, Machine("cpu", 8 * GIB), CHEAP).values["contrast"] == 0.6


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


@pytest.mark.parametrize(
    ("size", "spacing", "dims"),
    [
        ((256, 216, 9), (1.5, 1.5, 10.0), 3),
        ((256, 216, 7), (1.5, 1.5, 10.0), 2),
        ((256, 216, 9), (1.0, 1.0, 1.0), 2),  # the source carries no spacing: few slices
        ((256, 216, 40), (1.0, 1.0, 3.0), 3),
        ((256, 216, 60), (1.0, 1.0, 2.5), 3),
        ((200, 40, 200), (1.0, 5.0, 1.0), 3),
        ((200, 6, 200), (1.0, 5.0, 1.0), 3),  # thin along another axis: slices are cut along the last one only
    ],
)
def test_slices_or_volumes(size, spacing, dims):
    assert pick_dims(found(sizes=(size,) * 3, spacings=(spacing,) * 3))[0] == dims


def test_a_network_that_halves_all_axes_alike_takes_thick_slices_one_by_one():
    stacks = found(sizes=((256.0, 216.0, 9.0),) * 3, spacings=((1.5, 1.5, 10.0),) * 3)
    assert pick_dims(stacks, pooled=False)[0] == 2


@pytest.mark.parametrize(
    ("size", "like", "limit", "halvings", "patch"),
    [
        ((96, 71, 44), (60, 60, 40), 2**17, (4, 4, 4), [64, 64, 32]),
        ((20, 20, 20), (20, 20, 20), 2**17, (4, 4, 4), [48, 48, 32]),
        ((60, 60, 16), (60, 60, 16), 2**20, (4, 4, 4), [64, 64, 16]),
        ((380, 380, 58), (100, 80, 60), 2**20, (4, 4, 4), [112, 112, 64]),  # not 256 x 256 x 16
        ((224, 208, 11), (72, 72, 11), 2**17, (4, 4, 1), [96, 96, 12]),
        ((9, 200, 200), (9, 80, 80), 2**17, (1, 4, 4), [10, 112, 112]),
        ((300, 120), (100, 40), 128**2, (4, 4), [192, 80]),
    ],
)
def test_patches_by_hand(size, like, limit, halvings, patch):
    assert best_patch(size, limit, like, halvings) == patch


@pytest.mark.parametrize(
    ("spacing", "size", "halvings"),
    [
        ((1.0, 1.0, 1.0), (100, 100, 60), (4, 4, 4)),
        ((1.5, 1.5, 10.0), (224, 208, 11), (4, 4, 1)),  # nnU-Net: once too, when the others are at 6 mm
        ((1.5, 1.5, 10.0), (224, 208, 20), (4, 4, 2)),
        ((0.84, 0.84, 2.5), (320, 320, 112), (4, 4, 3)),  # nnU-Net: all but the first of its halvings
        ((1.5, 1.5, 10.0), (224, 208, 5), (4, 4, 0)),
        ((6.0, 1.0, 1.0), (20, 200, 200), (2, 4, 4)),
    ],
)
def test_thick_axes_are_halved_once_the_others_are_as_coarse(spacing, size, halvings):
    assert halvings_of(spacing, size) == halvings


def test_thick_slices_are_resampled_to_their_thinner_tenth():
    stacks = found(sizes=((256.0, 216.0, 9.0),) * 3, spacings=((1.5, 1.5, 5.0), (1.5, 1.5, 10.0), (1.5, 1.5, 10.0)))
    assert replace(stacks, across=5.0).target == [1.5, 1.5, 5.0]
    assert replace(stacks, across=1.0).target == [1.5, 1.5, 1.5]
    assert replace(stacks, across=5.0, sizes=((256.0, 216.0, 90.0),) * 3).target == [1.5, 1.5, 10.0]  # not few


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


def test_memory_halves_the_batch_and_then_refuses():
    flat = found(sizes=((256.0, 200.0, 9.0),) * 3)
    need = Cost(per_voxel=1000.0, fixed=0.0)
    roomy, tight = (choose(flat, 2, Machine("cuda", gib * GIB), need).values for gib in (80, 1.5))
    assert roomy["labeled_batch"] == 12 and tight["labeled_batch"] == 8 == tight["unlabeled_batch"]
    with pytest.raises(InputError, match="a step needs about .* GiB, this machine has 0.1"):
        choose(flat, 2, Machine("cuda", 0.1 * GIB), need)
    with pytest.raises(InputError, match="device=cuda: there is none here; give its memory"):
        if this_machine("cuda").device == "cuda":
            raise InputError("device=cuda: there is none here; give its memory (this machine has one)")
    assert this_machine("cuda", 24) == Machine("cuda", 24 * GIB) and this_machine("cpu").memory > 0


def test_the_cost_is_measured_on_the_bundles_own_network():
    method = method_of("meanteacher_segmentation")
    cost = cost_of(method, 1, 2, 3)
    assert cost.fixed == 4 * 4 * 9_448_866
    measured = cost.of((112, 112, 80), 1) - cost.fixed  # 812 MiB are kept per sample and forward pass
    assert 0.7 < measured / (812 * 2**20) < 1.5


# ---- methods


@pytest.mark.parametrize("name", METHODS)
def test_facts_of_a_bundle_name_its_own_options(name):
    method = method_of(name)
    assert (BUNDLES / name / FACTS).is_file()
    assert method.facts.networks in method.options and 0 < method.facts.ramp_up <= 1 and method.facts.passes >= 1
    for option in (*method.facts.cpu, *method.facts.without_sam):
        top, *below = option.split("#")
        assert top in method.options and all(part in method.options[top] for part in below)


def test_a_plan_holds_options_of_its_method_alone(tmp_path):
    folder = own_volumes(tmp_path / "data", size=(24, 24, 24))
    for name in METHODS:
        values = planned(folder, method=name)
        assert {key.split("#")[0] for key in values} <= method_of(name).options.keys()
        assert not any(isinstance(value, str) and value.startswith(("$", "@")) for value in values.values())
        assert not any(isinstance(value, dict) for value in values.values())


def test_a_bundle_without_facts_has_the_defaults(tmp_path):
    assert read_facts(tmp_path / FACTS) == Facts()
    (tmp_path / FACTS).write_text("passes: 3\ncpu: {width: 4}\n", encoding="utf-8")
    assert read_facts(tmp_path / FACTS) == Facts(passes=3, cpu={"width": 4})
    (tmp_path / FACTS).write_text("pases: 3\n", encoding="utf-8")
    with pytest.raises(InputError, match="plan.yaml: pases: expected some of passes, ramp_up"):
        read_facts(tmp_path / FACTS)


def test_facts_decide():
    options = dict.fromkeys(("patch_size", "ramp_up", "width", "iterations", "labeled_batch"))
    method = Method(BUNDLES, options, Facts(ramp_up=0.7, cpu={"width": 4}))
    on_cpu, on_gpu = (choose(found(), 3, Machine(d, 80 * GIB), CHEAP, 1000, method).values for d in ("cpu", "cuda"))
    assert on_cpu["ramp_up"] == 700 and on_cpu["width"] == 4 and "width" not in on_gpu and "lr_step" not in on_cpu


# ---- mistakes


def test_what_cannot_be_planned_is_said_in_one_line(tmp_path):
    folder = own_volumes(tmp_path / "data", cases=3, labeled=3, size=(24, 24, 24))
    with pytest.raises(InputError, match="every image has a label; labeled=N labels so many"):
        planned(folder)
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
