"""Train a bundle in a process of its own, and kill it at random moments."""

import os
import signal
import subprocess
import sys
import time

from .conftest import BUNDLES, base_layers, tiny

SETTINGS = {"iterations": 24, "epoch_length": 2, "val_interval": 3, "base_channels": 4, "average_last": 0.7}
RAMPS = {"iere_segmentation": "regularizer_ramp", "bcp_segmentation": "pretrain_steps"}  # what ends within the run
ROWS = SETTINGS["iterations"] // SETTINGS["epoch_length"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(BUNDLES.parent), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
QUIET = {"env": ENVIRONMENT, "cwd": BUNDLES.parent, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def command(name, data, output, entry="monai", **options):
    """Command line of a short training through ``python -m monai.bundle`` or ``python -m tools``."""
    options = {
        **tiny(name), **SETTINGS, RAMPS.get(name, "ramp_up"): 12, "dataset_dir": data, "output_dir": output, **options,
    }  # fmt: skip
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    if entry == "tools":
        return [sys.executable, "-m", "tools", "run", name, *base_layers(name), *words]
    files = str([str(BUNDLES / name / "configs" / f"{layer}.yaml") for layer in ("train", *base_layers(name))])
    bundle = ["--bundle_root", str(BUNDLES / name)]
    return [sys.executable, "-m", "monai.bundle", "run", "--config_file", files, *bundle, *words]


def rows(folder):
    """Rows of a history without the time they took."""
    path = folder / "history.csv"
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [",".join(cell for i, cell in enumerate(line.split(",")) if i != 1) for line in lines[1:]]


def wait(condition, process, seconds=600):
    """Wait until a condition holds; ``False`` if the process ends before."""
    deadline = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            return False
        assert time.monotonic() < deadline, "no progress"
        time.sleep(0.0005)
    return True


def kill(process, folder, draw):
    """Kill a training at a moment drawn from ``random.Random``; returns what it was, or ``None`` if it had ended."""
    seen = len(rows(folder))
    moment = draw.choice(("starting", "training", "training", "saving", "saving"))
    if moment == "starting":
        time.sleep(draw.uniform(0.5, 6))
    else:
        target = draw.randint(min(seen + 1, ROWS - 2), ROWS - 2)
        wait(lambda: len(rows(folder)) >= target, process)
    if moment == "saving":
        wait(lambda: any(folder.glob(".partial-*.pt")), process)
    else:
        time.sleep(draw.uniform(0, 0.4))
    if process.poll() is not None:
        return None
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = "with an unfinished file" if any(folder.glob(".partial-*")) else "no unfinished file"
    return f"{moment}, {len(rows(folder))} rows, {left}"


def train_with_kills(name, data, folder, count, draw):
    """Train to the end through so many kills; returns what they were."""
    moments, process, started = [], None, 0
    while len(moments) < count:
        entry = ("monai", "tools")[started % 2]
        process = subprocess.Popen(command(name, data, folder, entry, resume=bool(moments)), **QUIET)
        started += 1
        moment = kill(process, folder, draw)
        if moment is None:
            assert process.returncode == 0
            break  # it was done before it could be killed
        moments.append(moment)
    subprocess.run(command(name, data, folder, resume=True), check=True, **QUIET)
    return moments
