"""Which image to label next, and why."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.files import atomic_path

AGAIN_SECONDS = 3600  # an image that someone was given is not offered again for so long
GIVEN_UP = 0.02  # of the largest share of foreground: an image with less counts as one without


@dataclass(frozen=True)
class Choice:
    """An image to label, and the reason in one line."""

    id: str
    reason: str
    score: float | None = None


class Scores:
    """What is known of the images by the weights that told it: ``{id: {"score", "foreground", "weights"}}`` as JSON."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def of(self, weights: str) -> dict[str, dict]:
        """Entries by image that these weights made."""
        return {id: entry for id, entry in self._read().items() if entry.get("weights") == weights}

    def put(self, id: str, weights: str, **values: float | None) -> None:
        content = self._read() | {id: {**values, "weights": weights}}
        with atomic_path(self.path) as temporary:
            temporary.write_text(json.dumps(content), encoding="utf-8")

    def _read(self) -> dict:
        try:
            return json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}


def free(ids: Sequence[str], served: Mapping[str, float], now: float | None = None) -> list[str]:
    """The images that nobody was given lately; all of them where everyone of them was."""
    now = time.time() if now is None else now
    return [id for id in ids if now - served.get(id, 0) > AGAIN_SECONDS] or list(ids)


def uncertain(ids: Sequence[str], scores: Mapping[str, Mapping]) -> Choice | None:
    """The image that the network is least sure of; those it has not seen count as the median, so that they come up."""
    known = {id: float(scores[id]["score"]) for id in ids if id in scores and scores[id].get("score") is not None}
    if not ids:
        return None
    if not known:
        return Choice(min(ids), "no image has been segmented with the present weights yet; the first by name")
    middle = float(np.median(list(known.values())))
    best = max(sorted(ids), key=lambda id: known.get(id, middle))
    if best not in known:
        return Choice(best, f"not segmented with the present weights yet, and those that were are sure ({middle:.2f})")
    return Choice(best, f"uncertainty {known[best]:.2f}, the highest of {len(known)} segmented images", known[best])


def covering(ids: Sequence[str], features: Mapping[str, np.ndarray], labeled: Sequence[str]) -> Choice | None:
    """The image farthest from all labeled ones; without labels the most typical one (k-center greedy).

    Source: Sener and Savarese, ICLR 2018, with features of the image instead of those of a network.
    """
    seen = [id for id in ids if id in features]
    if not seen:
        return Choice(min(ids), "no image could be looked at; the first by name") if ids else None
    points = np.stack([features[id] for id in seen])
    known = [features[id] for id in labeled if id in features]
    if not known:
        distance = np.linalg.norm(points - np.median(points, axis=0), axis=1)
        best = int(distance.argmin())
        return Choice(
            seen[best], f"the most typical of {len(seen)} images, as none is labeled yet", float(distance[best])
        )
    distance = np.min([np.linalg.norm(points - point, axis=1) for point in known], axis=0)
    best = int(distance.argmax())
    reason = (
        f"least like the {len(known)} labeled images (distance {distance[best]:.2f}, median {np.median(distance):.2f})"
    )
    return Choice(seen[best], reason, float(distance[best]))


def with_foreground(ids: Sequence[str], shares: Mapping[str, float], seed: int | None = None) -> Choice | None:
    """A random image among those in which something is to be labeled.

    Args:
        ids: images to choose from.
        shares: of an image that is foreground, as far as that is known.
        seed: of the draw; ``None``: another one each time.
    """
    if not ids:
        return None
    known = [id for id in sorted(ids) if id in shares]
    least = GIVEN_UP * max((shares[id] for id in known), default=0.0)
    full = [id for id in known if shares[id] > least]
    pool = full + [id for id in sorted(ids) if id not in shares] or sorted(ids)
    chosen = random.Random(seed).choice(pool)
    if not known:
        return Choice(chosen, f"random among {len(pool)} images; nothing is known of their foreground yet")
    reason = (
        f"random among {len(pool)} images that show foreground or were not looked at; {len(known) - len(full)} do not"
    )
    return Choice(chosen, reason, shares.get(chosen))


def several(count: int, ids: Sequence[str], choose, **kept) -> list[Choice]:
    """The first ``count`` images to label, each chosen as if those before it were labeled."""
    chosen: list[Choice] = []
    while len(chosen) < min(count, len(ids)):
        taken = [choice.id for choice in chosen]
        chosen.append(choose([id for id in ids if id not in taken], taken, **kept))
    return chosen
