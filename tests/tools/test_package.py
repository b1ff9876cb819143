"""Packaging: reproducible, self-contained, each bundle with its own copy of the shared code, and clear refusals."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

import tools.package
from common.data import Phantom, write_phantoms
from common.errors import InputError
from common.metrics import Calibration
from common.networks import VNet
from common.runs import assumed
from tools.package import package, typed
from tools.release.isolated import START
from tools.release.render import render
from tools.run import BUNDLES, bundle_folder, run

from .conftest import SMALL, SUMMARY

SCHEMA = Path(tools.package.__file__).parent / "schemas" / "meta_schema_20240725.json"


def away(folder: Path, code: str, *arguments: str) -> str:
    """Output of Python code run in ``folder`` with ``common`` and ``tools`` refused to every import."""
    script = folder / "script.py"
    script.write_text(code, encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-c", START, "released", str(script), *arguments]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def test_two_builds_are_the_same_bytes(tiny_release, tmp_path):
    again = tiny_release.build(tmp_path)
    assert again.name == tiny_release.path.name == f"{tiny_release.name}_v0.1.0.zip"
    assert again.read_bytes() == tiny_release.path.read_bytes()
    digest = hashlib.sha256(again.read_bytes()).hexdigest()
    assert again.with_name(again.name + ".sha256").read_text(encoding="utf-8") == f"{digest}  {again.name}\n"
    info = json.loads((tmp_path / "model_info.json").read_text(encoding="utf-8"))
    assert info == {again.stem: {"checksum": digest, "source": again.name}}


def test_what_a_release_holds(tiny_release):
    with zipfile.ZipFile(tiny_release.path) as archive:
        names = [name.removeprefix(f"{tiny_release.name}/") for name in archive.namelist()]
        read = lambda name: archive.read(f"{tiny_release.name}/{name}").decode()  # noqa: E731
        train, inference = (json.loads(read(f"configs/{name}.json")) for name in ("train", "inference"))
        metadata, readme = json.loads(read("configs/metadata.json")), read("docs/README.md")
        objective = read("ssnet/objective.py")
    assert {"LICENSE", "models/model.pt", "models/model.ts", "ssnet/common/networks/vnet.py"} <= set(names)
    assert not [name for name in names if name.startswith("common/") or "__pycache__" in name or name.endswith(".yaml")]
    assert train["labeled"] is train["validation"] is None  # la.yaml counts cases of one data set
    assert train["largest_component"] is True
    assert inference["stride"] == train["test_stride"] == [18, 18, 4]
    assert inference["network_def"]["_target_"] == "ssnet.common.networks.make_network"
    assert inference["network_def"]["_requires_"] == "@add_path"
    assert "from .common.engines import" in objective and "from common" not in objective
    assert metadata["eval_metrics"]["mean_dice"] == 0.726 and metadata["eval_metrics"]["seed"] == 1337
    assert "| 72.60 ± 22.26 | 60.51 ± 21.86 | 8.95 ± 5.89 | 2.79 ± 1.90 |" in readme
    assert "- Input: 1 channel(s): image; windows of 112 x 112 x 80 voxels\n" in readme
    assert "- Preprocessing: intensities and voxel size as they are in the files\n" in readme
    assert "- `largest_component`: True\n" in readme and "Not a medical device" in readme
    assert metadata["network_data_format"]["outputs"]["pred"]["channel_def"] == {"0": "background", "1": "left_atrium"}


def test_a_release_has_statistics_of_its_own_but_none_of_its_training():
    source = bundle_folder("synfoc_segmentation")
    assert typed(source, {"statistics": "all"}) == {"statistics": "all"}
    with pytest.raises(InputError, match="--statistics unlabeled: a release has no training images"):
        typed(source, {"statistics": "unlabeled"})
    configs = render(source, "synfoc", ["busi"], {"statistics": "all"})
    assert configs["inference"]["statistics"] == "all" and "statistics" not in configs["evaluate"]


AWAY = """
import json, os, sys
import nibabel, numpy, torch
from monai.bundle import ConfigParser, ckpt_export, download, load, run, verify_metadata, verify_net_in_out
from monai.data import load_net_with_metadata

archive, name, data, schema = sys.argv[1:]
download(name=name, url=f"file://{archive}", bundle_dir="bundles", progress=False)
root = os.path.abspath(f"bundles/{name}")
meta, configs = f"{root}/configs/metadata.json", {n: f"{root}/configs/{n}.json" for n in ("train", "inference")}
verify_metadata(meta_file=meta, filepath=schema)
verify_net_in_out(net_id="network_def", meta_file=meta, config_file=configs["inference"], bundle_root=root)
ckpt_export(net_id="network_def", filepath="exported.ts", ckpt_file=f"{root}/models/model.pt", meta_file=meta,
            config_file=configs["inference"], bundle_root=root)
network = load(name, bundle_dir="bundles", workflow_type="inference", args_file={"bundle_root": root}, device="cpu")
images = torch.rand(1, 1, 16, 16, 16)
with torch.inference_mode():
    expected = network.eval()(images)
    for path in ("exported.ts", f"{root}/models/model.ts"):
        assert torch.allclose(torch.jit.load(path)(images), expected, atol=1e-5)
deeper = load(name, bundle_dir="bundles", workflow_type="inference", args_file={"bundle_root": root}, device="cpu",
              net_override={"dropout": 0.1})
assert deeper.head_dropout.p == 0.1
small = dict(bundle_root=root, device="cpu", amp=False)
image = f"{data}/images/phantom_000.nii.gz"
run(config_file=configs["inference"], inputs=[image], output_dir="predictions", **small)
result, source = nibabel.load("predictions/phantom_000.nii.gz"), nibabel.load(image)
assert result.shape == source.shape and result.get_data_dtype() == numpy.uint8
module, _, extra = load_net_with_metadata(f"{root}/models/model.ts", more_extra_files=("inference.json",))
embedded = ConfigParser({**json.loads(extra["inference.json"]), **small})  # as MONAI Deploy builds its operator
prepare, infer, finish = (embedded.get_parsed_content(id) for id in ("preprocessing", "inferer", "postprocessing"))
case = prepare({"image": image})
with torch.inference_mode():
    case["pred"] = infer(case["image"][None], module)[0]
for transform in finish.transforms:
    if transform and not type(transform).__name__.startswith(("Save", "Write")):
        case = transform(case)
assert numpy.array_equal(case["pred"][0].numpy(), result.get_fdata())
run(config_file=configs["train"], dataset_dir=data, output_dir="run", ckpt_dir="run", iterations=1, epoch_length=1,
    labeled=2, labeled_batch=2, unlabeled_batch=2, progress=False, patch_size=[16] * 3, stride=[16] * 3, **small)
trained = torch.load("run/model.pt", weights_only=True)
assert any(not torch.equal(trained[key], tensor) for key, tensor in network.state_dict().items())
assert not {"common", "tools"} & {module.partition(".")[0] for module in sys.modules}
"""


def test_a_release_works_in_an_empty_directory_without_the_repository(tiny_release, tmp_path):
    data = write_phantoms(tmp_path / "data", Phantom((24, 24, 16)), labeled=2, unlabeled=2, validation=0, test=0)
    schema = shutil.copy(SCHEMA, tmp_path)
    away(tmp_path, AWAY, str(tiny_release.path), tiny_release.name, str(data), str(schema))


TOGETHER = """
import os, sys
import torch
from monai.bundle import load

networks = []
for name in sys.argv[1:]:
    arguments = {"bundle_root": os.path.abspath(name)}
    networks.append(load(name, bundle_dir=".", workflow_type="inference", args_file=arguments, device="cpu"))
images = torch.rand(1, 1, 16, 16, 16)
with torch.inference_mode():
    first, second = (network.eval()(images) for network in networks)
assert torch.equal(first + 1, second), (first, second)
print(*(type(network).__module__ for network in networks))
"""


def test_bundles_of_different_shared_code_live_in_one_process(tiny_release, tiny_weights, tmp_path, monkeypatch):
    root = tools.package.REPOSITORY
    other = tmp_path / "other"
    for part in ("common", "bundles/meanteacher_segmentation"):
        shutil.copytree(root / part, other / part, ignore=shutil.ignore_patterns("__pycache__", "models", "eval"))
    module = other / "common" / "networks" / "vnet.py"
    module.write_text(module.read_text(encoding="utf-8").replace("return self.head(", "return 1 + self.head(", 1))
    monkeypatch.setattr(tools.package, "REPOSITORY", other)
    source, folder = str(other / "bundles" / "meanteacher_segmentation"), str(tmp_path / "dist")
    second = package(source, "la", str(tiny_weights), output=folder, **SMALL)
    for path in (tiny_release.path, second):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(tmp_path)
    printed = away(tmp_path, TOGETHER, tiny_release.name, "meanteacher_segmentation")
    assert printed.splitlines()[-1].split() == ["ssnet.common.networks.vnet", "meanteacher.common.networks.vnet"]


def spoil(key, value):
    def change(bundle):
        path = bundle / "configs" / "metadata.json"
        path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), key: value}))

    return change


def whole_import(bundle):
    path = bundle / "meanteacher" / "objective.py"
    path.write_text(path.read_text(encoding="utf-8") + "\nimport common.losses\n")


MISTAKES = [
    (spoil("version", "0.10.0"), {}, "version='0.10.0' must be x.y.z with components 0 to 9"),
    (spoil("version", "0.2.0"), {}, "version is 0.2.0 but the newest entry of the changelog is 0.1.0"),
    (spoil("required_packages_version", {}), {}, "required_packages_version lacks PyYAML, SimpleITK, fire"),
    (spoil("required_packages_version", {"fire": ">=0.7"}), {}, "required_packages_version lacks PyYAML, SimpleITK"),
    (whole_import, {}, "write 'from common... import ...'"),
    (lambda bundle: (bundle / "LICENSE").unlink(), {}, "LICENSE: no such file; every release carries it"),
    (None, {"weights": None}, "model.pt: no such file; train first, or give --weights"),
    (None, {"weights": "nowhere.pt"}, "nowhere.pt: no such file; train first, or give --weights"),
    (None, {"dataset": "moon"}, "moon: no data set that datasets.yaml describes"),
    (None, {"dataset": "la_moon"}, "la_moon: no such configuration of meanteacher_segmentation"),
    (None, {"num_classes": 5}, "num_classes=5 but the data set has 2: background, left_atrium"),
    (None, {"iteratons": 5}, "--iteratons: no such option in the configuration; did you mean 'iterations'?"),
    (None, {"iterations": "many"}, "--iterations many: expected an integer of at least 1"),
    (None, {"largest_component": "perhaps"}, "--largest_component perhaps: expected true or false"),
    (None, {"name": "Left Atrium"}, "name='Left Atrium': expected lower-case words joined by _"),
    (None, {"results": "none.json"}, "none.json: no such file; --results takes the summary.json"),
]


@pytest.mark.parametrize(("change", "options", "message"), MISTAKES, ids=[message[:40] for *_, message in MISTAKES])
def test_a_mistake_is_named_and_leaves_nothing(change, options, message, bundle_copy, tiny_weights, tmp_path):
    shutil.rmtree(bundle_copy / "models", ignore_errors=True)
    if change:
        change(bundle_copy)
    given = {"dataset": "la", "weights": str(tiny_weights), "dirty": True, **SMALL, **options}
    with pytest.raises(InputError) as caught:
        package(str(bundle_copy), output=str(tmp_path / "dist"), **given)
    assert message in str(caught.value)
    assert not (tmp_path / "dist").exists()


def test_weights_of_another_network_are_refused(tiny_weights, bundle_copy, tmp_path):
    with pytest.raises(InputError, match=r"models/model.pt: decoder\S+ has shape .* expects"):
        package(str(bundle_copy), "la", str(tiny_weights), output=str(tmp_path / "dist"), dirty=True, base_channels=8)
    assert not (tmp_path / "dist").exists()


def test_the_image_to_try_is_found_from_another_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_phantoms("data", Phantom((16, 16, 16)), labeled=1, unlabeled=0, validation=0, test=0)
    (tmp_path / "run").mkdir()
    assumed(BUNDLES / "meanteacher_segmentation", (), {"dataset_dir": "data", **SMALL}).write(tmp_path / "run")
    torch.save({}, tmp_path / "run" / "model.pt")
    image = Path(tools.package.example(tools.package.read_run(tmp_path / "run")))
    assert image.is_absolute() and image.is_file()


def test_uncommitted_changes_need_a_word(bundle_copy, tmp_path, monkeypatch):
    monkeypatch.setattr(tools.package, "REPOSITORY", tmp_path)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        subprocess.run([*git, *words], cwd=tmp_path, check=True)
    clean = tools.package.provenance(bundle_copy, ["la"], dirty=False)
    assert len(clean["commit"]) == 40 and clean["configuration"] == ["la"]
    (bundle_copy / "configs" / "la.yaml").write_text("labeled: 1\n", encoding="utf-8")
    with pytest.raises(InputError, match="uncommitted changes .*la.yaml.*commit, or give --dirty"):
        tools.package.provenance(bundle_copy, ["la"], dirty=False)
    assert tools.package.provenance(bundle_copy, ["la"], dirty=True)["commit"] == f"{clean['commit']}-dirty"
    installed = tmp_path / "environment"
    installed.mkdir()
    monkeypatch.setattr(tools.package, "REPOSITORY", installed)  # inside a repository that is not the collection's
    assert tools.package.provenance(bundle_copy, ["la"], dirty=False)["commit"] == "unknown"


def test_figures_may_come_from_a_record(tmp_path):
    from tools.release.figures import read_summary

    record = tmp_path / "results.json"
    record.write_text(
        json.dumps([{**SUMMARY, "configuration": "la"}, {**SUMMARY, "configuration": "acdc"}]), encoding="utf-8"
    )
    assert read_summary(record, "la")["mean"] == SUMMARY["mean"]
    with pytest.raises(InputError, match="0 entries of la_quick; give the summary.json of these weights"):
        read_summary(record, "la_quick")


@pytest.fixture(scope="module")
def own_run(tmp_path_factory):
    """The folder of a run on own data, whose images still lie there."""
    folder = tmp_path_factory.mktemp("mine")
    data = write_phantoms(folder / "Lung 3", Phantom((24, 24, 16)), labeled=2, unlabeled=2, validation=0, test=0)
    sizes = {"patch_size": [16] * 3, "stride": [16] * 3, "test_stride": [8] * 3, "labeled": 2, "validation": 0}
    given = {"dataset_dir": str(data), "num_classes": 2, **SMALL, **sizes}
    settings = assumed(BUNDLES / "meanteacher_segmentation", (), given)
    settings.write(folder)
    torch.save(VNet(**SMALL).state_dict(), folder / "model.pt")
    return folder


def test_a_run_on_own_data_becomes_a_release(own_run, tmp_path, monkeypatch):
    tried = []
    monkeypatch.setattr(tools.package, "tried", lambda path, image: tried.append((path.name, image)))
    (own_run / "Lung 3" / "dataset.json").write_text(
        '{"labels": {"background": 0, "left lung": 1}, "channel_names": {"0": "CT"}}', encoding="utf-8"
    )
    path = Path(package(str(own_run), output=str(tmp_path), license="CC BY 4.0", dirty=True, test_stride=[16] * 3))
    assert path.name == "lung_3_meanteacher_segmentation_v0.1.0.zip"
    assert tried == [(path.name, str(own_run / "Lung 3" / "images" / "phantom_000.nii.gz"))]
    with zipfile.ZipFile(path) as archive:
        read = lambda name: archive.read(f"lung_3_meanteacher_segmentation/{name}").decode()  # noqa: E731
        train, inference, meta = (json.loads(read(f"configs/{n}.json")) for n in ("train", "inference", "metadata"))
        terms, card, record = (
            read("docs/data_license.txt"),
            read("docs/README.md"),
            json.loads(read("docs/results.json")),
        )
    assert inference["stride"] == train["test_stride"] == [16] * 3
    assert train["labeled"] is train["validation"] is None and train["base_channels"] == 4
    assert meta["network_data_format"]["outputs"]["pred"]["channel_def"]["1"] == "left lung"
    assert (meta["modality"], meta["organ"], meta["changelog"]) == ("CT", "left lung", {"0.1.0": "first version"})
    assert terms == "CC BY 4.0\n" and record == [] and "2018 Atrial" not in card
    assert "- `base_channels`: 4\n" in card and "own data (Lung 3)" in card
    assert "- Output: 2 channels: 0 background, 1 left lung\n" in card


def test_a_run_that_says_what_dice_to_expect_becomes_a_release_that_does(own_run, tmp_path):
    run = Path(shutil.copytree(own_run, tmp_path / "run"))
    Calibration.fit([0.5, 0.6, 0.8, 0.9], [0.4, 0.5, 0.7, 0.9], list("abcd")).write(run)
    with zipfile.ZipFile(package(str(run), output=str(tmp_path / "out"), license="CC BY 4.0", dirty=True)) as archive:
        assert any(name.endswith("/models/expected_dice.json") for name in archive.namelist())


def test_a_run_of_a_bundle_with_networks_of_its_own_is_released_by_the_command(tmp_path):
    """In a process that, unlike this one, does not find the packages of all bundles."""
    data = write_phantoms(tmp_path / "data", Phantom((24, 24, 16)), labeled=1, unlabeled=1, validation=0, test=0)
    given = {"dataset_dir": str(data), "num_classes": 2, "labeled": None, "validation": None, "splits": "splits.json"}
    settings = assumed(
        BUNDLES / "dualnet_segmentation", (), {**given, **SMALL, "patch_size": [16] * 3, "stride": [16] * 3}
    )
    settings.write(tmp_path / "run")
    torch.save(settings.component("network_def").state_dict(), tmp_path / "run" / "model.pt")
    command = [
        "-m",
        "tools",
        "package",
        str(tmp_path / "run"),
        "--license",
        "CC0",
        "--dirty",
        "--output",
        str(tmp_path),
    ]
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run([sys.executable, *command], cwd=BUNDLES.parent, capture_output=True, text=True, env=clean)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(done.stdout.strip()) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("configs/evaluate.json"))
        assert json.loads(archive.read(name))["splits"] is None


def test_a_network_that_halves_an_axis_less_often_infers_and_is_released_with_its_patch(tmp_path):
    data = write_phantoms(tmp_path / "data", Phantom((24, 24, 16)), labeled=1, unlabeled=1, validation=0, test=0)
    sizes = {"patch_size": [16, 16, 12], "stride": [16, 16, 12], "test_stride": [16, 16, 12], "pooling": [4, 4, 2]}
    given = {"dataset_dir": str(data), "num_classes": 2, "labeled": None, "validation": None, **SMALL, **sizes}
    settings = assumed(BUNDLES / "meanteacher_segmentation", (), given)
    settings.write(tmp_path / "run")
    torch.save(settings.component("network_def").state_dict(), tmp_path / "run" / "model.pt")
    image = str(data / "images" / "phantom_000.nii.gz")
    where = {"checkpoint": str(tmp_path / "run"), "device": "cpu", "amp": False}
    run("meanteacher_segmentation", "inference", inputs=image, output_dir=str(tmp_path / "out"), **where)
    assert (tmp_path / "out" / "phantom_000.nii.gz").is_file()
    assert package(str(tmp_path / "run"), output=str(tmp_path / "dist"), license="CC BY 4.0", dirty=True)


def test_the_version_of_own_data_is_raised_with_its_weights(own_run, tmp_path, monkeypatch):
    monkeypatch.setattr(tools.package, "tried", lambda *_: None)
    terms = {"license": "CC BY 4.0", "dirty": True, "classes": "lung", "output": str(tmp_path)}
    first = package(str(own_run), **terms)
    assert package(str(own_run), **terms) == first  # the same weights
    other = Path(shutil.copytree(own_run, tmp_path / "other"))
    state = {name: value * 2 for name, value in VNet(**SMALL).state_dict().items()}
    torch.save(state, other / "model.pt")
    assert package(str(other), **terms, changes="more labels").endswith("_v0.1.1.zip")
    with pytest.raises(InputError, match=r"version=0.1.0: .*_v0.1.1.zip is newer already"):
        package(str(other), **terms, version="0.1.0")
    with pytest.raises(InputError, match=r"license: say on what terms"):
        package(str(own_run), **{**terms, "license": None})
    with pytest.raises(InputError, match=r"classes: names 2 foreground classes, the network has 1"):
        package(str(own_run), **{**terms, "classes": "a,b"})


def test_an_archive_that_cannot_segment_is_no_release(own_run, tmp_path):
    broken = Path(shutil.copytree(own_run, tmp_path / "broken"))
    image = broken / "Lung 3" / "images" / "phantom_000.nii.gz"
    settings = broken / "settings.json"
    settings.write_text(settings.read_text(encoding="utf-8").replace(str(own_run), str(broken)), encoding="utf-8")
    image.write_bytes(image.read_bytes()[:200])
    with pytest.raises(InputError, match=r"cannot segment .*phantom_000.nii.gz"):
        package(str(broken), license="CC0", dirty=True, output=str(tmp_path / "dist"))
    assert not (tmp_path / "dist").exists()
