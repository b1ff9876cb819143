"""Script, run isolated: does a bundle do what the model zoo, MONAI Label and its user will ask of it?"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from monai.bundle import ConfigWorkflow, ckpt_export, verify_net_in_out
from monai.data import load_net_with_metadata

LAST_WORDS = 160  # characters of an unexplained error
NO_WEIGHTS = re.compile(r"^InputError: \S*/(models/\S+): no such file")
ONE_PROCESS = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}


class Probe:
    """The steps, by name; each returns a remark or raises.

    Args:
        bundle: its folder.
        request: ``suffix`` of the configuration files, ``training`` (files of a tiny run), ``layers`` (files below each
            override file), ``of_layers`` (their options), ``train`` and ``infer`` (options of a tiny run), ``steps``
            (names of those to do; all by default).
    """

    def __init__(self, bundle: Path, request: dict) -> None:
        self.bundle, self.request, self.out = bundle, request, Path(tempfile.mkdtemp(dir="."))
        self.weights = bundle / "models" / "model.pt"

    def steps(self) -> dict[str, Callable[[], str]]:
        found = {
            "properties: train": lambda: self.properties(*self.request["training"]),
            "training step": self.training,
        }
        found["properties: inference"] = lambda: self.properties("inference")
        found["network in and out"] = self.network
        if self.weights.is_file():
            found |= {"inference": self.inference, "ckpt_export": self.export}
        if (self.bundle / "models" / "model.ts").is_file():
            found["model.ts"] = self.torchscript
        return found | {
            f"override: {layer}": lambda layer=layer: self.override(layer) for layer in self.request["layers"]
        }

    def workflow(self, *names: str, **options: Any) -> ConfigWorkflow:
        """The initialised workflow of some configuration files, with a tiny run's options."""
        configs = self.bundle / "configs"
        kind = "infer" if names[0] == "inference" else "train"
        workflow = ConfigWorkflow(
            config_file=[str(configs / f"{name}.{self.request['suffix']}") for name in names],
            meta_file=str(configs / "metadata.json"),
            logging_file=str(configs / "logging.conf"),
            workflow_type=kind,
            **{"bundle_root": str(self.bundle), **self.request[kind], **options},
        )
        logging.disable(logging.INFO)
        workflow.initialize()
        return workflow

    def properties(self, *names: str) -> str:
        missing = self.workflow(*names).check_properties()
        if missing:
            raise ValueError(f"missing or unreferenced: {missing}")
        return ""

    def training(self) -> str:
        folder = str(self.out / "train")
        workflow = self.workflow(*self.request["training"], output_dir=folder, ckpt_dir=folder)
        workflow.run()
        workflow.finalize()
        state = torch.load(Path(folder) / "model.pt", weights_only=True)
        return f"saved {len(state)} tensors"

    def inference(self) -> str:
        image, folder = Path(self.request["infer"]["inputs"][0]), self.out / "predictions"
        workflow = self.workflow("inference", output_dir=str(folder))
        workflow.run()
        workflow.finalize()
        (path,) = (file for file in folder.rglob("*.*") if file.suffix != ".csv")  # a table of the Dice to expect
        if path.name.endswith(".nii.gz") and image.name.endswith(".nii.gz"):
            source, result = nibabel.load(image), nibabel.load(path)
            if result.shape != source.shape[:3] or not np.allclose(result.affine, source.affine, atol=1e-5):
                raise ValueError("the prediction has another geometry than the image")
        return f"wrote {path.name}"

    def network(self) -> str:
        verify_net_in_out(
            net_id="network_def", meta_file=self.meta_file, config_file=self.inference_file, device="cpu", **self.root
        )
        return ""

    def export(self) -> str:
        path = str(self.out / "verify_model.ts")
        ckpt_export(
            net_id="network_def", filepath=path, ckpt_file=str(self.weights), meta_file=self.meta_file,
            config_file=self.inference_file, **self.root,
        )  # fmt: skip
        torch.jit.load(path)
        return "script"

    def torchscript(self) -> str:
        names = ("inference.json",)
        module, meta, extra = load_net_with_metadata(str(self.bundle / "models" / "model.ts"), more_extra_files=names)
        if meta != json.loads(Path(self.meta_file).read_text(encoding="utf-8")):
            raise ValueError("its metadata.json is not the bundle's")
        if json.loads(extra["inference.json"]) != json.loads(Path(self.inference_file).read_text(encoding="utf-8")):
            raise ValueError("its inference.json is not the bundle's")
        state = torch.load(self.weights, weights_only=True)
        different = [name for name, tensor in module.state_dict().items() if not torch.equal(tensor, state[name])]
        if different:
            raise ValueError(f"its weights are not those of model.pt: {different[0]}")
        return "weights of model.pt; metadata and inference configuration inside"

    def override(self, layer: str) -> str:
        below = self.request["layers"][layer]
        if layer == "multi_gpu_train":
            os.environ |= {**ONE_PROCESS, "MASTER_PORT": "0"}
        own = self.request["of_layers"].get(layer, {})
        workflow = self.workflow(*below, layer, output_dir=str(self.out), ckpt_dir=str(self.out), **own)
        try:
            for part in ("evaluator",) if below[0] == "inference" else ("train#trainer", "validate#evaluator"):
                workflow.parser.get_parsed_content(part)
        finally:
            workflow.finalize()
        return f"on {' + '.join(below)}"

    @property
    def meta_file(self) -> str:
        return str(self.bundle / "configs" / "metadata.json")

    @property
    def inference_file(self) -> str:
        return str(self.bundle / "configs" / f"inference.{self.request['suffix']}")

    @property
    def root(self) -> dict[str, str]:
        return {"bundle_root": str(self.bundle)}


def last_words(error: BaseException | None) -> str:
    """On one line: the first message in the chain of causes that was meant for users, else the deepest."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:  # a cause may have been raised while its effect was handled
        chain.append(error)
        error = error.__cause__ or error.__context__
    meant = [one for one in chain if type(one).__name__ == "InputError"]  # of this release's own package
    told = (meant or chain[-1:])[0]
    words = f"{type(told).__name__}: {' '.join(str(told).split())}"
    return words if len(words) <= LAST_WORDS else words[: LAST_WORDS - 4] + " ..."


def main(bundle: Path, request: dict) -> dict[str, list]:
    answers = {}
    steps = Probe(bundle, request).steps()
    for name in request.get("steps", steps):
        step = steps[name]
        try:
            answers[name] = ["ok", step()]
        except Exception as error:  # the next step may still tell something
            words = last_words(error)
            absent = NO_WEIGHTS.search(words)
            answers[name] = ["not run", f"needs {absent[1]}, the weights of others"] if absent else ["FAILED", words]
    return answers


if __name__ == "__main__":
    found = main(Path(sys.argv[1]), json.loads(sys.argv[2]))
    sys.stdout.write(json.dumps(found) + "\n")
