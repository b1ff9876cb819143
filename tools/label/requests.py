"""What a request may be: looked at before anything is read of it, written or run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote

READ_ONLY = "the studies are read-only: images are neither added, changed nor removed here"
LABEL_TAGS = ("final", "original")
NAME = re.compile(r"\w[\w .,()@+=-]{0,199}")
NAMES = ("image", "id", "label", "tag", "session_id", "model", "strategy", "method")  # of a query
MEGABYTE = 2**20
ORIGINS = "FEW_LABEL_ORIGINS"  # tells the server its own addresses
JSON_BYTES = 2 * MEGABYTE  # of a body without files
ROUTES = {  # what a server of ours answers; the last part of a path may be any name
    "GET": (
        *("/", "/docs", "/openapi.json", "/favicon.ico", "/info/", "/train/", "/scoring/", "/datastore/", "/logs/"),
        *("/datastore/image", "/datastore/image/info", "/datastore/label", "/datastore/label/info", "/session/*"),
        *("/static/**", "/ohif/**"),
    ),
    "HEAD": ("/datastore/image", "/datastore/label"),
    "POST": ("/infer/*", "/train/", "/train/*", "/activelearning/*", "/scoring/*"),
    "PUT": ("/datastore/label", "/session/"),
    "DELETE": ("/train/", "/scoring/", "/session/*"),
    "OPTIONS": ("/**",),
}
REFUSED = {  # with the reason, as it would be missed
    ("PUT", "/datastore/"): READ_ONLY,
    ("PUT", "/datastore/image"): READ_ONLY,
    ("DELETE", "/datastore/"): READ_ONLY,
    ("DELETE", "/datastore/image"): READ_ONLY,
    ("PUT", "/datastore/image/info"): READ_ONLY,
    ("PUT", "/datastore/label/info"): "labels are changed by saving them anew",
    ("DELETE", "/datastore/label"): "labels are kept; save another one instead",
    ("PUT", "/model/*"): "a served model is never written to; train it, or serve another one",
    ("DELETE", "/model/*"): "a served model is never written to; train it, or serve another one",
}


class RefusedError(ValueError):
    """A request that is not answered: an HTTP status from 400 to 499, and one line that says why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def check(
    method: str, path: str, query: str, headers: Mapping[str, str], limit: int, origins: tuple[str, ...] = ()
) -> None:
    """Raise ``RefusedError`` for a request that a viewer has no use for.

    Args:
        method: of HTTP.
        path: as it came, with its escapes.
        query: likewise.
        headers: names in lower case.
        limit: of an upload, in bytes.
        origins: addresses of this server and pages that may write, besides programs that name none; empty: any.
    """
    decoded = unquote(path)
    for (refused, pattern), reason in REFUSED.items():
        if method == refused and _matches(decoded, pattern):
            raise RefusedError(403, reason)
    if not any(_matches(decoded, pattern) for pattern in ROUTES.get(method, ())):
        raise RefusedError(405 if any(_matches(decoded, p) for r in ROUTES.values() for p in r[:-1]) else 404,
                           f"{method} {shown(decoded)}: nothing is offered here")  # fmt: skip
    if ".." in decoded.split("/") or "\\" in decoded or not decoded.isprintable():
        raise RefusedError(400, f"{shown(decoded)}: no path")
    hosts = {origin.partition("://")[2] for origin in origins}
    if hosts and headers.get("host") not in hosts:
        raise RefusedError(421, f"host {shown(headers.get('host', ''))}: not the address of this server (origins)")
    if (
        method not in ("GET", "HEAD", "OPTIONS")
        and origins
        and (origin := headers.get("origin"))
        and origin not in origins
    ):
        raise RefusedError(403, f"{shown(origin)}: pages from elsewhere may not write here (origins)")
    check_query(query)
    check_length(headers, limit)


def check_query(query: str) -> None:
    """Raise ``RefusedError`` for a name in the query that is none."""
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key in NAMES and value and not is_name(value):
            raise RefusedError(422, f"{key} {shown(value)}: expected a name of letters, digits, spaces and .,()@+=-")


def check_length(headers: Mapping[str, str], limit: int) -> None:
    """Raise ``RefusedError`` for a body that says it is too long."""
    length = headers.get("content-length", "0")
    if not length.isdecimal():
        raise RefusedError(400, f"content-length {shown(length)}: expected a number")
    most = most_bytes(headers, limit)
    if int(length) > most:
        raise RefusedError(
            413, f"{int(length) / MEGABYTE:.0f} MB are too much; at most {most / MEGABYTE:.0f} MB (limit)"
        )


def most_bytes(headers: Mapping[str, str], limit: int) -> int:
    """How long a body may be: ``limit`` for files, which come as forms, less for anything else."""
    return limit if headers.get("content-type", "").lower().startswith("multipart/form-data") else JSON_BYTES


def is_name(text: str) -> bool:
    """Whether text can be the name of an image, tag, model or session: no path, and nothing above a folder."""
    return bool(NAME.fullmatch(text)) and ".." not in text and not text.endswith(" ")


def parameters(text: str | None) -> dict:
    """The JSON object that a form's field ``params`` holds; ``RefusedError`` for anything else."""
    try:
        content = json.loads(text or "{}")
    except (ValueError, RecursionError):
        raise RefusedError(422, "params: expected a JSON object") from None
    if not isinstance(content, dict):
        raise RefusedError(422, f"params: expected a JSON object, got {type(content).__name__}")
    segments = content.get("label_info")
    if segments is not None and not (isinstance(segments, list) and all(isinstance(s, dict) for s in segments)):
        raise RefusedError(422, "params: label_info: expected a list of segments, each with a name")
    return content


def shown(text: str) -> str:
    """Text of a request, as it may stand in an answer or a log."""
    printable = "".join(character if character.isprintable() else "?" for character in text)
    return printable if len(printable) <= 80 else f"{printable[:77]}..."


def _matches(path: str, pattern: str) -> bool:
    if pattern.endswith("/**"):
        return path.startswith(pattern[:-2])
    if pattern.endswith("/*"):
        rest = path.removeprefix(pattern[:-1])
        return path.startswith(pattern[:-1]) and is_name(rest)
    return path == pattern
