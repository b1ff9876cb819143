"""Verification: a good release passes everything, a spoiled one fails the check that is meant for it."""

import contextlib
import json
import shutil
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest

from common.errors import InputError
from tools.release import archive
from tools.release.checks import STATIC, Bundle, NotRun
from tools.release.probe import last_words
from tools.run import BUNDLES
from tools.verify import below, overrides, phantoms, verify

NAMES = sorted(path.parents[1].name for path in BUNDLES.glob("*/docs/README.md"))


def test_a_release_passes_every_check(tiny_release, capsys):
    verify(str(tiny_release.path))
    lines = capsys.readouterr().out.splitlines()
    verdicts = {line[:32].strip(): line[33:41].strip() for line in lines[:-1]}
    assert {"sums", "inference", "training step", "network in and out", "ckpt_export", "model.ts"} <= set(verdicts)
    assert {name: verdict for name, verdict in verdicts.items() if verdict != "ok"} == {
        "override: inference_trt": "not run"
    }
    assert lines[-1].endswith("every check that was run passed")


@pytest.fixture
def unpacked(tiny_release, tmp_path):
    with zipfile.ZipFile(tiny_release.path) as file:
        file.extractall(tmp_path)
    return tmp_path / tiny_release.name


def edit(name, old, new):
    def change(folder):
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new), encoding="utf-8")

    return change


def add(name, text):
    def change(folder):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")

    return change


META, README, INFERENCE = "configs/metadata.json", "docs/README.md", "configs/inference.json"
SPOILED = [
    ("files", lambda folder: (folder / "LICENSE").unlink(), "missing: LICENSE"),
    ("files", add("ssnet/__pycache__/x.pyc", ""), "does not belong in a release: ssnet/__pycache__/x.pyc"),
    ("sums", add("configs/extra.json", "{}"), "changed since packaging: configs/extra.json (1 in all)"),
    ("version and changelog", edit(META, '"version": "0.1.0"', '"version": "1.0.12"'), "x.y.z"),
    (
        "schema",
        edit(META, '"num_channels": 2', '"num_channels": "2"'),
        "num_channels: '2' is not of",
    ),
    ("declared = imported packages", add("ssnet/more.py", "import pandas"), "required_packages_version lacks pandas"),
    ("declared = imported packages", edit(META, '"tqdm"', '"rich": "1.0", "tqdm"'), "imports rich"),
    ("declared = imported packages", edit(META, '"tqdm": "', '"tqdm": ">='), "tqdm is not pinned"),
    ("no personal paths", add("docs/notes.txt", "/home/someone/data"), "docs/notes.txt: /home/someone"),
    ("preprocessing agrees", edit(INFERENCE, '"spacing": null', '"spacing": [1, 1, 1]'), "'spacing': None"),
    ("preprocessing agrees", edit(INFERENCE, '"normalize": false', '"normalize": true'), "'normalize': True"),
    ("README sections", edit(README, "## Citation", "## Quotation"), "lacks: Citation"),
    ("README commands", edit(README, "--resume True", "--resum True"), "--resum: no such option"),
    (
        "README commands",
        edit(README, "configs/inference.json --inputs", "configs/i.json --inputs"),
        "no such file",
    ),
    ("README commands", edit(README, "monai.bundle trt_export", "monai.bundle trt"), "no command 'trt'"),
    ("card = configuration", edit(README, "112 x 112 x 80", "64 x 64 x 32"), "says '- Input: 1 channel(s)"),
    (
        "card = configuration",
        edit(INFERENCE, '"normalize": false', '"normalize": true'),
        "say '- Preprocessing: z-scored",
    ),
    ("card = configuration", edit(README, "<!-- facts -->", ""), "no block of facts"),
    ("card = configuration", edit(META, '"modality": "MR"', '"modality": "CT"'), "say '- Data: 2018 Atrial"),
    ("README = metadata = results", edit(README, "72.60", "82.60"), "the figures of docs/README.md are not"),
    ("README = metadata = results", edit(META, "0.726", "0.826"), "eval_metrics of metadata.json"),
]


@pytest.mark.parametrize(("check", "change", "message"), SPOILED, ids=[f"{c}: {m[:30]}" for c, _, m in SPOILED])
def test_a_spoiled_release_fails_its_check(check, change, message, unpacked):
    change(unpacked)
    with pytest.raises(InputError) as caught:
        STATIC[check](Bundle(unpacked))
    assert message in str(caught.value)


def test_a_check_that_fails_ends_with_exit_code_one(unpacked, monkeypatch, capsys):
    monkeypatch.setattr("tools.verify.dynamic", lambda bundle: iter(()))
    (unpacked / "docs" / "README.md").write_text("# Model Overview\n", encoding="utf-8")
    with pytest.raises(SystemExit) as caught:
        verify(str(unpacked))
    assert caught.value.code == 1
    assert "checks failed" in capsys.readouterr().out.splitlines()[-1]


def test_a_tampered_archive_is_refused(tiny_release, unpacked, tmp_path):
    path = tmp_path / tiny_release.path.name
    path.write_bytes(tiny_release.path.read_bytes()[:-1] + b"x")
    archive.sum_file(path).write_text(archive.sum_file(tiny_release.path).read_text(encoding="utf-8"))
    with pytest.raises(InputError, match="its sum is not the one in"):
        verify(str(path))
    edit("configs/train.json", '"seed"', '"sead"')(unpacked)
    archive.write_archive(unpacked, path)  # with a sum that fits
    with (
        archive.unpacked(path) as folder,
        pytest.raises(InputError, match="changed since packaging: configs/train.json"),
    ):
        STATIC["sums"](Bundle(folder))


def test_a_zip_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "x_v0.1.0.zip"
    path.write_bytes(b"no zip")
    with pytest.raises(InputError, match="File is not a zip file"):
        verify(str(path))
    for member, message in (("evil", "expected one folder inside"), ("x/a", "order, times or permissions")):
        with zipfile.ZipFile(path, "w") as file:
            file.writestr(member, "text")
        with pytest.raises(InputError, match=message):
            verify(str(path))
    with pytest.raises(InputError, match="nowhere: no such file; give a bundle's folder or its archive"):
        verify("nowhere")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("check", STATIC)
def test_every_bundle_of_the_repository_passes_the_static_checks(name, check):
    try:
        STATIC[check](Bundle(BUNDLES / name))
    except NotRun as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("name", NAMES)
def test_metadata_of_the_repository_name_no_figures(name):
    assert json.loads((BUNDLES / name / "configs" / "metadata.json").read_text(encoding="utf-8"))["eval_metrics"] == {}


@pytest.mark.parametrize(
    ("encoding", "values"), [("index", {0, 1}), ("binary", {0, 255}), ({"0": 0, "200": 1}, {0, 200})]
)
def test_phantoms_hold_the_values_that_a_release_was_trained_on(tmp_path, encoding, values):
    (tmp_path / "bundle" / "configs").mkdir(parents=True)
    for name in ("train", "inference"):
        content = json.dumps({"num_classes": 2, "encoding": encoding, "patch_size": [16, 16, 16]})
        (tmp_path / "bundle" / "configs" / f"{name}.json").write_text(content, encoding="utf-8")
    data, _ = phantoms(Bundle(tmp_path / "bundle"), tmp_path / "data")
    for path in (data / "labels").iterdir():
        assert set(np.unique(nibabel.load(path).dataobj)) == values


def test_phantoms_have_the_channels_that_a_release_takes(tmp_path):
    (tmp_path / "bundle" / "configs").mkdir(parents=True)
    for name in ("train", "inference"):
        content = json.dumps({"num_classes": 2, "in_channels": 4, "patch_size": [16, 16, 16]})
        (tmp_path / "bundle" / "configs" / f"{name}.json").write_text(content, encoding="utf-8")
    _, image = phantoms(Bundle(tmp_path / "bundle"), tmp_path / "data")
    assert nibabel.load(image).shape == (24, 24, 16, 4)


def test_the_last_words_of_errors_that_name_each_other_are_found():
    first, second = ValueError("one"), KeyError("two")
    first.__cause__, second.__context__ = second, first
    assert last_words(first) == "KeyError: 'two'"


def test_the_last_words_are_those_of_the_error_that_was_meant():
    try:
        try:
            Path("/nowhere/models/sam.pth").read_bytes()
        except OSError:
            raise InputError("/nowhere/models/sam.pth: no such file") from None
    except InputError as error:
        assert last_words(error) == "InputError: /nowhere/models/sam.pth: no such file"


def test_layers_lie_on_what_their_comment_says():
    bundle = Bundle(BUNDLES / "meanteacher_segmentation")
    assert below(bundle, "acdc_quick") == ["train", "acdc"]
    assert below(bundle, "la") == ["train"] and below(bundle, "multi_gpu_train") == ["train"]
    assert overrides(bundle)[-1] == "multi_gpu_train" and "train" not in overrides(bundle)


MARKING = "open({mark!r}, 'w').close()\n"


@pytest.fixture(scope="module")
def tampered(tiny_release, tmp_path_factory):
    """A release whose package, configurations and settings write a mark when anything of them is run."""
    folder = tmp_path_factory.mktemp("tampered")
    mark = folder / "MARK"
    with zipfile.ZipFile(tiny_release.path) as file:
        file.extractall(folder)
    root = folder / tiny_release.name
    first = "from __future__ import annotations\n"
    for path in root.rglob("*.py"):
        path.write_text(
            f"{first}{MARKING.format(mark=str(mark))}" + path.read_text(encoding="utf-8").replace(first, "")
        )
    for name in ("train", "inference", "evaluate", "multi_gpu_train"):
        path = root / "configs" / f"{name}.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        content["evil"], content["initialize"] = f"$open({str(mark)!r}, 'w')", [f"$open({str(mark)!r}, 'w')"]
        if isinstance(content.get("preprocessing"), dict):
            content["preprocessing"]["window"] = f"$open({str(mark)!r}, 'w')"
        path.write_text(json.dumps(content), encoding="utf-8")
    return root, mark


def test_a_bundle_of_the_repository_passes_with_all_its_layers(capsys):
    verify("meanteacher_segmentation")
    said = capsys.readouterr().out
    assert "meanteacher_segmentation: every check that was run passed" in said
    layers = {path.stem for path in (BUNDLES / "meanteacher_segmentation" / "configs").glob("*.yaml")}
    assert {name for name in layers if f"override: {name} " in said} == layers - {"train", "inference"}


def test_nothing_of_a_tampered_release_runs(tampered, tmp_path, capsys):
    root, mark = tampered
    path = tmp_path / f"{root.name}_v0.1.0.zip"
    archive.write_archive(root, path)
    with pytest.raises(SystemExit):
        verify(str(path))
    said = capsys.readouterr().out
    assert "sums" in said and "changed since packaging" in said and "nothing is run of a bundle that fails" in said
    assert not mark.exists()


def test_nothing_of_a_stranger_s_release_runs_when_asked_for_its_files_alone(tampered, tmp_path, capsys):
    root, mark = tampered
    copy = tmp_path / root.name
    shutil.copytree(root, copy)
    archive.write_sums(copy)  # a stranger's sums fit
    path = tmp_path / f"{root.name}_v0.1.0.zip"
    archive.write_archive(copy, path)
    with contextlib.suppress(SystemExit):
        verify(str(path), static=True)
    assert "runs                             not run  static" in capsys.readouterr().out
    assert not mark.exists()
