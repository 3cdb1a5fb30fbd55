"""Containers as web sites: what stands for a folder, what is listed, and to whom."""

import hmac
import re
import time
from pathlib import Path
from urllib.parse import urlencode

import pytest

from aerostat.services.object.middleware.staticweb import readable

from .kit import Answer, Store, opened

A = "/v1/AUTH_a"
C = f"{A}/c"
USERS = {"a:admin": {"key": "k", "groups": [".admin"]}}
WEB = {"middleware": {"tempauth": {"users": USERS}}}
READ = {"x-container-read": ".r:*,.rlistings"}
INDEX = {"x-container-meta-web-index": "index.html"}
LISTINGS = {"x-container-meta-web-listings": "true"}
ERROR = {"x-container-meta-web-error": "error.html"}


async def signed(store: Store) -> Store:
    got = await store("GET", "/auth/v1.0", headers={"x-auth-user": "a:admin", "x-auth-key": "k"})
    return store.as_(x_auth_token=got.headers["x-auth-token"])


async def site(store: Store, *said: dict[str, str]) -> Store:
    """Its owner."""
    owner = await signed(store)
    headers = {name: value for one in (READ, *said) for name, value in one.items()}
    assert (await owner("PUT", C, headers=headers)).status == 201
    for name in ("index.html", "dir/a.txt", "dir/sub/b & c", "dir2/index.html", "404error.html", "é.css"):
        await owner.put(f"{C}/{name}", f"bytes of {name}".encode())
    await owner.put(f"{C}/dir", b"", Content_Type="application/directory")
    return owner


def links(answer: Answer) -> list[str]:
    return re.findall(r'<a href="([^"]*)">', answer.text)


async def test_an_index_stands_for_its_folder(tmp_path: Path) -> None:
    async with opened(tmp_path, **WEB) as store:
        await site(store, INDEX)
        for path in ("", "/dir2"):
            answer = await store("GET", C + path)
            assert (answer.status, answer.headers["location"]) == (301, f"http://127.0.0.1:8080{C}{path}/")
            answer = await store("GET", f"{C}{path}/")
            assert (answer.status, answer.text) == (200, f"bytes of {path[1:]}{path and '/'}index.html")
        assert (await store("HEAD", f"{C}/")).headers["content-length"] == "19"
        etag = (await store("GET", f"{C}/")).headers["etag"]
        assert (await store("GET", f"{C}/", headers={"if-none-match": etag})).status == 304
        assert (await store("GET", f"{C}/", headers={"range": "bytes=0-4"})).body == b"bytes"
        answer = await store("GET", f"{C}/dir/")
        assert (answer.status, "Web Listing Disabled" in answer.text) == (404, True)
        assert (await store("GET", f"{C}/nothing")).status == 404
        assert (await store("GET", f"{C}/dir/a.txt")).text == "bytes of dir/a.txt"


async def test_listings(tmp_path: Path) -> None:
    async with opened(tmp_path, **WEB) as store:
        owner = await site(store, LISTINGS)
        answer = await store("GET", f"{C}/")
        assert answer.headers["content-type"] == "text/html; charset=UTF-8"
        assert f'<h1 id="title">Listing of {C}/</h1>' in answer.text
        assert links(answer) == [
            "./dir/", "./dir2/", "./404error%2Ehtml", "./dir", "./index%2Ehtml", "./%C3%A9%2Ecss",
        ]  # fmt: skip
        assert (await store("GET", f"{C}/dir")).status == 301
        answer = await store("GET", f"{C}/dir/")
        assert links(answer) == ["../", "./sub/", "./a%2Etxt"]
        assert "type-text type-plain" in answer.text
        answer = await store("GET", f"{C}/dir/sub/")
        assert '<a href="./b%20%26%20c">b &amp; c</a>' in answer.text
        assert (await store("GET", f"{C}/none/")).status == 404
        assert (await owner("GET", f"{C}/")).text.startswith("404error.html\n")
        assert links(await owner("GET", f"{C}/dir/", headers={"x-web-mode": "on"})) == [
            "../",
            "./sub/",
            "./a%2Etxt",
        ]
        await owner("POST", C, headers={"x-container-read": ".r:*"})
        assert (await store("GET", f"{C}/dir/")).status == 401
        assert (await store("GET", f"{C}/dir/a.txt")).status == 200


@pytest.mark.parametrize(
    ("said", "expected"),
    [("é.css", "../%C3%A9.css"), ("/x y.css", "/x%20y.css"), ("https://h/x", "https://h/x")],
)
async def test_style_and_label(tmp_path: Path, said: str, expected: str) -> None:
    async with opened(tmp_path, **WEB) as store:
        more = {"x-container-meta-web-listings-css": said, "x-container-meta-web-listings-label": "<me>"}
        await site(store, LISTINGS, more)
        text = (await store("GET", f"{C}/dir/")).text
        assert f'<link rel="stylesheet" type="text/css" href="{expected}" />' in text
        assert "<title>Listing of &lt;me&gt;/dir/</title>" in text


async def test_error_pages(tmp_path: Path) -> None:
    async with opened(tmp_path, **WEB) as store:
        owner = await site(store, INDEX, ERROR)
        answer = await store("GET", f"{C}/nothing")
        assert (answer.status, answer.text) == (404, "bytes of 404error.html")
        await owner.put(f"{C}/401error.html", b"who?")
        await owner("POST", C, headers={"x-container-read": ".r:example.com"})
        assert (await store("GET", f"{C}/")).status == 401
        headers = {"referer": "http://example.com/"}
        answer = await store("GET", f"{C}/nothing", headers=headers)
        assert (answer.status, answer.text) == (404, "bytes of 404error.html")


async def test_folders_have_the_type_that_is_said(tmp_path: Path) -> None:
    async with opened(tmp_path, **WEB) as store:
        owner = await site(store, LISTINGS, {"x-container-meta-web-directory-type": "text/directory"})
        assert (await store("GET", f"{C}/dir")).status == 200
        await owner.put(f"{C}/dir", b"", Content_Type="text/directory")
        assert (await store("GET", f"{C}/dir")).status == 301


async def test_other_containers_are_as_they_are(tmp_path: Path) -> None:
    async with opened(tmp_path, **WEB) as store:
        owner = await site(store)
        assert (await store("GET", C)).lines[0] == "404error.html"
        assert (await store("GET", f"{C}/dir")).status in (200, 404)
        assert (await store("GET", f"{C}/dir/a.txt")).status == 200
        assert (await owner("GET", C, headers={"x-web-mode": "true"})).status == 404
        assert (await store("GET", f"{A}/none")).status == 401


async def test_a_temporary_url_lists_what_it_opens(tmp_path: Path) -> None:
    async with opened(tmp_path, **WEB) as store:
        owner = await signed(store)
        await owner("PUT", C, headers={**LISTINGS, "x-container-meta-temp-url-key": "secret"})
        for name in ("dir/a", "dir/sub/b", "other"):
            await owner.put(f"{C}/{name}", b"1")
        until = int(time.time()) + 60

        def query(prefix: str) -> str:
            text = f"GET\n{until}\nprefix:{C}/{prefix}".encode()
            signature = hmac.new(b"secret", text, "sha256").hexdigest()
            return urlencode(
                {"temp_url_prefix": prefix, "temp_url_expires": until, "temp_url_sig": signature}
            )

        opened_here = query("dir/")
        answer = await store("GET", f"{C}/dir/", query=opened_here)
        kept = "?" + "&amp;".join(opened_here.replace("%2F", "/").split("&"))
        assert links(answer) == [f"./sub/{kept}", f"./a{kept}"]
        answer = await store("GET", f"{C}/dir/sub/", query=opened_here)
        assert links(answer) == [f"../{kept}", f"./b{kept}"]
        assert (await store("GET", f"{C}/", query=opened_here)).status == 401
        assert (await store("GET", f"{C}/", query=query(""))).status == 200


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0"), (1023, "1023"), (1024, "1Ki"), (10 << 20, "10Mi"), (3 << 40, "3Ti")]
)
def test_sizes_can_be_read(size: int, text: str) -> None:
    assert readable(size) == text
