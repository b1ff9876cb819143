"""The choices of a plan by hand: patches, halvings, memory, and what a bundle says of itself."""

from dataclasses import replace

import numpy as np
import pytest

from common.errors import InputError
from tools.plan.choices import choose, pick_dims
from tools.plan.fingerprint import Fingerprint
from tools.plan.machine import GIB, Cost, Machine, cost_of, this_machine
from tools.plan.method import FACTS, Facts, Method, all_methods, method_of, read_facts
from tools.plan.patches import best_patch, halvings_of
from tools.run import BUNDLES

TWO = ("meanteacher_segmentation", "synfoc_segmentation")
METHODS = [method.name for method in all_methods()]


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


def test_small_patches_are_laid_around_what_is_labeled():
    wide = found(sizes=((400.0, 300.0, 200.0),) * 3, spacings=((1.0,) * 3,) * 3)
    plan = choose(wide, 3, Machine("cuda", 80 * GIB), CHEAP)
    assert plan.values["foreground_share"] == 0.33 and "a patch holds 12%" in plan.reasons["foreground_share"]
    whole = found(sizes=((120.0, 100.0, 60.0),) * 3, spacings=((1.0,) * 3,) * 3)
    assert choose(whole, 3, Machine("cuda", 80 * GIB), CHEAP).values["foreground_share"] == 0
    flat = found(sizes=((600.0, 500.0, 30.0),) * 3, spacings=((1.0, 1.0, 3.0),) * 3)
    ours, resized = (choose(flat, 2, Machine("cpu", 16 * GIB), CHEAP, None, method_of(name)).values for name in TWO)
    assert ours["foreground_share"] == 0.33 and "foreground_share" not in resized


def test_ct_keeps_thick_slices_and_gets_a_window():
    ct = found(
        modality="CT", sizes=((512.0, 512.0, 60.0),) * 3, spacings=((0.8, 0.8, 2.0),) * 3,
        intensities=(-1024.0, -100.0, 460.0), foreground=(-20.0, 180.0),
    )  # fmt: skip
    values = choose(ct, pick_dims(ct)[0], Machine("cuda", 80 * GIB), CHEAP).values
    assert values["window"] == [-40, 200] and values["spacing"][2] == 2.0 and values["spacing"][0] > 0.8
    assert "contrast" not in values and choose(found(), 3, Machine("cpu", 8 * GIB), CHEAP).values["contrast"] == 0.6


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


@pytest.mark.parametrize("name", METHODS)
def test_facts_of_a_bundle_name_its_own_options(name):
    method = method_of(name)
    assert (BUNDLES / name / FACTS).is_file()
    assert method.facts.networks in method.options and 0 < method.facts.ramp_up <= 1 and method.facts.passes >= 1
    for option in (*method.facts.cpu, *method.facts.without_sam):
        top, *below = option.split("#")
        assert top in method.options and all(part in method.options[top] for part in below)


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
