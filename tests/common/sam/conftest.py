import pytest
import torch

from common.sam.testing import tiny_sam, write_tiny_checkpoint


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def sam():
    return tiny_sam()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """A tiny SAM of 128 pixels, as a file."""
    torch.manual_seed(1)
    return write_tiny_checkpoint(tmp_path_factory.mktemp("sam") / "tiny.pth", 128)


@pytest.fixture(params=["torchscript", "onnx"])
def exported(request, tmp_path):
    """Export a network by an example of its input; gives a function of images of any number and size."""

    def torchscript(network, example):
        return torch.jit.trace(network, example)

    def onnx(network, example):
        runtime, path = pytest.importorskip("onnxruntime"), str(tmp_path / "sam.onnx")
        pytest.importorskip("onnx")
        axes = {"image": {0: "batch", 2: "height", 3: "width"}}
        torch.onnx.export(
            network, (example,), path, input_names=["image"], dynamic_axes=axes, opset_version=17, dynamo=False
        )
        session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return lambda images: torch.from_numpy(session.run(None, {"image": images.numpy()})[0])

    return {"torchscript": torchscript, "onnx": onnx}[request.param]
