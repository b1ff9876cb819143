"""Middleware of the server: what no viewer asks for never reaches what is behind."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from .requests import MEGABYTE, RefusedError, check, most_bytes

Receive = Callable[[], Awaitable[dict]]
Send = Callable[[dict], Awaitable[None]]


class Guard:
    """An ASGI application that lets pass what ``check`` lets pass, and no more bytes than it allows.

    A body in chunks does not say how long it will be, so bytes are counted while they come.

    Args:
        app: what comes behind.
        limit: of an upload, in bytes.
        origins: pages that may write.
    """

    def __init__(self, app: Callable, limit: int, origins: tuple[str, ...]) -> None:
        self.app, self.limit, self.origins = app, limit, origins

    async def __call__(self, scope: dict, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        path = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
        try:
            check(scope["method"], path, scope["query_string"].decode("latin-1"), headers, self.limit, self.origins)
        except RefusedError as error:
            await _answer(send, error)
            return
        received, most, begun = 0, most_bytes(headers, self.limit), False
        too_long = RefusedError(413, f"more than {most / MEGABYTE:.0f} MB are too much (limit)")

        async def bounded() -> dict:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > most:
                raise too_long
            return message

        async def answered(message: dict) -> None:  # what is behind may make an answer of its own of that error
            nonlocal begun
            if received <= most or begun:
                begun = True
                await send(message)

        try:
            await self.app(scope, bounded, answered)
        except RefusedError:
            if received <= most:
                raise
        if received > most and not begun:
            await _answer(send, too_long)


async def _answer(send: Send, error: RefusedError) -> None:
    body = json.dumps({"detail": " ".join(str(error).split())}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
