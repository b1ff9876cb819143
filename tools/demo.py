"""The whole path on synthetic data: train, evaluate, infer, report."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from common.data import Phantom, write_phantoms

from .report import report
from .run import quiet, run

METHODS = {
    "supervised": ("meanteacher_segmentation", "supervised"),
    "Mean Teacher": ("meanteacher_segmentation",),
    "SS-Net": ("ssnet_segmentation",),
}
PHANTOM = Phantom(size=(64, 64, 32), classes=2, difficulty=0.5)


def demo(output: str = "demo", seed: int = 0) -> None:
    """Train three methods on phantoms with 2 labels, evaluate them on 8 test cases and write ``<output>/index.html``.

    Args:
        output: folder for data, weights, predictions and the report.
        seed: of the phantoms and of the training.
    """
    started = time.perf_counter()
    quiet()
    folder = Path(output)
    data = write_phantoms(folder / "data", PHANTOM, labeled=2, unlabeled=16, validation=0, test=8, seed=seed)
    runs = {}
    for name, (bundle, *layers) in METHODS.items():
        sys.stdout.write(f"training {name} ...\n")
        target = folder / name.lower().replace(" ", "_")
        place = {"dataset_dir": str(data), "output_dir": str(target), "overwrite": True, "device": "cpu", "seed": seed}
        run(bundle, "demo", *layers, **place)
        run(bundle, "evaluate", ckpt_dir=str(target), split="test", device="cpu", progress=False)
        images = [str(data / "images" / f"{case}.nii.gz") for case in _test_cases(target)]
        run(
            bundle,
            "inference",
            checkpoint=str(target),
            inputs=images,
            output_dir=str(target / "predictions"),
            device="cpu",
        )
        runs[name] = str(target)
    page = report(runs, str(data), output, split="test")
    sys.stdout.write("\n" + (folder / "table.md").read_text(encoding="utf-8"))
    sys.stdout.write(f"\n{time.perf_counter() - started:.0f} s in all; pictures: {page}\n")


def _test_cases(target: Path) -> list[str]:
    lines = (target / "test" / "metrics.csv").read_text(encoding="utf-8").splitlines()[1:]
    return list(dict.fromkeys(line.split(",")[0] for line in lines))
