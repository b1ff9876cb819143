"""Script, run isolated: write ``models/model.ts`` of a bundle from its ``models/model.pt``, always the same bytes."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

OWN_RECORDS = ("version", "byteorder", ".data/serialization_id")  # the writer adds them itself


def deployed_network(bundle: Path) -> tuple[torch.nn.Module, ConfigParser]:
    """The network of ``inference.json`` in eval mode with the bundle's weights, and the configuration."""
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / "inference.json"))
    parser.read_meta(str(bundle / "configs" / "metadata.json"))
    parser["bundle_root"] = str(bundle)
    network = parser.get_parsed_content("network_def").eval()
    weights = bundle / "models" / "model.pt"
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except Exception as error:
        sys.exit(f"error: models/model.pt: not weights that torch.load reads safely ({str(error).splitlines()[0]})")
    check_state(state, network.state_dict())
    network.load_state_dict(state)
    return network, parser


def check_state(state: Any, expected: dict[str, torch.Tensor]) -> None:
    """End the program with one line unless ``state`` has the names and shapes that the network expects."""
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        sys.exit("error: models/model.pt: expected a plain dictionary of tensors, as training saves it")
    for words, names in (("lacks", expected.keys() - state.keys()), ("has an unknown", state.keys() - expected.keys())):
        if names:
            sys.exit(f"error: models/model.pt {words} key: {min(names)} ({len(names)} in all)")
    for name, tensor in expected.items():
        if state[name].shape != tensor.shape:
            shapes = f"{list(state[name].shape)}, the network of inference.json expects {list(tensor.shape)}"
            sys.exit(f"error: models/model.pt: {name} has shape {shapes}")


def example(parser: ConfigParser, size: int = 1) -> torch.Tensor:
    """A random input of the smallest extents the metadata allow, times ``size`` where they are symbolic."""
    form = parser["_meta_"]["network_data_format"]["inputs"]["image"]
    extents = [e if isinstance(e, int) else size * int(e.removesuffix("*n")) for e in form["spatial_shape"]]
    return torch.rand(2, form["num_channels"], *extents, generator=torch.Generator().manual_seed(0))


def write(module: torch.jit.ScriptModule, path: Path, extra: dict[str, str]) -> None:
    """Save without the records that name this machine's files; everything else as ``torch.jit.save`` writes it."""
    with tempfile.TemporaryDirectory() as folder:
        raw = os.path.join(folder, path.name)
        torch.jit.save(module, raw, _extra_files=extra)
        reader, writer = torch._C.PyTorchFileReader(raw), torch._C.PyTorchFileWriter(str(path))
        for name in reader.get_all_records():
            if not name.endswith(".debug_pkl") and name not in OWN_RECORDS:
                record = reader.get_record(name)
                writer.write_record(name, record, len(record))
        writer.write_end_of_file()


def main(bundle: Path) -> dict[str, Any]:
    network, parser = deployed_network(bundle)
    images = example(parser)
    try:
        module, how = torch.jit.script(network), "script"
    except Exception:  # whatever the compiler refuses: a trace holds for the patch, which is what the inferer feeds
        module, how = torch.jit.trace(network, images), "trace"
    texts = {
        name: (bundle / "configs" / name).read_text(encoding="utf-8") for name in ("metadata.json", "inference.json")
    }
    write(module, bundle / "models" / "model.ts", texts)
    loaded = torch.jit.load(str(bundle / "models" / "model.ts"))
    with torch.inference_mode():
        difference = (loaded(images) - network(images)).abs().max().item()
    return {"how": how, "difference": difference}


if __name__ == "__main__":
    answer = main(Path(sys.argv[1]))
    sys.stdout.write(json.dumps(answer) + "\n")
