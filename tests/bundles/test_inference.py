"""Inference of every 3D bundle on what a hospital has: DICOM series beside NIfTI files, damaged ones among them."""

import json

import nibabel
import numpy as np
import pydicom
import pytest
import torch
from monai.bundle import ConfigParser

from common.errors import find_explained
from tests.series import change, compress_by_itk, write_frames, write_series

from .conftest import BUNDLES

NAMES = sorted(
    path.parents[1].name
    for path in BUNDLES.glob("*/configs/metadata.json")
    if len(json.loads(path.read_text(encoding="utf-8"))["network_data_format"]["inputs"]["image"]["spatial_shape"]) == 3
)
SMALL = {"base_channels": 2, "patch_size": [16] * 3, "stride": [16] * 3, "device": "cpu", "amp": False}


def volume():
    """Integers in an anisotropic, flipped and shifted grid, as DICOM can hold them exactly."""
    voxels = np.random.default_rng(0).normal(0, 300, (20, 18, 10)).round().astype(np.int16)
    affine = np.array([[-1.5, 0, 0, 30], [0, -1.25, 0, -7], [0, 0, 2.5, 11], [0, 0, 0, 1.0]])
    return nibabel.Nifti1Image(voxels, affine)


def undecided(network):
    """Random weights whose two classes are about equally frequent on noise."""
    noise = torch.randn(2, 1, 16, 16, 16)
    for member in getattr(network, "networks", [network]):
        for module in member.modules():
            if isinstance(module, torch.nn.BatchNorm3d):
                module.momentum = 1.0
        with torch.no_grad():
            member.train()(noise)
            logits = member.eval()(noise)
            member.head.bias[0] += (logits[:, 1] - logits[:, 0]).median()
    return network


@pytest.fixture
def infer(run_tiny, tmp_path):
    """Run a bundle with random weights on a folder; returns the folder of the results."""

    def call(name, source, **options):
        config = ConfigParser()
        config.read_config(str(BUNDLES / name / "configs" / "inference.yaml"))
        config.update({key: options.get(key, value) for key, value in SMALL.items()})
        config["bundle_root"] = str(BUNDLES / name)
        torch.manual_seed(1)
        torch.save(undecided(config.get_parsed_content("network_def")).state_dict(), tmp_path / "random.pt")
        settings = {**SMALL, "normalize": True, "checkpoint": str(tmp_path / "random.pt"), **options}
        run_tiny(name, "inference", inputs=str(source), output_dir=str(tmp_path / "out"), **settings)
        return tmp_path / "out"

    return call


@pytest.mark.parametrize("name", NAMES)
def test_a_dicom_series_gives_what_the_nifti_file_gives(name, infer, tmp_path):
    (tmp_path / "in").mkdir()
    nibabel.save(volume(), tmp_path / "in" / "file.nii.gz")
    write_series(tmp_path / "in" / "1.2.840.1", volume())
    out = infer(name, tmp_path / "in", spacing=[1.25, 1.25, 1.25], uncertainty="entropy")
    file, series = (nibabel.load(out / f"{case}.nii.gz") for case in ("file", "1.2.840.1"))
    assert file.shape == series.shape == (20, 18, 10)
    np.testing.assert_allclose(file.affine, volume().affine, atol=1e-5)
    np.testing.assert_allclose(series.affine, file.affine, atol=1e-5)
    labels = np.asarray(file.dataobj)
    assert 0.05 < labels.mean() < 0.95
    np.testing.assert_array_equal(labels, np.asarray(series.dataobj))
    maps = nibabel.load(out / "file_uncertainty.nii.gz").get_fdata()
    assert maps.shape == labels.shape and maps.min() >= 0 and 0 < maps.max() <= 1 + 1e-6
    assert maps[labels == 1].mean() > 0


def test_all_forms_of_dicom_give_what_their_nifti_files_give(infer, tmp_path):
    folder, tilted = tmp_path / "in", volume()
    tilted = nibabel.Nifti1Image(np.asarray(tilted.dataobj), tilted.affine + np.outer([0, 1, 0, 0], [0, 0, 0.9, 0]))
    write_series(folder / "tilted", tilted)
    write_frames(folder / "frames" / "1.2.3", volume(), [*range(0, 10, 2), *range(9, 0, -2)])
    for path in write_series(folder / "compressed", volume()):
        compress_by_itk(path, "JPEG2000")
    for path in write_series(folder / "anonymized", volume()):
        change(
            path, **dict.fromkeys(("PatientName", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "StudyDate"))
        )
    for name, image in {"file": volume(), "tilted_file": tilted}.items():
        nibabel.save(image, folder / f"{name}.nii.gz")
    pytest.importorskip("highdicom")
    out = infer("meanteacher_segmentation", folder, spacing=[1.25, 1.25, 1.25], dicom_seg=True, class_names=["liver"])
    for name in ("tilted", "frames", "compressed", "anonymized"):
        file, series = (
            nibabel.load(out / f"{n}.nii.gz") for n in ("tilted_file" if name == "tilted" else "file", name)
        )
        np.testing.assert_allclose(series.affine, file.affine, atol=1e-4)
        labels = np.asarray(series.dataobj)
        np.testing.assert_array_equal(labels, np.asarray(file.dataobj))
        assert 0.05 < labels.mean() < 0.95
        segmentation = pydicom.dcmread(out / f"{name}.dcm")
        assert segmentation.pixel_array.sum() == labels.sum()
        assert segmentation.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodeValue == "10200004"


def test_a_left_handed_grid_comes_back_to_its_place(infer, tmp_path):
    flipped = nibabel.Nifti1Image(np.asarray(volume().dataobj), np.diag([1.0, -1, 1, 1]) @ volume().affine)
    (tmp_path / "in").mkdir()
    nibabel.save(flipped, tmp_path / "in" / "file.nii.gz")
    write_series(tmp_path / "in" / "series", flipped)
    out = infer("meanteacher_segmentation", tmp_path / "in")
    file, series = (nibabel.as_closest_canonical(nibabel.load(out / f"{n}.nii.gz")) for n in ("file", "series"))
    np.testing.assert_allclose(series.affine, file.affine, atol=1e-5)
    np.testing.assert_array_equal(series.get_fdata(), file.get_fdata())


def test_disagreement_of_two_networks_is_a_map_and_of_one_a_mistake(infer, tmp_path):
    write_series(tmp_path / "series", volume())
    out = infer("dualnet_segmentation", tmp_path / "series", uncertainty="disagreement")
    maps = nibabel.load(out / "series_uncertainty.nii.gz").get_fdata()
    assert maps.shape == (20, 18, 10) and maps.min() >= 0 and 0 < maps.max() <= 1
    with pytest.raises(Exception) as caught:
        infer("ssnet_segmentation", tmp_path / "series", uncertainty="disagreement")
    assert str(find_explained(caught.value)) == "--uncertainty disagreement: expected entropy, or null"


def test_damaged_series_are_reported_and_the_others_segmented(infer, tmp_path, capsys):
    pytest.importorskip("highdicom")
    write_series(tmp_path / "in" / "good", volume())
    write_series(tmp_path / "in" / "gap", volume())[4].unlink()
    write_series(tmp_path / "in" / "two", volume())
    for path in write_series(tmp_path / "other", volume(), lambda data, k: setattr(data, "SeriesNumber", 2)):
        path.rename(tmp_path / "in" / "two" / f"other{path.name}")
    for path in write_series(tmp_path / "in" / "nameless", volume()):
        change(path, SOPInstanceUID="1.2.3")
    with pytest.raises(Exception) as caught:
        infer("sgrsnet_segmentation", tmp_path / "in", dicom_seg=True, class_names=["atrium"])
    assert "2 of 5 images could not be used" in str(find_explained(caught.value))
    lines = [line for line in capsys.readouterr().out.splitlines() if "ReadableCases - ERROR" in line]
    assert len(lines) == 2 and "gap: 1 slices missing" in lines[0] and "no DICOM segmentation can be made" in lines[1]
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {f"{case}.{end}" for case in ("good", "two_1", "two_2") for end in ("dcm", "nii.gz")} | {
        "nameless.nii.gz"
    }
    labels = np.asarray(nibabel.load(tmp_path / "out" / "good.nii.gz").dataobj)
    assert pydicom.dcmread(tmp_path / "out" / "good.dcm").pixel_array.sum() == labels.sum()
