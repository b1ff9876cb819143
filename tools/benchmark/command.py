"""``python -m tools benchmark``: how much faster than the slow way, measured side by side."""

from __future__ import annotations

import json
import math
import os
import platform
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter

import monai
import numpy as np
import torch

from common.errors import InputError
from common.files import atomic_path

from ..package import provenance
from ..run import BUNDLES
from .contests import CONTESTS, Contest, Result

LEAST = 0.1  # seconds: shorter calls are repeated within a round
HEADER = ("contest", "reference -> ours", "input", "reference ms", "ours ms", "ratio", "quartiles", "difference")


def benchmark(
    *names: str,
    rounds: int = 7,
    device: str = "cpu",
    threads: int | None = None,
    seed: int = 0,
    output: str | None = None,
) -> None:
    """Time what is fast here against a slow way to the same result: ``benchmark windows layout --rounds 5``.

    Both ways first have to agree, which also warms them up. Then they take turns, and each round gives a ratio of two
    times: on a busy machine ratios say more than times. Results below 1 are printed like the others.

    Args:
        names: contests; all by default.
        rounds: repetitions of each.
        device: cpu or cuda.
        threads: of torch on the CPU; as many as torch takes by default.
        seed: of the inputs.
        output: JSON file for machine and results.
    """
    if wrong := [name for name in names if name not in CONTESTS]:
        raise InputError(f"{wrong[0]}: no such contest; there are {', '.join(CONTESTS)}")
    if rounds < 1:
        raise InputError(f"rounds={rounds}: at least 1")
    if threads is not None:
        torch.set_num_threads(threads)
    about, rows = machine(device), []
    sys.stdout.write("".join(f"{key}: {value}\n" for key, value in about.items()) + "\n" + _line(HEADER, "---"))
    for name in names or CONTESTS:
        torch.manual_seed(seed)
        contest = CONTESTS[name](device)
        rows.append({"contest": name, "input": contest.work, **compare(contest, rounds, device)})
        sys.stdout.write(_row(rows[-1]))
        sys.stdout.flush()
    if output is not None:
        with atomic_path(output) as temporary:
            content = {"machine": about, "rounds": rounds, "seed": seed, "contests": rows}
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if different := [row["contest"] for row in rows if "ratio" not in row]:
        raise SystemExit(f"different results, so not timed: {', '.join(different)}")


def compare(contest: Contest, rounds: int, device: str = "cpu") -> dict[str, object]:
    """Difference of the results and, if it is within the tolerance, median times and ratio with its quartiles."""
    apart = difference(contest.reference(), contest.ours())
    found: dict[str, object] = {"difference": apart, "tolerance": contest.tolerance}
    if not apart <= contest.tolerance:
        return found
    pairs = [(seconds(contest.reference, device), seconds(contest.ours, device)) for _ in range(rounds)]
    reference, ours = np.median(pairs, axis=0).tolist()
    low, ratio, high = np.percentile([slow / fast for slow, fast in pairs], (25, 50, 75)).tolist()
    return {**found, "reference_seconds": reference, "seconds": ours, "ratio": ratio, "quartiles": [low, high]}


def difference(reference: Result, ours: Result) -> float:
    """Largest difference of two results, as a share of the reference's largest value in each of their parts."""
    shares = [0.0]
    for a, b in zip(reference, ours, strict=True):
        a, b = (torch.as_tensor(part).double().cpu() for part in (a, b))
        if a.shape != b.shape:
            return math.inf
        largest = a.abs().max().item()
        shares.append((a - b).abs().max().item() / (largest or 1.0))
    return math.nan if any(map(math.isnan, shares)) else max(shares)


def seconds(call: Callable[[], object], device: str) -> float:
    """Time of one call, the mean of as many as take ``LEAST`` together."""
    count, started = 0, _now(device)
    while True:
        call()
        count += 1
        if (elapsed := _now(device) - started) >= LEAST:
            return elapsed / count


def _now(device: str) -> float:
    if device != "cpu":
        torch.cuda.synchronize()
    return perf_counter()


def machine(device: str) -> dict[str, object]:
    """What the figures were measured on."""
    info = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.+)", info.read_text(encoding="utf-8")) if info.is_file() else None
    hardware = model[1] if model else platform.processor() or platform.machine()
    if device != "cpu":
        if not torch.cuda.is_available():
            raise InputError(f"device={device}: there is none here")
        hardware = f"{torch.cuda.get_device_name()}, cuDNN {torch.backends.cudnn.version()}, {hardware}"
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else math.nan
    return {
        "hardware": f"{hardware}, {os.cpu_count()} cores",
        "threads": torch.get_num_threads(),
        "load": round(load, 1),
        "torch": torch.__version__,
        "monai": monai.__version__,
        "commit": provenance(BUNDLES, (), True)["commit"],
    }


def _row(row: Mapping) -> str:
    what = CONTESTS[row["contest"]].__doc__
    cells = [row["contest"], what, row["input"]]
    if "ratio" in row:
        low, high = row["quartiles"]
        cells += [f"{1000 * row[key]:.1f}" for key in ("reference_seconds", "seconds")]
        cells += [f"{row['ratio']:.2f}", f"{low:.2f} to {high:.2f}", f"{row['difference']:.0e}"]
    else:
        cells += ["not comparable", "", "", "", f"{row['difference']:.0e} > {row['tolerance']:.0e}"]
    return _line(cells)


def _line(cells: Sequence[str], under: str = "") -> str:
    lines = [cells, [under] * len(cells)] if under else [cells]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
