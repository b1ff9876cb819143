"""``python -m tools benchmark``: how much faster than the slow way, measured side by side."""

from __future__ import annotations

import json
import math
import os
import platform
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import monai
import numpy as np
import torch

from common.errors import InputError, require_whole
from common.files import atomic_path, require_file_place

from ..package import provenance
from ..run import BUNDLES
from . import peer, scaling
from .contest import Contest, Result

LEAST = 0.1  # seconds: shorter calls are repeated within a round
MEBIBYTE = 2**20
SCALING = "scaling"
PARTS = ("inference", "step", "input", "memory", "startup", "sam")
GROUPS = {name: import_module(f"{__package__}.{name}") for name in PARTS}
CONTESTS = {contest.__name__: contest for group in GROUPS.values() for contest in group.CONTESTS}
WAYS = ("reference", "MONAI", "ours")
HEADER = ("contest", "reference -> ours", "input", *WAYS, "ratio", "quartiles", "of wall time", "difference")


def benchmark(
    *names: str,
    rounds: int = 5,
    device: str = "cpu",
    threads: int | None = None,
    seed: int = 0,
    peer_repo: str | None = None,
    output: str | None = None,
) -> None:
    """Time what is fast here against a slow way to the same result: ``benchmark step windows --rounds 5``.

    All ways first have to agree, which also warms them up. Then they take turns, and each round gives a ratio of two
    processor times (on a GPU, of two times): on a busy machine ratios say more than times.

    Args:
        names: groups (inference, step, input, memory, startup, scaling, sam) or contests of them; all by default.
        rounds: repetitions of each.
        device: cpu or cuda.
        threads: of torch on the CPU; as many as torch takes by default.
        seed: of the inputs.
        peer_repo: your clone of a published repository; its own loop over the windows of a volume, where it has one
            that can be called, is timed beside ours on a CPU, in a process of its own. That executes code of this
            folder. Without names nothing else is timed then.
        output: JSON file for machine and results.

    Raises:
        SystemExit: where ways differ, or ours is slower than the reference or than MONAI's in three of four rounds.
    """
    if wrong := [name for name in names if name not in {*CONTESTS, *GROUPS, SCALING}]:
        raise InputError(f"{wrong[0]}: no such group or contest; there are {', '.join([*GROUPS, SCALING, *CONTESTS])}")
    require_whole(1, rounds=rounds, threads=threads)
    if output is not None:
        require_file_place(output, "--output")
    if threads is not None:
        torch.set_num_threads(threads)
    about, rows = machine(device), []
    sys.stdout.write("".join(f"{key}: {value}\n" for key, value in about.items()) + "\n")
    chosen = _chosen(names) if names or peer_repo is None else []
    sys.stdout.write(_line(HEADER, "---") if chosen or peer_repo is not None else "")
    if peer_repo is not None:
        rows.append(peer.peer(str(peer_repo), rounds, threads, seed))
        sys.stdout.write(_row(rows[-1]))
    for name in chosen:
        torch.manual_seed(seed)
        contest = CONTESTS[name](device)
        rows.append({"contest": name, "input": contest.work, **compare(contest, rounds, device)})
        sys.stdout.write(_row(rows[-1]))
        sys.stdout.flush()
    content: dict[str, Any] = {"machine": about, "rounds": rounds, "seed": seed, "contests": rows}
    if (not names and peer_repo is None) or SCALING in names:
        content[SCALING] = scaling.measure(device)
        sys.stdout.write("\n" + scaling.as_text(content[SCALING]))
    if output is not None:
        with atomic_path(output) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if different := [row["contest"] for row in rows if "ways" not in row]:
        raise SystemExit(f"different results, so not timed: {', '.join(different)}")
    if slower := [f"{row['contest']} ({way})" for row in rows for way in _faster_than_ours(row)]:
        raise SystemExit(f"slower here than the way in brackets: {', '.join(slower)}")


def compare(contest: Contest, rounds: int, device: str = "cpu") -> dict[str, Any]:
    """Differences of the results and, if they are within the tolerance, median costs and ratios with quartiles.

    ``ways`` has for each its ``cost`` (seconds of the processor, or bytes), ``wall`` and, for others than ours, the
    ``ratio`` of its cost to ours with ``quartiles``.
    """
    results = {name: way() for name, way in contest.ways.items()}
    if contest.bytes:
        results = {name: result[:-1] for name, result in results.items()}
    apart = max(difference(results["reference"], result) for name, result in results.items() if name != "reference")
    found: dict[str, Any] = {"difference": apart, "tolerance": contest.tolerance, "bytes": contest.bytes}
    if not apart <= contest.tolerance:
        return found
    costs: dict[str, list[tuple[float, float]]] = {name: [] for name in contest.ways}
    for _ in range(rounds):
        for name, way in contest.ways.items():
            costs[name].append((float(way()[-1]), math.nan) if contest.bytes else seconds(way, device))
    ways: dict[str, dict] = {}
    for name, pairs in costs.items():
        cost, wall = np.median(pairs, axis=0).tolist()
        ways[name] = {"cost": cost, "wall": wall}
        if name != "ours":
            ratios = [slow / fast for (slow, _), (fast, _) in zip(pairs, costs["ours"])]
            low, ways[name]["ratio"], high = np.percentile(ratios, (25, 50, 75)).tolist()
            ways[name]["quartiles"] = [low, high]
    return {**found, "ways": ways}


def _chosen(names: Sequence[str]) -> list[str]:
    if not names:
        return list(CONTESTS)
    chosen = [contest.__name__ for name in names if name in GROUPS for contest in GROUPS[name].CONTESTS]
    return list(dict.fromkeys([*chosen, *(name for name in names if name in CONTESTS)]))


def _faster_than_ours(row: Mapping) -> list[str]:
    return [name for name, way in row.get("ways", {}).items() if name != "ours" and way["quartiles"][1] < 1]


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


def seconds(call: Callable[[], Any], device: str) -> tuple[float, float]:
    """Processor's and wall time of one call, the mean of as many as take ``LEAST`` together; on a GPU wall time twice.

    Time of child processes counts too.
    """
    count, started = 0, _now(device)
    while True:
        call()
        count += 1
        used, wall = (end - start for start, end in zip(started, _now(device)))
        if wall >= LEAST:
            return used / count, wall / count


def _now(device: str) -> tuple[float, float]:
    if device != "cpu":
        torch.cuda.synchronize()
        return perf_counter(), perf_counter()
    children = os.times()
    return process_time() + children.children_user + children.children_system, perf_counter()


def machine(device: str) -> dict[str, Any]:
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
    about = CONTESTS[row["contest"]].__doc__ if row["contest"] in CONTESTS else "the clone's loop -> prepared network"
    cells = [row["contest"], about, row["input"]]
    if "ways" not in row:
        cells += ["not comparable", *[""] * 5, f"{row['difference']:.0e} > {row['tolerance']:.0e}"]
        return _line(cells)
    ways = row["ways"]
    scale, unit = (1 / MEBIBYTE, "MiB") if row["bytes"] else (1000, "ms")
    cells += [f"{scale * ways[name]['cost']:.1f} {unit}" if name in ways else "" for name in WAYS]
    low, high = ways["reference"]["quartiles"]
    wall = ways["reference"]["wall"] / ways["ours"]["wall"]
    cells += [f"{ways['reference']['ratio']:.2f}", f"{low:.2f} to {high:.2f}", "" if row["bytes"] else f"{wall:.2f}"]
    return _line([*cells, "another result" if row["tolerance"] == math.inf else f"{row['difference']:.0e}"])


def _line(cells: Sequence[str], under: str = "") -> str:
    lines = [cells, [under] * len(cells)] if under else [cells]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
