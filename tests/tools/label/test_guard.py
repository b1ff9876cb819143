"""What the server's middleware lets through, as a server of HTTP would call it."""

import asyncio
import json

import pytest

from tools.label.guard import Guard
from tools.label.requests import JSON_BYTES, RefusedError

LIMIT = 3 * JSON_BYTES
FORM, JSON = b"multipart/form-data; boundary=x", b"application/json"


def reader(started):
    """An application that begins something once it has the whole body; errors become answers, as in FastAPI."""

    async def app(scope, receive, send):
        size, more = 0, True
        try:
            while more:
                message = await receive()
                size, more = size + len(message["body"]), message["more_body"]
        except RefusedError:
            await answer(send, 400, b"there was an error")
            return
        started.append(size)
        await answer(send, 200, b"{}")

    return app


async def answer(send, status, body):
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body})


def sent(app, body, kind, path="/train/la", **headers):
    """Status and body of the answer to a request in chunks of 64 kB."""
    parts, answers = [body[i : i + 2**16] for i in range(0, len(body), 2**16)] or [b""], []
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages[-1]["more_body"] = False

    async def receive():
        return messages.pop(0)

    async def send(message):
        answers.append(message)

    scope = {
        "type": "http", "method": "POST", "path": path, "query_string": b"",
        "headers": [(b"content-type", kind), *((name.encode(), value.encode()) for name, value in headers.items())],
    }  # fmt: skip
    asyncio.run(Guard(app, LIMIT, ())(scope, receive, send))
    start, content = answers
    return start["status"], content["body"]


@pytest.mark.parametrize(
    ("size", "kind", "status"),
    [
        (JSON_BYTES, JSON, 200),
        (JSON_BYTES + 1, JSON, 413),
        (JSON_BYTES + 1, b"application/JSON; charset=utf-8", 413),
        (JSON_BYTES + 1, b"text/plain", 413),
        (JSON_BYTES + 1, FORM, 200),
        (LIMIT, FORM, 200),
        (LIMIT + 1, FORM, 413),
    ],
)
def test_a_body_is_counted_while_it_comes(size, kind, status):
    started = []
    found, body = sent(reader(started), bytes(size), kind)
    assert found == status and started == ([size] if status == 200 else [])
    if status == 413:
        assert json.loads(body)["detail"] == f"more than {6 if kind == FORM else 2} MB are too much (limit)"


def test_an_error_that_nothing_behind_answers_is_answered():
    async def app(scope, receive, send):
        while True:
            await receive()

    assert sent(app, bytes(JSON_BYTES + 1), JSON)[0] == 413


def test_what_is_refused_by_its_headers_reaches_nothing():
    started = []
    assert sent(reader(started), b"", JSON, path="/nothing")[0] == 404
    assert sent(reader(started), b"", JSON, **{"content-length": "x"})[0] == 400
    assert not started
