"""Script, run isolated: the deployed network of a bundle as ONNX, checked against the weights with onnxruntime."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import torch

OPSET = 17


def main(bundle: Path, path: str) -> dict[str, float]:
    shared = runpy.run_path(str(Path(__file__).with_name("torchscript.py")))
    network, parser = shared["deployed_network"](bundle)
    images = shared["example"](parser)
    symbolic = any(isinstance(e, str) for e in parser["_meta_#network_data_format#inputs#image#spatial_shape"])
    axes = {0: "batch"} | ({axis: f"extent_{axis - 1}" for axis in range(2, images.dim())} if symbolic else {})
    torch.onnx.export(
        network, (images,), path, input_names=["image"], output_names=["pred"], opset_version=OPSET,
        dynamic_axes={"image": axes, "pred": axes}, dynamo=False,
    )  # fmt: skip
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    worst = 0.0
    for size in (1, 2):  # other extents than those of the export
        images = shared["example"](parser, size)[:size]
        with torch.inference_mode():
            expected = network(images).numpy()
        worst = max(worst, float(np.abs(session.run(None, {"image": images.numpy()})[0] - expected).max()))
    return {"difference": worst}


if __name__ == "__main__":
    answer = main(Path(sys.argv[1]), json.loads(sys.argv[2])["path"])
    sys.stdout.write(json.dumps(answer) + "\n")
