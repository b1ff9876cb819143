"""What a release says of its data."""

import json

import pytest

from common.errors import InputError
from tools.release.description import class_names, license_text, own, own_name, published


def test_layers_belong_to_the_data_set_they_start_with():
    assert published(["la_quick"])["organ"] == "Heart" and len(published(["la_quick"])["classes"]) == 2
    assert published(["acdc", "acdc_quick"]) == published(["acdc", "supervised"]) != published(["la"])
    assert published(["lab"]) is published(["supervised"]) is published([]) is None


@pytest.mark.parametrize(
    "labels", [{"background": 0, "heart": 1, "left lung": 2}, {"0": "background", "2": "left lung", "1": "heart"}]
)
def test_names_of_classes_stand_in_the_folder_of_the_data(labels, tmp_path):
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}), encoding="utf-8")
    settings = {"num_classes": 3, "dataset_dir": str(tmp_path)}
    assert class_names(settings) == ["background", "heart", "left lung"]
    assert class_names(settings, "aorta, scar") == class_names(settings, ["background", "aorta", "scar"])
    with pytest.raises(InputError, match="dataset.json: names 2 foreground classes, the network has 3; give classes"):
        class_names({**settings, "num_classes": 4})


def test_lists_elsewhere_lead_to_the_folder_of_the_data(tmp_path):
    home, lists = tmp_path / "My CT", tmp_path / "runs" / "out"
    (home / "images").mkdir(parents=True)
    lists.mkdir(parents=True)
    files = {"a": {"image": "../../My CT/images/a.nii.gz", "label": "../../My CT/labels/a.nii.gz"}}
    (lists / "splits.json").write_text(json.dumps({"labeled": ["a"], "files": files}), encoding="utf-8")
    (home / "dataset.json").write_text('{"labels": {"background": 0, "liver": 1}}', encoding="utf-8")
    (home / "data_license.txt").write_text("ours", encoding="utf-8")
    settings = {"num_classes": 2, "dataset_dir": str(lists)}
    assert own(settings)["data_source"] == "own data (My CT)" and class_names(settings)[1] == "liver"
    assert own_name(settings, "x_segmentation") == "my_ct_x_segmentation" and license_text(None, settings) == "ours\n"


def test_images_in_several_folders_lead_to_the_one_that_holds_them_all(tmp_path):
    files = {
        "a": {"image": "../Clinic/2024/images/a.nii.gz"},
        "b": {"image": ["../Clinic/2025/b_t1.nii.gz", "../Clinic/2025/b_t2.nii.gz"]},
    }
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "splits.json").write_text(json.dumps({"labeled": ["a"], "files": files}), encoding="utf-8")
    assert own_name({"dataset_dir": str(tmp_path / "out")}, "x_segmentation") == "clinic_x_segmentation"


@pytest.mark.parametrize(
    ("given", "message"),
    [("a", "names 1 foreground classes"), ("a,A", "two classes have one name"), ("a,../b", "no name of a class")],
)
def test_names_that_are_none_are_refused(given, message, tmp_path):
    with pytest.raises(InputError, match=message):
        class_names({"num_classes": 3, "dataset_dir": str(tmp_path)}, given)


def test_what_is_not_said_is_derived(tmp_path):
    settings = {"num_classes": 2, "in_channels": 2, "dataset_dir": str(tmp_path / "My CT-data"), "window": [-50, 200]}
    about = own(settings)
    assert about["classes"] == ["background", "class_1"] and about["channels"] == ["image_0", "image_1"]
    assert (about["modality"], about["organ"]) == ("CT", "class 1")
    assert own(settings, organ="Liver", modality="PET")["organ"] == "Liver"
    assert own_name(settings, "x_segmentation") == "my_ct_data_x_segmentation"


def test_terms_are_a_line_a_file_or_lie_with_the_data(tmp_path):
    settings = {"dataset_dir": str(tmp_path)}
    assert license_text("CC BY 4.0", settings) == "CC BY 4.0\n"
    with pytest.raises(InputError, match="terms.txt: no such file"):
        license_text("terms.txt", settings)
    with pytest.raises(InputError, match="license: say on what terms"):
        license_text(None, settings)
    (tmp_path / "LICENSE").write_text("ours", encoding="utf-8")
    assert license_text(None, settings) == license_text(str(tmp_path / "LICENSE"), settings) == "ours\n"
