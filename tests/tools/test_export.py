"""ONNX of a release: the same output as its weights, at other extents too."""

import sys

import numpy as np
import pytest
import torch

from common.errors import InputError
from common.networks import VNet
from tools.export import export

from .conftest import SMALL

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")


def test_onnx_gives_the_output_of_the_weights(tiny_release, tiny_weights, tmp_path):
    said = export(str(tiny_release.path), str(tmp_path / "model.onnx"))
    assert said.startswith(f"{tmp_path / 'model.onnx'}, largest difference ")
    assert said.endswith(f" in float32 with onnxruntime {onnxruntime.__version__}")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    network = VNet(**SMALL)
    network.load_state_dict(torch.load(tiny_weights, weights_only=True))
    images = torch.rand(3, 1, 32, 16, 48)
    with torch.inference_mode():
        expected = network.eval()(images).numpy()
    np.testing.assert_allclose(session.run(None, {"image": images.numpy()})[0], expected, atol=1e-4)


def test_openvino_runs_what_it_is_to_run(tiny_release, tmp_path):
    openvino = pytest.importorskip("openvino")
    said = export(str(tiny_release.path), str(tmp_path / "model.onnx"), runtime="openvino")
    assert said.endswith(f" in float32 with openvino {openvino.__version__.split('-')[0]}")
    assert (tmp_path / "model.onnx").is_file()


def test_runtimes_that_are_unknown_or_missing_are_named(monkeypatch, tmp_path):
    with pytest.raises(InputError, match=r"runtime must be one of \(.onnxruntime., .openvino.\), got .tensorrt."):
        export(str(tmp_path), runtime="tensorrt")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(InputError, match=r"needs the package openvino \(the extra export\): pip install onnx openvino"):
        export(str(tmp_path), runtime="openvino")


def test_only_releases_are_exported(tmp_path):
    with pytest.raises(InputError, match="export takes a released bundle: python -m tools package"):
        export(str(tmp_path))


def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"needs the package onnxruntime \(the extra export\): pip install"):
        export(str(tmp_path))
