"""Data whose every name is code: planned, trained, evaluated, segmented, rendered; nothing of it runs."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from monai.bundle import ConfigParser
from PIL import Image

from common.data import Phantom, write_phantom_domains, write_phantoms
from common.errors import InputError
from common.runs import Settings
from common.runs.record import read_record
from tools.plan import plan
from tools.release.render import render
from tools.run import BUNDLES, Command, command, run
from tools.runs import read_run

EVIL = "$open('MARK','w')"
HARD = "$open('MARK','w')#@run%run{}[]&*!|>\"` é"
SHORT = {"iterations": 1, "epoch_length": 1, "base_channels": 4, "amp": False, "progress": False, "device": "cpu"}


@pytest.fixture(autouse=True)
def nothing_is_executed(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    yield
    marks = [path for path in tmp_path.rglob("*") if path.name == "MARK"]
    assert not marks and not Path("MARK").exists()


def contents(*folders):
    return {path: path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def resolved(configuration, id):
    return ConfigParser({"run": 1, id: configuration[id]}).get_parsed_content(id)


def test_volumes(tmp_path, monkeypatch):
    source = write_phantoms(tmp_path / "plain", Phantom((24, 24, 16)), labeled=3, unlabeled=2, validation=0, test=0)
    folder = source.rename(tmp_path / HARD)
    (folder / "splits.json").unlink()
    for path in list(folder.glob("*/*.nii.gz")):
        path.rename(path.with_name(path.name.replace("phantom_", f"{EVIL}@a%b#c_")))
    template = EVIL + "@a%b#c_{patient}.*"
    with pytest.raises(InputError, match="does not fit the template"):
        plan(str(folder), group=template, device="cpu", memory=16.0, labeled=2, validation=1)
    template = EVIL + "@a%b#c_{patient}"
    plan(str(folder), group=template, device="cpu", memory=16.0, labeled=2, validation=1)
    given = contents(folder)
    out, layer = tmp_path / f"run {HARD}", tmp_path / "$layer@#.yaml"
    layer.write_text(json.dumps({"output_dir": str(out), "resume": False}), encoding="utf-8")
    run("meanteacher_segmentation", str(folder / "plan.yaml"), str(layer), **SHORT)
    settings = Settings.read(out / "settings.json")
    assert settings["group"] == template and settings["dataset_dir"] == str(folder)
    assert settings["output_dir"] == str(out) and settings.literal("datalist")["group"] == template
    assert any(EVIL in case for case in read_record(out)["data"])
    run("meanteacher_segmentation", str(folder / "plan.yaml"), str(layer), **SHORT | {"resume": True, "iterations": 2})
    free = {"amp": False, "device": "cpu"}
    run("meanteacher_segmentation", "evaluate", ckpt_dir=str(out), progress=False, **free)
    figures = (out / "validation" / "metrics.csv").read_text(encoding="utf-8")
    assert EVIL in figures
    predictions = tmp_path / f"predictions {HARD}"
    command(["meanteacher_segmentation", "inference", "--checkpoint", str(out), "--inputs", str(folder / "images"),
             "--output_dir", str(predictions), "--amp", "false", "--device", "cpu"])  # fmt: skip
    assert {p.name for p in predictions.iterdir()} == {p.name for p in (folder / "images").iterdir()}
    assert contents(folder) == given
    rendered = render(BUNDLES / "meanteacher_segmentation", "meanteacher", ["la"], {}, read_run(out).settings)
    assert (
        resolved(rendered["train"], "group") is resolved(rendered["evaluate"], "group") is None
    )  # of these names alone
    assert not any(text in json.dumps(rendered) for text in (str(tmp_path), EVIL))


def test_domains(tmp_path):
    source = write_phantom_domains(tmp_path / "data", Phantom((40, 36)), domains=2, train=4, validation=1, test=0)
    lists = json.loads((source / "splits.json").read_text(encoding="utf-8"))
    domain = EVIL + "@a%b#c"
    os.rename(source / "site_1", source / domain)
    for key in ("train", "val"):
        lists[key][domain] = lists[key].pop("site_1")
    (source / "splits.json").write_text(json.dumps({k: lists[k] for k in ("train", "val")}), encoding="utf-8")
    plan(str(source), method="synfoc_segmentation", domain=domain, labeled=2, device="cpu", memory=16.0)
    given, out = contents(source), tmp_path / "run"
    run("synfoc_segmentation", str(source / "plan.yaml"), output_dir=str(out), patch_size=[64, 64], **SHORT)
    settings = Settings.read(out / "settings.json")
    assert settings["labeled_domain"] == domain == settings.literal("datalist")["labeled_domain"]
    free = {"amp": False, "device": "cpu"}
    run("synfoc_segmentation", "evaluate", ckpt_dir=str(out), progress=False, **free)
    assert domain in json.loads((out / "validation" / "summary.json").read_text(encoding="utf-8"))["domains"]
    image = next((source / domain / "images").iterdir())
    run(
        "synfoc_segmentation",
        "inference",
        checkpoint=str(out),
        inputs=str(image),
        output_dir=str(tmp_path / "o"),
        **free,
    )
    assert np.asarray(Image.open(tmp_path / "o" / image.name)).shape == np.asarray(Image.open(image)).shape
    assert contents(source) == given


@pytest.mark.parametrize("group", [
    "$[__import__('os').system('touch MARK')]", "$open('MARK','w')", "@run", "%run", "#", "(patient\\d+)", "(a+)+$",
    "x\nrun: $open('MARK','w')",
    "{patient}\n_*",
    "'{patient}", "{_target_: os.system, command: touch MARK}", "\x00", "", 7,
])  # fmt: skip
def test_groups_that_are_no_templates_are_refused_before_anything_is_written(tmp_path, group):
    folder = write_phantoms(tmp_path / "d", Phantom((16, 16, 16)), labeled=2, unlabeled=1, validation=0, test=0)
    lists = json.loads((folder / "splits.json").read_text(encoding="utf-8"))
    (folder / "splits.json").write_text(json.dumps({**lists, "group": group}), encoding="utf-8")
    given = contents(folder)
    if group in ("", "'{patient}"):  # none, and one that no name fits: each image is a patient of its own
        return
    with pytest.raises(InputError, match="template|group"):
        plan(str(folder), device="cpu", memory=16.0)
    words = ["meanteacher_segmentation", "--dataset_dir", str(folder), "--output_dir", str(tmp_path / "o"), "--group",
             str(group)]  # fmt: skip
    with pytest.raises(InputError, match="template"):
        command(words)
    assert contents(folder) == given and not (tmp_path / "o").exists()
    assert Command.of(words).options["group"] == str(group)
