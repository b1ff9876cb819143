"""Script, run isolated: the deployed network of a bundle as ONNX, checked against the weights with a runtime."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

OPSET = 17


def runner(path: str, runtime: str) -> tuple[Callable[[np.ndarray], np.ndarray], str]:
    """What computes a file's output for an image, in float32, and the runtime's version."""
    if runtime == "openvino":
        import openvino

        float32 = {"INFERENCE_PRECISION_HINT": "f32"}  # by itself it takes bfloat16 where the processor has it
        model = openvino.compile_model(path, "CPU", float32)
        return lambda image: model([image])[0], openvino.__version__.split("-")[0]
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {"image": image})[0], onnxruntime.__version__


def main(bundle: Path, path: str, runtime: str) -> dict[str, object]:
    shared = runpy.run_path(str(Path(__file__).with_name("torchscript.py")))
    network, parser = shared["deployed_network"](bundle)
    images = shared["example"](parser)
    symbolic = any(isinstance(e, str) for e in parser["_meta_#network_data_format#inputs#image#spatial_shape"])
    axes = {0: "batch"} | ({axis: f"extent_{axis - 1}" for axis in range(2, images.dim())} if symbolic else {})
    torch.onnx.export(
        network, (images,), path, input_names=["image"], output_names=["pred"], opset_version=OPSET,
        dynamic_axes={"image": axes, "pred": axes}, dynamo=False,
    )  # fmt: skip
    run, version = runner(path, runtime)
    worst = 0.0
    for size in (1, 2):  # other extents than those of the export
        images = shared["example"](parser, size)[:size]
        with torch.inference_mode():
            expected = network(images).numpy()
        worst = max(worst, float(np.abs(run(images.numpy()) - expected).max()))
    return {"difference": worst, "version": version}


if __name__ == "__main__":
    answer = main(Path(sys.argv[1]), **json.loads(sys.argv[2]))
    sys.stdout.write(json.dumps(answer) + "\n")
