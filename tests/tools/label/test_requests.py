"""What a server answers, and what it refuses before it looks."""

import pytest

from tools.label.requests import READ_ONLY, RefusedError, check, is_name, parameters

ORIGINS = ("http://127.0.0.1:8000",)
HOST = {"host": "127.0.0.1:8000"}
LIMIT = 10 * 2**20
ALLOWED = [
    ("GET", "/info/", ""),
    ("GET", "/", ""),
    ("GET", "/datastore/", "output=all"),
    ("POST", "/infer/left%20atrium", "image=a b.1"),
    ("PUT", "/datastore/label", "image=case_1&tag=final"),
    ("PUT", "/datastore/label", "image=case_1&tag="),
    ("PUT", "/session/", ""),
    ("GET", "/session/7665249c-e990-11f1", "image=true"),
    ("POST", "/train/la", ""),
    ("DELETE", "/train/", ""),
    ("POST", "/activelearning/coverage", ""),
    ("HEAD", "/datastore/image", "image=x"),
    ("GET", "/ohif/index.html", ""),
]
FORBIDDEN = [
    ("DELETE", "/datastore/image", "id=case_1", 403),
    ("DELETE", "/datastore/", "id=case_1", 403),
    ("PUT", "/datastore/image", "image=x", 403),
    ("PUT", "/datastore/", "", 403),
    ("DELETE", "/datastore/label", "id=x", 403),
    ("PUT", "/model/la", "", 403),
    ("DELETE", "/model/la", "", 403),
    ("GET", "/model/la", "", 404),
    ("GET", "/proxy/x", "", 404),
    ("POST", "/batch/infer/la", "", 404),
    ("POST", "/reload", "", 404),
    ("GET", "/datastore/dataset", "", 404),
    ("POST", "/infer/..%2Fx", "", 404),
    ("GET", "/session/a%2Fb", "", 404),
    ("GET", "/static/..%2f..%2fx", "", 400),
    ("PUT", "/datastore/label", "image=a&tag=../../x", 422),
    ("GET", "/datastore/image", "image=..%2Fx", 422),
    ("GET", "/datastore/image", "image=/etc/passwd", 422),
    ("POST", "/infer/la", "image=C:%5Cx", 422),
    ("POST", "/infer/la", "session_id=../x", 422),
    ("PUT", "/datastore/label", "image=a%00b", 422),
    ("POST", "/infer/la", "image=" + "a" * 300, 422),
    ("PATCH", "/info/", "", 405),
    ("POST", "/nothing", "", 404),
]


@pytest.mark.parametrize(("method", "path", "query"), ALLOWED)
def test_viewers_get_through(method, path, query):
    check(method, path, query, HOST, LIMIT, ORIGINS)


@pytest.mark.parametrize(("method", "path", "query", "status"), FORBIDDEN)
def test_nothing_else_does(method, path, query, status):
    with pytest.raises(RefusedError) as caught:
        check(method, path, query, HOST, LIMIT, ORIGINS)
    assert caught.value.status == status and "\n" not in str(caught.value) and len(str(caught.value)) < 250


def refusal(headers, method="POST", path="/train/la", origins=ORIGINS):
    with pytest.raises(RefusedError) as caught:
        check(method, path, "", headers, LIMIT, origins)
    return caught.value.status


def test_pages_and_names_from_elsewhere_are_kept_out():
    assert refusal({**HOST, "origin": "http://evil.example"}) == 403
    assert refusal({"host": "evil.example"}, "GET", "/info/") == refusal({}, "GET", "/info/") == 421
    check("POST", "/train/la", "", {**HOST, "origin": ORIGINS[0]}, LIMIT, ORIGINS)
    check("POST", "/train/la", "", {"host": "anything", "origin": "http://x"}, LIMIT)  # bound to all addresses


def test_long_bodies_are_not_read():
    assert refusal({**HOST, "content-length": str(LIMIT + 1)}) == 413
    assert refusal({**HOST, "content-length": "3000000", "content-type": "application/json"}) == 413
    assert refusal({**HOST, "content-length": "-1"}) == 400
    upload = {**HOST, "content-length": str(LIMIT), "content-type": "multipart/form-data; boundary=x"}
    check("PUT", "/session/", "", upload, LIMIT, ORIGINS)
    assert refusal({**HOST, "content-length": str(LIMIT), "content-type": "text/plain"}) == 413


@pytest.mark.parametrize("text", ["[]", "1", "{", "null x", '{"label_info": 3}', '{"label_info": [1]}', "[" * 5000])
def test_parameters_are_an_object(text):
    with pytest.raises(RefusedError, match="params: ") as caught:
        parameters(text)
    assert caught.value.status == 422


def test_what_parameters_may_be():
    assert parameters(None) == parameters("") == {} and parameters('{"label_info": [{"name": "x"}]}')["label_info"]


def test_names():
    assert all(map(is_name, ["case_1", "Fall 3 (neu)", "é.1", "a@b"]))
    assert not any(map(is_name, ["", ".x", "a/b", "a\\b", "..", "a..b", "a\n", "x ", "a:b", "$x", "a" * 201]))
    assert "read-only" in READ_ONLY
