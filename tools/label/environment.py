"""A virtual environment of its own for MONAI Label, which needs older packages than the rest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from common.errors import InputError
from common.files import atomic_path

# Plain "monailabel" takes a pydicom that its pydicom-seg cannot import, and the server does not start.
PINS = (
    "torch==2.13.0",
    "monai==1.6.1",
    "monailabel==0.8.5",
    "pydicom<3",
    "pynetdicom<3",
    "dicomweb-client[gcp]<0.60",
    "pytorch-ignite==0.5.5",
    "SimpleITK>=2.3",
    "h5py>=3.10",
    "scikit-image>=0.24",
)
DONE = "pins.txt"
# Beside a torch for CPUs, a torchvision for CUDA cannot be imported: its compiled operators are missing, and it adds to
# two of them. MONAI Label imports it for the sake of two drawing functions.
OPERATORS = """import sys


class DeclareOperators:
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            self.library = torch.library.Library("torchvision", "DEF")
            for name in ("nms", "qnms"):
                self.library.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            sys.modules[__name__].keep = self


sys.meta_path.insert(0, DeclareOperators())
"""


def build_environment(folder: str | Path) -> Path:
    """Python of the environment in ``folder``, which is made by the first call (downloads about 2 GB).

    Raises:
        InputError: with pip's last words, when the packages cannot be installed.
    """
    root = Path(folder).absolute()
    python = root / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    done = root / DONE
    if python.is_file() and done.is_file() and done.read_text(encoding="utf-8").split("\n") == [*PINS, ""]:
        return python
    _run([sys.executable, "-m", "venv", "--clear", str(root)], root)
    _run([str(python), "-m", "pip", "install", "--quiet", *PINS], root)
    if subprocess.run([str(python), "-c", "import torchvision"], capture_output=True).returncode:
        where = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
        packages = Path(_run(where, root).strip())
        (packages / "torchvision_operators.py").write_text(OPERATORS, encoding="utf-8")
        (packages / "torchvision_operators.pth").write_text("import torchvision_operators\n", encoding="utf-8")
        _run([str(python), "-c", "import torchvision"], root)
    with atomic_path(done) as temporary:
        temporary.write_text("\n".join([*PINS, ""]), encoding="utf-8")
    return python


def _run(command: list[str], root: Path) -> str:
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        lines = (result.stderr or result.stdout).strip().splitlines() or ["no message"]
        errors = [line for line in lines if line.startswith("ERROR")]
        raise InputError(f"{root}: the environment of MONAI Label cannot be built: {(errors or lines)[-1]}")
    return result.stdout
