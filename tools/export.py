"""The deployed network of a released bundle in other forms."""

from __future__ import annotations

from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from common.errors import InputError, require_choice, require_file
from common.files import atomic_path, require_file_place

from .package import package
from .release.archive import SUMS, changed_files, unpacked
from .release.isolated import run_isolated
from .runs import read_run

TOLERANCE = 1e-4
RUNTIMES = ("onnxruntime", "openvino")


def export(bundle: str, output: str | None = None, runtime: str = "onnxruntime") -> str:
    """Write the network of a run or a released bundle as ONNX; a runtime must reproduce its output to 1e-4.

    Args:
        bundle: folder of a run; or folder or archive that ``package`` wrote, with TorchScript in it already.
        output: file to write; ``<bundle>.onnx`` in this folder by default.
        runtime: that is to run the file, and checks it: onnxruntime, or openvino, which is faster on CPUs.
    """
    require_choice(runtime=(runtime, RUNTIMES))
    needed = ("onnx", runtime)
    if missing := [name for name in needed if find_spec(name) is None]:
        raise InputError(f"export needs the package {missing[0]} (the extra export): pip install {' '.join(needed)}")
    require_file_place(output or f"{Path(bundle).resolve().name.removesuffix('.zip')}.onnx", "--output")
    with TemporaryDirectory() as temporary_folder, ExitStack() as stack:
        if read_run(bundle) is not None:
            name = Path(bundle).resolve().name
            output = output or f"{name}.onnx"
            bundle = package(bundle, output=temporary_folder, dirty=True, license="not released")
        folder = stack.enter_context(unpacked(Path(bundle)))
        if (folder / SUMS).is_file() and (changed := changed_files(folder)):
            raise InputError(f"{bundle}: changed since packaging: {', '.join(changed[:3])}; nothing of it is run")
        require_file(folder / "configs" / "inference.json", "export takes a released bundle: python -m tools package")
        path = Path(output or f"{folder.name}.onnx").resolve()
        with atomic_path(path) as temporary:
            answer = run_isolated("onnx_model", folder, path=str(temporary), runtime=runtime)
            difference = answer["difference"]
            if not difference <= TOLERANCE:
                raise InputError(f"{folder.name}: the ONNX output differs by {difference:.1e}, more than {TOLERANCE}")
    return f"{path}, largest difference {difference:.1e} in float32 with {runtime} {answer['version']}"
