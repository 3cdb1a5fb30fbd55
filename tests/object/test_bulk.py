"""Deletions by a list, uploads by an archive: what is done, what is said of it, and what bad input comes to."""

import asyncio
import bz2
import gzip
import io
import tarfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from aerostat.services.object.middleware.bulk import tar

from .kit import Answer, Store, opened

A = "/v1/AUTH_a"
JSON = {"accept": "application/json"}
PACKERS = {"tar": lambda data: data, "tar.gz": gzip.compress, "tar.bz2": bz2.compress}


def archive(*members: Any, form: int = tarfile.PAX_FORMAT) -> bytes:
    """Of names with bytes, or of `TarInfo`s with bytes."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=form) as made:
        for name, data in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return written.getvalue()


async def extract(store: Store, data: Any, path: str = A, kind: str = "tar", **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await store("PUT", path, data, {**JSON, **named}, query=f"extract-archive={kind}")
    assert answer.status == 200, answer
    return answer.json


async def delete(store: Store, names: Any, method: str = "POST") -> Any:
    data = "\n".join(names).encode() if not isinstance(names, bytes) else names
    answer = await store(method, A, data, {**JSON, "content-type": "text/plain"}, query="bulk-delete")
    assert answer.status == 200, answer
    return answer.json


async def names(store: Store, container: str) -> list[str]:
    return (await store("GET", f"{A}/{container}")).lines


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_objects_go_before_their_containers(tmp_path: Path, method: str) -> None:
    async with opened(tmp_path) as store:
        for path in ("c", "c/o", "c/a b/é", "c/x%", "full", "full/o"):
            await store.put(f"{A}/{path}", b"")
        listed = [
            "/c",
            "c/o",
            "/c/a%20b/%C3%A9",
            "c/x%25",
            "",
            "  ",
            "c/missing",
            "full",
            "c/%00",
            "c/%ff",
            "/",
        ]
        found = await delete(store, listed, method)
        assert found == {
            "Response Status": "400 Bad Request",
            "Response Body": "",
            "Number Deleted": 4,
            "Number Not Found": 1,
            "Errors": found["Errors"],
        }
        assert sorted(map(tuple, found["Errors"])) == [
            ("c/%00", "412 Precondition Failed"),
            ("c/%FF", "412 Precondition Failed"),
            ("full", "409 Conflict"),
        ]
        assert (await store("GET", A)).lines == ["full"]


async def test_an_answer_has_the_format_that_was_asked_for(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.put(f"{A}/c")
        await store.put(f"{A}/c/o")

        async def ask(accept: str) -> Answer:
            headers = {"accept": accept, "content-type": "text/plain"}
            return await store("POST", A, b"c/o", headers, query="bulk-delete")

        answer = await ask("text/plain")
        assert answer.headers["content-type"] == "text/plain"
        assert answer.lines == [
            "Number Deleted: 1", "Number Not Found: 0", "Response Body: ", "Response Status: 200 OK", "Errors:",
        ]  # fmt: skip
        answer = await ask("application/xml")
        tree = ElementTree.fromstring(answer.text)
        assert (tree.tag, tree.findtext("response_status"), tree.findtext("number_not_found")) == (
            "delete", "200 OK", "1",
        )  # fmt: skip
        assert "Response Status: 406 Not Acceptable" in (await ask("image/png")).lines


@pytest.mark.parametrize(
    ("body", "headers", "status", "sentence"),
    [
        (b"c/o\n" * 11, {}, 413, "Maximum Bulk Deletes: 10 per request"),
        (b"x" * 10_000, {}, 400, "Invalid File Name"),
        (b"c/o", {"content-type": "application/json"}, 406, "Not Acceptable"),
        (b"", {}, 400, "Invalid bulk delete."),
        (b"none/a\nnone/b", {}, 200, ""),
    ],
)
async def test_limits_of_a_list(
    tmp_path: Path, body: bytes, headers: dict[str, str], status: int, sentence: str
) -> None:
    async with opened(tmp_path, middleware={"bulk": {"max_deletes_per_request": 10}}) as store:
        found = (await store("POST", A, body, {**JSON, **headers}, query="bulk-delete")).json
        assert found["Response Status"].startswith(str(status))
        assert sentence in found["Response Body"]


async def test_too_many_failures_end_it(tmp_path: Path) -> None:
    async with opened(tmp_path, middleware={"bulk": {"max_failed_deletes": 3}}) as store:
        for index in range(20):
            await store.put(f"{A}/c{index}")
            await store.put(f"{A}/c{index}/o")
        found = await delete(store, [f"c{index}" for index in range(20)])
        assert found["Response Body"] == "Max delete failures exceeded"
        assert 3 <= len(found["Errors"]) <= 4


async def test_blanks_come_while_the_work_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, middleware={"bulk": {"yield_frequency": 0.02}}) as store:
        await store.put(f"{A}/c")
        layer = store.room.layers["bulk"]
        below = layer._next  # type: ignore[attr-defined]

        async def slow(request: Any) -> Any:
            await asyncio.sleep(0.1)
            return await below(request)

        monkeypatch.setattr(layer, "_next", slow)
        answer = await store("POST", A, b"c", JSON, query="bulk-delete")
        blanks, _, report = answer.body.partition(b"\r\n\r\n")
        assert blanks == b" " * len(blanks) != b""
        assert b'"Number Deleted":1' in report


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "tar.bz2"])
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
async def test_files_become_objects(tmp_path: Path, kind: str, form: int) -> None:
    async with opened(tmp_path) as store:
        parts = ["c2", "d" * 90, "e" * 40, "f" * (50 if form == tarfile.USTAR_FORMAT else 300)]
        long = "/".join(parts)
        folder = tarfile.TarInfo("c1/folder")
        folder.type = tarfile.DIRTYPE
        link = tarfile.TarInfo("c1/link")
        link.type, link.linkname = tarfile.SYMTYPE, "a"
        big = bytes(range(256)) * 1000
        data = archive(
            ("./c1/a", b"one"),
            (folder, b""),
            (link, b""),
            ("base", b"x"),
            ("/c1/b/é", b""),
            (long, big),
            form=form,
        )
        found = await extract(store, PACKERS[kind](data), kind=kind)
        assert found == {
            "Response Status": "201 Created", "Response Body": "", "Number Files Created": 3, "Errors": [],
        }  # fmt: skip
        assert await names(store, "c1") == ["a", "b/é"]
        assert (await store("GET", f"{A}/c1/a")).body == b"one"
        assert (await store("GET", f"{A}/{long}")).body == big


async def test_below_a_container_or_a_folder_of_one(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        data = archive(("a.html", b"one"), ("sub/b", b"two"))
        assert (await extract(store, data, f"{A}/c"))["Number Files Created"] == 2
        assert (await extract(store, data, f"{A}/c/pre/fix/"))["Number Files Created"] == 2
        assert await names(store, "c") == ["a.html", "pre/fix/a.html", "pre/fix/sub/b", "sub/b"]
        assert (await store("HEAD", f"{A}/c/a.html")).headers["content-type"] == "text/html"


async def test_extended_attributes_are_metadata(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        one, two = tarfile.TarInfo("c/gnu"), tarfile.TarInfo("c/bsd")
        one.pax_headers = {
            "SCHILY.xattr.user.mime_type": "x/y",
            "SCHILY.xattr.user.meta.Lunch": "burger é",
            "SCHILY.xattr.user.stuff": "whee",
        }
        two.pax_headers = {"LIBARCHIVE.xattr.user.meta.dinner": "ziti", "SCHILY.xattr.user.meta.bad": "a\nb"}
        found = await extract(store, archive((one, b"1"), (two, b"2")), X_Object_Meta_All="yes")
        assert found["Errors"] == [["c/bsd", "400 Bad Request"]]
        headers = (await store("HEAD", f"{A}/c/gnu")).headers
        assert headers["content-type"] == "x/y"
        assert (headers["x-object-meta-lunch"], headers["x-object-meta-all"]) == ("burger é", "yes")
        assert "x-object-meta-stuff" not in headers


async def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    limits = {"max_file_size": 100}
    async with opened(tmp_path, limits=limits, middleware={"bulk": {"max_failed_extractions": 4}}) as store:
        bad = tarfile.TarInfo("c/evil")
        bad.pax_headers = {"path": "c/\0versions"}
        data = archive(
            ("c/fits", b"x" * 100), ("c/large", b"x" * 101), (f"{'n' * 300}/o", b""), (bad, b""),
            (f"c/{'n' * 1100}", b""), ("c/never", b""),
        )  # fmt: skip
        found = await extract(store, data)
        assert [status[:3] for _, status in found["Errors"]] == ["413", "400", "412", "400"]
        assert (found["Response Status"], found["Number Files Created"]) == ("400 Bad Request", 1)


async def test_containers_to_be_made_are_counted(tmp_path: Path) -> None:
    async with opened(tmp_path, middleware={"bulk": {"max_containers_per_extraction": 2}}) as store:
        found = await extract(store, archive(*((f"c{index}/o", b"") for index in range(4))))
        assert found["Response Status"] == "400 Bad Request"
        assert found["Response Body"] == "More than 2 containers to create from tar."
        assert found["Number Files Created"] == 2


WHOLE = archive(("c/a", b"one" * 1000), ("c/b", b"two"))


@pytest.mark.parametrize(
    ("data", "kind", "sentence"),
    [
        (b"this is no archive" * 100, "tar", "Invalid Tar File: "),
        (b"", "tar", "Invalid Tar File: empty file"),
        (WHOLE[:1500], "tar", "Invalid Tar File: unexpected end of data"),
        (WHOLE[:300], "tar", "Invalid Tar File: truncated header"),
        (WHOLE, "tar.gz", "Invalid Tar File: Error -3"),
        (WHOLE, "tar.bz2", "Invalid Tar File: Invalid data stream"),
        (gzip.compress(WHOLE)[:-20], "tar.gz", "Invalid Tar File: unexpected end of data"),
        (archive(("base", b"")), "tar", "Invalid Tar File: No Valid Files"),
    ],
)
async def test_bad_archives(tmp_path: Path, data: bytes, kind: str, sentence: str) -> None:
    async with opened(tmp_path) as store:
        found = await extract(store, data, kind=kind)
        assert found["Response Status"] == "400 Bad Request"
        assert found["Response Body"].startswith(sentence)


async def test_a_kind_that_is_not_known(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        answer = await store("PUT", A, b"x", query="extract-archive=zip")
        assert (answer.status, answer.text) == (400, "Unsupported archive format")


@pytest.mark.parametrize("cut", [1, 7, 511, 512, 513, 70_000])
async def test_however_it_comes_it_is_the_same(cut: int) -> None:
    data = archive(("c/a", b"one" * 1000), ("c/" + "n" * 200, b""), ("c/b", b"two"))
    for kind, pack in PACKERS.items():
        packed = pack(data) + (b"\0" * 600 if kind == "tar.gz" else b"")

        async def chunks(packed: bytes = packed) -> Any:
            for start in range(0, len(packed), cut):
                yield packed[start : start + cut]

        found = tar.Archive(tar.unpacked(chunks(), kind.partition(".")[2]))
        read = [(member.name, b"".join([piece async for piece in found.read()])) async for member in found]
        assert read == [("c/a", b"one" * 1000), ("c/" + "n" * 200, b""), ("c/b", b"two")]


async def test_an_archive_is_never_in_memory(tmp_path: Path) -> None:
    """A hundred MiB of blanks, which is little when packed."""

    def pieces() -> Iterator[bytes]:
        info = tarfile.TarInfo("c/blank")
        info.size = 100 << 20
        packer = __import__("zlib").compressobj(9, wbits=31)
        yield packer.compress(info.tobuf())
        for _ in range(100):
            yield packer.compress(b" " * (1 << 20))
        yield packer.compress(b"\0" * 1024) + packer.flush()

    packed = list(pieces())
    async with opened(tmp_path) as store:
        tracemalloc.start()
        try:
            found = await extract(store, packed, kind="tar.gz")
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert found["Number Files Created"] == 1
        assert (await store("HEAD", f"{A}/c/blank")).headers["content-length"] == str(100 << 20)
        assert most < 24 << 20


async def test_each_operation_needs_the_right_to_it(tmp_path: Path) -> None:
    users = {
        "a:admin": {"key": "k", "groups": [".admin"]},
        "b:other": {"key": "k", "groups": [".admin"]},
    }
    async with opened(tmp_path, middleware={"tempauth": {"users": users}}) as store:

        async def signed(user: str) -> Store:
            got = await store("GET", "/auth/v1.0", headers={"x-auth-user": user, "x-auth-key": "k"})
            return store.as_(x_auth_token=got.headers["x-auth-token"])

        owner, other = await signed("a:admin"), await signed("b:other")
        assert (await extract(owner, archive(("c/o", b"1"))))["Number Files Created"] == 1
        assert (await delete(store, ["c/o"]))["Errors"] == [["c/o", "401 Unauthorized"]]
        assert (await delete(other, ["c/o"]))["Errors"] == [["c/o", "403 Forbidden"]]
        assert (await extract(store, archive(("c/p", b"1"))))["Response Status"] == "401 Unauthorized"
        found = await extract(other, archive(("c/p", b"1")))
        assert ["c/p", "403 Forbidden"] in found["Errors"]
        assert (await owner("GET", f"{A}/c")).lines == ["o"]
