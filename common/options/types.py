"""Types of options: what a value must be, in words, and the one form it is used in.

A value comes as a word of a command line (text, whatever it looks like), from a YAML file (typed as YAML sees it), or
from Python. All three are read alike: ``--labeled 4``, ``labeled: 4`` and ``labeled: "4"`` are the same setting.
Nothing here imports more than the standard library: ``--help`` must not wait for torch.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from ..errors import InputError
from ..groups import EXPECTED, check_template

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
FAR = 10**9  # a bound that nobody needs to be told
LONGEST_NAME, LONGEST_TEXT = 255, 4096  # of a file's name and of a path, as file systems have them


class WrongValueError(ValueError):
    """A value is not of its type; the message completes "expected ...".

    ``id`` leads to the part of the value that is wrong, ``#kind``, and ``part`` holds that part, if it is one.
    """

    def __init__(self, expected: str, id: str = "", part: Any = None) -> None:
        super().__init__(expected)
        self.id, self.part = id, part


class Type:
    """What the values of an option are.

    ``words`` says so after "expected"; ``parse`` returns the canonical value or raises ``WrongValueError``. ``code``
    marks the types whose values MONAI is to resolve, references and components.
    """

    words = "a value"
    code = False

    def parse(self, value: Any) -> Any:
        """The value in its canonical form; ``WrongValueError`` for any other."""
        return value

    def fail(self) -> WrongValueError:
        return WrongValueError(self.words)


class Number(Type):
    """A finite number between two bounds, each part of the range unless it is open.

    Args:
        low: least value, or the open end of the range.
        high: greatest value.
        above: the range begins above ``low``.
        below: it ends below ``high``.
    """

    kind = "a number"

    def __init__(self, low: float = -FAR, high: float = FAR, above: bool = False, below: bool = False) -> None:
        self.low, self.high, self.above, self.below = low, high, above, below
        least = f"{'above' if above else 'of at least'} {low:.10g}" if low > -FAR else ""
        most = f"{'below' if below else 'at most'} {high:.10g}" if high != FAR else ""
        between = f"from {low:.10g} to {high:.10g}" if not above and not below and least and most else ""
        self.words = f"{self.kind} {between or ' and '.join(filter(None, (least, most)))}".strip()

    def parse(self, value: Any) -> int | float:
        if isinstance(value, str):
            value = self._read(value.strip())
        if isinstance(value, bool) or not isinstance(value, Real):
            raise self.fail()
        if not isinstance(value, Integral):
            value = float(value)
        low = value > self.low if self.above else value >= self.low
        high = value < self.high if self.below else value <= self.high
        if low and not high and self.high == FAR:
            raise WrongValueError(f"{self.words} and at most {FAR}")
        if not (low and high and math.isfinite(value)):
            raise self.fail()
        return self.canonical(value)

    def _read(self, text: str) -> float:
        if len(text) > 40 or not NUMBER.fullmatch(text):
            raise self.fail()
        return int(text) if text.lstrip("+-").isdigit() else float(text)

    def canonical(self, value: int | float) -> int | float:
        return int(value) if isinstance(value, Integral) else value


class Integer(Number):
    """A whole number between two bounds; ``10.0`` and ``1e1`` are whole, ``1.5`` is not."""

    kind = "an integer"

    def canonical(self, value: int | float) -> int:
        if value != int(value):
            raise self.fail()
        return int(value)


class Boolean(Type):
    """True or false, in any of the spellings of YAML, JSON, Python and the shell."""

    words = "true or false"

    def parse(self, value: Any) -> bool:
        word = str(value).strip().lower() if isinstance(value, (str, bool, int)) else ""
        if word not in TRUE + FALSE:
            raise self.fail()
        return word in TRUE


class Choice(Type):
    """One of some words or numbers. ``off`` and ``no``, which YAML takes for false, are found again."""

    def __init__(self, *values: str | int) -> None:
        self.values = values
        self.words = f"one of {', '.join(map(str, values))}" if len(values) > 1 else str(values[0])

    def parse(self, value: Any) -> str | int:
        if value is False:
            value = next((word for word in ("off", "no", "none") if word in self.values), value)
        if isinstance(value, (str, int)) and not isinstance(value, bool):
            for known in self.values:
                if str(value).strip() == str(known):
                    return known
        raise self.fail()


class Precision(Type):
    """``auto``, whether to use reduced precision at all, or the type to compute in."""

    words = "auto, true, false, bfloat16, float16 or float32"
    values = ("auto", "bfloat16", "float16", "float32")

    def parse(self, value: Any) -> str | bool:
        if isinstance(value, str) and value.strip() in self.values:
            return value.strip()
        try:
            return Boolean().parse(value)
        except WrongValueError:
            raise self.fail() from None


class Text(Type):
    """Any text of one line, whatever it looks like.

    Args:
        pattern: that the text must match.
        words: that say so.
        empty: there may be none.
    """

    def __init__(self, pattern: str = ".*", words: str = "text", empty: bool = False) -> None:
        self.pattern, self.words, self.empty = re.compile(pattern), words, empty

    def parse(self, value: Any) -> str:
        if not isinstance(value, str):
            raise WrongValueError(f"{self.words}, in quotes")
        if not (value.strip() or self.empty) or len(value) > LONGEST_TEXT or not value.isprintable():
            raise self.fail()
        if not self.pattern.fullmatch(value):
            raise self.fail()
        return value


class Template(Text):
    """A template of names, see ``common.groups``."""

    def __init__(self) -> None:
        super().__init__(words=EXPECTED)

    def parse(self, value: Any) -> str:
        try:
            return check_template(value)
        except ValueError as error:
            raise WrongValueError(str(error)) from None


class Path(Type):
    """A place in the file system; what is there, if anything, must be of the kind.

    Args:
        kind: ``file``, ``folder``, or ``path`` for either.
        read: it is read, so it must be there where a command names it.
        named: words that stand for files which packages bring, see ``common.wheels``.
        unless: an option beside this one and the value with which nothing is read.
    """

    def __init__(
        self,
        kind: str = "path",
        read: bool = False,
        named: Collection[str] = (),
        unless: tuple[str, Any] | None = None,
    ) -> None:
        self.kind, self.read, self.named, self.unless = kind, read, tuple(named), unless
        self.words = " or ".join([f"a {kind}", *self.named])

    def parse(self, value: Any) -> str:
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        if not isinstance(value, str):
            raise WrongValueError(f"{self.words}, in quotes")
        if not value.strip() or "\0" in value or len(value) > LONGEST_TEXT:
            raise self.fail()
        try:
            long = any(len(os.fsencode(part)) > LONGEST_NAME for part in value.split(os.sep))
        except UnicodeEncodeError:  # half a character
            raise self.fail() from None
        if long:
            raise WrongValueError(f"{self.words} whose names have at most {LONGEST_NAME} characters")
        if os.path.isfile(value) if self.kind == "folder" else self.kind == "file" and os.path.isdir(value):
            raise WrongValueError(
                f"{self.words}; there is a {'file' if self.kind == 'folder' else 'folder'} of this name"
            )
        return value


class Device(Type):
    """A device of torch by its name."""

    words = "cpu, cuda, cuda:0 (or another number) or mps"

    def parse(self, value: Any) -> str:
        word = str(value).strip() if isinstance(value, str) or type(value).__name__ == "device" else ""
        if not re.fullmatch(r"cpu|mps|cuda(:\d{1,2})?", word, re.ASCII):
            raise self.fail()
        return word


class Reference(Type):
    """A reference to one of some components: ``@network``."""

    code = True

    def __init__(self, *names: str) -> None:
        self.names, self.words = names, " or ".join(f'"@{name}"' for name in names)

    def parse(self, value: Any) -> str:
        name = value.strip().lstrip("@") if isinstance(value, str) else ""
        if name not in self.names:
            raise self.fail()
        return f"@{name}"


@dataclass(frozen=True)
class Option:
    """A setting: its name, its type, and what it is in one line, which is its comment in the configurations too.

    ``base`` is ``train``, ``inference`` or ``evaluate`` for a name that means different things there.
    """

    name: str
    type: Type
    description: str
    base: str = ""

    def parse(self, value: Any, given: str = "") -> Any:
        """The canonical value.

        Args:
            value: a word, or what YAML or Python hold.
            given: how the user gave it, for the message; ``--name`` by default.

        Raises:
            InputError: ``--name value: expected ...``.
        """
        try:
            return self.type.parse(value)
        except WrongValueError as error:
            part = error.part if error.id else value
            shown = part if isinstance(part, str) else "null" if part is None else repr(part)
            shown = " ".join(shown.split()) if len(shown) <= 80 else f"{' '.join(shown[:77].split())}..."
            raise InputError(f"{given or f'--{self.name}'}{error.id} {shown}: expected {error}") from None
