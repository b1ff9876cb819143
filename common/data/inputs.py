"""Cases to segment, read one after the other."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence

from torch.utils.data import IterableDataset

from ..errors import InputError, printable
from .cache import CheckedDataset, check_case

NAMED, LONGEST = 5, 300  # cases in the summary, characters of the reason of each


class ReadableCases(IterableDataset):
    """Decode cases one after the other; one that cannot be used is reported on the way and left out.

    Args:
        data: one dictionary per case, with the path ``image``.
        transform: deterministic chain from paths to channel-first tensors.

    Raises:
        InputError: at the end of an iteration that met no usable case.
    """

    def __init__(self, data: Sequence[Mapping], transform: Callable | None = None) -> None:
        self.data, self.transform = list(data), transform
        self.problems: list[str] = []
        self.logger = logging.getLogger(type(self).__name__)

    def __iter__(self) -> Iterator[dict]:
        self.problems.clear()
        decoded = CheckedDataset(self.data, self.transform)
        for index, files in enumerate(self.data):
            try:
                case = decoded[index]
                check_case(case, {"image": files["image"]}, classes=1)
            except InputError as error:
                self.report(str(error))
            else:
                yield case
        if len(self.problems) == len(self.data):
            self.require_all()

    def report(self, reason: str) -> None:
        """Log why a case has no result; ``require_all`` will tell it again."""
        self.problems.append(printable(reason))
        self.logger.error(self.problems[-1])

    def require_all(self) -> None:
        """Raise ``InputError`` naming the cases that the last iteration left out, if there are any."""
        if not self.problems:
            return
        shown = "; ".join(problem[:LONGEST] for problem in self.problems[:NAMED])
        more = f"; and {len(self.problems) - NAMED} more, see above" if len(self.problems) > NAMED else ""
        raise InputError(f"{len(self.problems)} of {len(self.data)} images could not be used: {shown}{more}")
