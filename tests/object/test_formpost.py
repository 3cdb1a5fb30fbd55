"""Forms that browsers send: signed, limited, and read while they come."""

import hmac
import time

import pytest

from .kit import opened
from .test_tempauth import as_user, settings

PATH = "/v1/AUTH_test/c/in/"
BOUNDARY = "----x"


@pytest.fixture
async def store(tmp_path):
    async with opened(tmp_path, **settings()) as store:
        tester = await as_user(store, "test:tester")
        await tester("POST", "/v1/AUTH_test", headers={"x-account-meta-temp-url-key": "key"})
        await tester.put("/v1/AUTH_test/c")
        yield store


def fields(path=PATH, key="key", digest="sha256", **more):
    values = {
        "redirect": "",
        "max_file_size": "100",
        "max_file_count": "2",
        "expires": str(int(time.time()) + 60),
    }
    values |= more
    text = "\n".join([path, *values.values()][:5])
    return {**values, "signature": hmac.new(key.encode(), text.encode(), digest).hexdigest()}


def form(values, *files, ending="--"):
    lines = []
    for name, value in values.items():
        lines += [f"--{BOUNDARY}", f'Content-Disposition: form-data; name="{name}"', "", value]
    for name, data in files:
        disposition = f'Content-Disposition: form-data; name="f"; filename="{name}"'
        lines += [f"--{BOUNDARY}", disposition, "Content-Type: text/x-test", "", data]
    return ("\r\n".join([*lines, f"--{BOUNDARY}{ending}"]) + "\r\n").encode()


async def send(store, body, path=PATH, **headers):
    sent = {"content-type": f"multipart/form-data; boundary={BOUNDARY}", **headers}
    return await store("POST", path, body, sent)


async def test_files_are_taken_as_the_form_allows(store):
    answer = await send(store, form(fields(), ("a.txt", "one\r\n--two"), ("b", "")))
    assert (answer.status, answer.body) == (201, b"201 Created")
    tester = await as_user(store, "test:tester")
    first = await tester("GET", f"{PATH}a.txt")
    assert (first.body, first.headers["content-type"]) == (b"one\r\n--two", "text/x-test")
    assert (await tester("GET", f"{PATH}b")).body == b""


async def test_it_may_come_in_any_pieces(store):
    body = form(fields(path="/v1/AUTH_test/c", redirect="http://there/?a=b"), ("ü", "x" * 90))
    for size in (1, 7, 1000):
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        answer = await send(store, pieces, path="/v1/AUTH_test/c")
        assert answer.status == 303
        assert answer.headers["location"] == "http://there/?a=b&status=201&message="
    tester = await as_user(store, "test:tester")
    assert (await tester("GET", "/v1/AUTH_test/c/ü")).body == b"x" * 90


@pytest.mark.parametrize(
    ("values", "files", "status", "text"),
    [
        ({"key": "other"}, 1, 401, "FormPost: Invalid Signature"),
        ({"expires": "1"}, 1, 401, "FormPost: Form Expired"),
        ({"expires": "soon"}, 1, 400, "FormPost: expires not an integer"),
        ({"max_file_size": "4"}, 1, 400, "FormPost: max_file_size exceeded"),
        ({"max_file_count": "1"}, 2, 400, "400 Bad Request\r\nFormPost: Max File Count Exceeded"),
        ({}, 0, 400, "400 Bad Request\r\nFormPost: No Files To Process"),
        ({"path": "/v1/AUTH_test/other"}, 1, 401, "FormPost: Invalid Signature"),
    ],
)
async def test_refusals(store, values, files, status, text):
    answer = await send(store, form(fields(**values), *[(f"f{n}", "12345") for n in range(files)]))
    assert (answer.status, answer.text) == (status, text)
    tester = await as_user(store, "test:tester")
    expected = ["in/f0"] if files == 2 else []
    assert (await tester("GET", "/v1/AUTH_test/c")).lines == expected


async def test_what_is_changed_after_signing_is_refused(store):
    signed = fields()
    for name, value in (("max_file_size", "1000"), ("max_file_count", "9"), ("redirect", "http://evil/")):
        answer = await send(store, form({**signed, name: value}, ("f", "x")))
        assert answer.status == 401, name


async def test_it_says_when_files_are_to_be_deleted(store):
    assert (await send(store, form({**fields(), "x_delete_after": "100"}, ("f", "x")))).status == 201
    tester = await as_user(store, "test:tester")
    assert "x-delete-at" in (await tester("HEAD", f"{PATH}f")).headers
    assert (await send(store, form({**fields(), "x_delete_at": "x"}, ("f", "x")))).status == 400


async def test_broken_forms(store):
    assert (await send(store, b"no form")).text == "FormPost: invalid starting boundary"
    endless = f"--{BOUNDARY}\r\nX: ".encode() + b"y" * 40_000
    assert (await send(store, endless)).status == 400
    assert (await send(store, form(fields(), ("f", "x"), ending=""))).status == 400
    plain = await store("POST", PATH, b"x", {"content-type": "text/plain"})
    assert plain.status == 401
