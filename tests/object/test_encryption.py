"""Objects that nobody can read on the disk, and that are as they were for whoever may."""

import base64
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from aerostat.kernel.config import ConfigError
from aerostat.services.object import housed
from aerostat.services.object.config import ObjectConfig
from aerostat.services.object.crypto.keymaster import Keymaster, SecretError
from aerostat.services.object.crypto.sealed import Unreadable, seal, unseal
from aerostat.services.object.crypto.stream import BodyKey

from .kit import Store, opened

SECRETS = {name: base64.b64encode(hashlib.sha512(name.encode()).digest()).decode() for name in ("1", "2")}
NEEDLE = b"a needle in the haystack"


def on(active: str = "1", ids: tuple[str, ...] = ("1", "2"), **options: Any) -> dict[str, Any]:
    secrets = {name: SECRETS[name] for name in ids}
    return {"encryption": {"root_secrets": secrets, "active_root_secret_id": active, **options}}


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def on_disk(folder: Path) -> Iterator[bytes]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.read_bytes()


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


async def listed(store: Store, path: str = "/v1/A/c") -> dict[str, str]:
    return {row["name"]: row["hash"] for row in (await store("GET", path, query="format=json")).json}


async def test_nothing_of_it_is_on_the_disk(tmp_path: Path) -> None:
    async with opened(tmp_path, middleware=on()) as store:
        await store.put("/v1/A/c")
        data = NEEDLE + b"." * 100
        large = NEEDLE + os.urandom(300_000)
        for name, content in (("small", data), ("large", large)):
            put = await store.put(f"/v1/A/c/{name}", content, x_object_meta_word=NEEDLE.decode())
            assert put.headers["etag"] == md5(content)
            got = await store("GET", f"/v1/A/c/{name}")
            assert (got.body == content, got.headers["etag"]) == (True, md5(content))
            assert got.headers["x-object-meta-word"] == NEEDLE.decode()
            assert not [name for name in got.headers if "crypto" in name]
        assert await listed(store) == {"large": md5(large), "small": md5(data)}
    for content in on_disk(tmp_path / "devices"):
        for word in (NEEDLE, md5(data).encode(), md5(large).encode()):
            assert word not in content
        for secret in SECRETS.values():
            assert base64.b64decode(secret) not in content


async def test_the_files_etag_is_of_the_bytes_in_the_file(tmp_path: Path) -> None:
    async with opened(tmp_path, middleware=on()) as store:
        await store.put("/v1/A/c")
        await store.put("/v1/A/c/o", NEEDLE * 10)
        found = await store.room.cluster.objects(0).find("A", "c", "o")
        assert found is not None
        assert found.data is not None
        assert found.data != NEEDLE * 10
        assert found.facts.etag == md5(found.data)
        await found.close()


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 65536, 65537, 200_001])
@pytest.mark.parametrize("chunk", [1000, 65536])
async def test_sizes_chunks_and_ranges(tmp_path: Path, size: int, chunk: int) -> None:
    data = os.urandom(size)
    async with opened(tmp_path, middleware=on()) as store:
        await store.put("/v1/A/c")
        answer = await store("PUT", "/v1/A/c/o", pieces(data, chunk))
        assert (answer.status, answer.headers["etag"]) == (201, md5(data))
        assert await listed(store) == {"o": md5(data)}
        assert (await store("GET", "/v1/A/c/o")).body == data
        for first, last in ((0, 0), (1, 16), (15, 15), (17, 70_000), (65_535, 65_537), (100_003, 200_000)):
            if first < size:
                got = await store("GET", "/v1/A/c/o", headers={"range": f"bytes={first}-{last}"})
                assert (got.status, got.body) == (206, data[first : last + 1])
        if size > 200:
            got = await store("GET", "/v1/A/c/o", headers={"range": "bytes=3-5,100-133,-7"})
            assert data[100:134] in got.body
            assert data[-7:] in got.body


async def test_conditions_and_promised_etags_are_of_the_plain_bytes(tmp_path: Path) -> None:
    async with opened(tmp_path, middleware=on()) as store:
        await store.put("/v1/A/c")
        assert (await store("PUT", "/v1/A/c/o", b"bytes", {"etag": md5(b"other")})).status == 422
        assert (await store("PUT", "/v1/A/c/e", b"", {"etag": md5(b"other")})).status == 422
        await store.put("/v1/A/c/o", b"bytes", etag=md5(b"bytes"))
        await store.put("/v1/A/c/e", b"", etag=md5(b""))
        for asked, status in ((md5(b"bytes"), 200), (md5(b"other"), 412), ("*", 200)):
            assert (await store("GET", "/v1/A/c/o", headers={"if-match": asked})).status == status
        not_modified = await store("HEAD", "/v1/A/c/o", headers={"if-none-match": md5(b"bytes")})
        assert (not_modified.status, not_modified.headers["etag"]) == (304, md5(b"bytes"))


async def test_metadata_is_replaced_by_a_post(tmp_path: Path) -> None:
    async with opened(tmp_path, middleware=on()) as store:
        await store.put("/v1/A/c")
        await store.put("/v1/A/c/o", b"bytes", x_object_meta_one="1", x_object_meta_umlaut="äöü")
        assert (await store("HEAD", "/v1/A/c/o")).headers["x-object-meta-umlaut"] == "äöü"
        answer = await store("POST", "/v1/A/c/o", headers={"x-object-meta-two": "2"})
        assert answer.status == 202
        headers = (await store("HEAD", "/v1/A/c/o")).headers
        assert headers["x-object-meta-two"] == "2"
        assert "x-object-meta-one" not in headers
        assert headers["etag"] == md5(b"bytes")
        too_long = await store("POST", "/v1/A/c/o", headers={"x-object-meta-long": "x" * 257})
        assert too_long.status == 400
        assert (await store("GET", "/v1/A/c/o")).body == b"bytes"


async def test_metadata_of_any_bytes(tmp_path: Path) -> None:
    async with opened(tmp_path, middleware=on()) as store:
        await store.put("/v1/A/c")
        put = await store("PUT", "/v1/A/c/o", b"bytes", {"x-object-meta-word": "a\udcc3"})
        assert put.status == 201
        assert (await store("HEAD", "/v1/A/c/o")).headers["x-object-meta-word"] == "a\udcc3"


async def test_secrets_change_and_what_was_written_stays_readable(tmp_path: Path) -> None:
    async with opened(tmp_path, middleware=on("1", ("1",))) as store:
        await store.put("/v1/A/c")
        await store.put("/v1/A/c/old", NEEDLE, x_object_meta_word="w")
    async with opened(tmp_path, middleware=on("2")) as store:
        await store.put("/v1/A/c/new", NEEDLE)
        assert (await store("GET", "/v1/A/c/old")).body == NEEDLE
        assert (await store("POST", "/v1/A/c/old", headers={"x-object-meta-word": "v"})).status == 202
        assert (await store("HEAD", "/v1/A/c/old")).headers["x-object-meta-word"] == "v"
        assert await listed(store) == {"new": md5(NEEDLE), "old": md5(NEEDLE)}
    async with opened(tmp_path, middleware=on("2", ("2",))) as store:
        assert (await store("GET", "/v1/A/c/new")).body == NEEDLE
        with capture_logs() as lines:
            assert await listed(store) == {"new": md5(NEEDLE), "old": "<unknown>"}
            for method in ("GET", "HEAD"):
                answer = await store(method, "/v1/A/c/old")
                assert (answer.status, answer.headers.get("x-object-meta-word")) == (500, None)
                assert NEEDLE not in answer.body
        assert {line.get("secret_id") for line in lines if line["log_level"] == "error"} == {"1"}


@pytest.mark.parametrize("options", [{}, on("1", ("1",)), on("1", ("1",), disable_encryption=True)])
async def test_neither_ciphertext_nor_rubbish_is_served(tmp_path: Path, options: dict[str, Any]) -> None:
    """Without a secret, with a wrong one of the same id, and where only reading is switched on."""
    wrong = {"1": base64.b64encode(b"w" * 40).decode()}
    async with opened(tmp_path, middleware={"encryption": {"root_secrets": wrong}}) as store:
        await store.put("/v1/A/c")
        await store.put("/v1/A/c/o", NEEDLE * 5000)
        await store.put("/v1/A/c/s", NEEDLE)
    async with opened(tmp_path, middleware=options) as store:
        for name in ("o", "s"):
            with capture_logs() as lines:
                answer = await store("GET", f"/v1/A/c/{name}")
            assert (answer.status, answer.body) == (500, b"Error decrypting object")
            assert [line for line in lines if line["event"] == "object cannot be decrypted"]
        assert set((await listed(store)).values()) == {"<unknown>"}
        await store.put("/v1/A/c/o", b"anew")
        assert (await store("GET", "/v1/A/c/o")).body == b"anew"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "nothing would be encrypted"),
        ({"root_secrets": {}}, "nothing would be encrypted"),
        ({"root_secrets": {"1": "short"}}, "root secret 1"),
        ({"root_secrets_file": "/nowhere/secrets.toml"}, "/nowhere/secrets.toml cannot be read"),
        ({"root_secrets": SECRETS, "root_secrets_file": "/nowhere/secrets.toml"}, "one would be ignored"),
    ],
)
async def test_who_asks_for_encryption_is_not_given_plain_bytes(
    tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    """Where a store stands alone, and where a cloud starts, long before its store is opened."""
    settings = msgspec.convert({"middleware": {"encryption": options}}, ObjectConfig)
    with pytest.raises(ConfigError, match=told):
        housed.check(settings)
    with pytest.raises(ConfigError, match=told):
        async with opened(tmp_path, middleware={"encryption": options}):
            pass
    off = msgspec.structs.replace(settings, middleware={"encryption": {**options, "enabled": False}})
    housed.check(off)


async def test_plain_objects_from_before_are_read(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.put("/v1/A/c")
        await store.put("/v1/A/c/plain", b"bytes", x_object_meta_word="w")
    async with opened(tmp_path, middleware=on()) as store:
        got = await store("GET", "/v1/A/c/plain")
        assert (got.body, got.headers["x-object-meta-word"]) == (b"bytes", "w")
        assert await listed(store) == {"plain": md5(b"bytes")}
        await store("POST", "/v1/A/c/plain", headers={"x-object-meta-word": "sealed"})
        assert (await store("HEAD", "/v1/A/c/plain")).headers["x-object-meta-word"] == "sealed"


async def test_a_damaged_key_is_a_refusal(tmp_path: Path) -> None:
    async with opened(tmp_path, middleware=on()) as store:
        await store.put("/v1/A/c")
        await store.put("/v1/A/c/o", NEEDLE)
        await store.put("/v1/A/c/other", b"x" * len(NEEDLE))
        objects = store.room.cluster.objects(0)
        one, other = await objects.find("A", "c", "o"), await objects.find("A", "c", "other")
        assert one is not None
        assert other is not None
        assert one.data is not None
        headers = dict(one.facts.headers)
        headers["x-object-sysmeta-crypto-body"] = other.facts.headers["x-object-sysmeta-crypto-body"]
        moved = msgspec.structs.replace(one.facts, headers=headers, timestamp=one.facts.timestamp + 1)
        await objects.put("A", "c", "o", one.data, moved)
        await one.close()
        await other.close()
        assert (await store("GET", "/v1/A/c/o")).status == 500
        assert (await store("GET", "/v1/A/c/other")).status == 200


# Keys


def write_file(path: Path, active: str, ids: tuple[str, ...]) -> None:
    secrets = "\n".join(f'"{name}" = "{SECRETS[name]}"' for name in ids)
    path.write_text(f'active = "{active}"\n[secrets]\n{secrets}\n')


async def test_a_running_store_takes_another_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aerostat.services.object.crypto.keymaster.LOOK_AGAIN_S", 0.0)
    file = tmp_path / "secrets.toml"
    write_file(file, "1", ("1",))
    options = {"encryption": {"root_secrets_file": str(file)}}
    async with opened(tmp_path / "store", middleware=options) as store:
        await store.put("/v1/A/c")
        await store.put("/v1/A/c/old", NEEDLE)
        write_file(file, "2", ("1", "2"))
        await store.put("/v1/A/c/new", NEEDLE)
        file.write_text("active = ")
        await store.put("/v1/A/c/still", NEEDLE)
        ids = {}
        for name in ("old", "new", "still"):
            assert (await store("GET", f"/v1/A/c/{name}")).body == NEEDLE
            found = await store.room.cluster.objects(0).find("A", "c", name)
            assert found is not None
            ids[name] = found.facts.headers["x-object-sysmeta-crypto-body"].split(".")[1]
            await found.close()
        assert ids == {"old": "1", "new": "2", "still": "2"}


def test_keys_are_of_their_paths_and_secrets() -> None:
    keys = Keymaster(SECRETS, "2")
    assert keys.active_id() == "2"
    found = {keys.key(name, path) for name in ("1", "2") for path in ("/A/c", "/A/c/o", "/A/c/p")}
    assert {len(key) for key in found} == {32}
    assert len(found) == 6
    assert Keymaster(SECRETS, "1").key("2", "/A/c") in found


@pytest.mark.parametrize(
    ("secrets", "active"),
    [
        (SECRETS, "3"),
        (SECRETS, None),
        ({}, None),
        ({"1": "short"}, "1"),
        ({"1": base64.b64encode(b"x" * 31).decode()}, "1"),
        ({"1": "?" * 50}, "1"),
        ({"a.b": SECRETS["1"]}, "a.b"),
    ],
)
def test_secrets_that_are_none(secrets: dict[str, str], active: str | None) -> None:
    with pytest.raises(SecretError) as caught:
        Keymaster(secrets, active)
    for secret in secrets.values():
        assert secret not in str(caught.value)


def test_what_is_sealed_for_one_purpose_is_no_other() -> None:
    key = os.urandom(32)
    sealed = seal(key, "1", "etag", b"content")
    assert unseal(key, "etag", sealed) == b"content"
    for other_key, purpose, text in (
        (os.urandom(32), "etag", sealed),
        (key, "body", sealed),
        (key, "etag", sealed[:-5]),
        (key, "etag", "v1.1."),
        (key, "etag", "v1.1.é"),
        (key, "etag", "nothing"),
    ):
        with pytest.raises(Unreadable):
            unseal(other_key, purpose, text)


@given(
    data=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=5), start=st.integers(0, 200)
)
def test_any_cut_is_the_same_stream(data: bytes, cuts: list[int], start: int) -> None:
    key = BodyKey.new()
    turning, sealed, before = key.at(0), b"", 0
    for cut in [*sorted(cuts), len(data)]:
        sealed += turning.update(data[before:cut])
        before = max(before, cut)
    assert BodyKey(key.packed).at(start).update(sealed[start:]) == data[start:]


def test_the_counter_runs_over() -> None:
    key = BodyKey(b"k" * 32 + b"\xff" * 16)
    sealed = key.at(0).update(b"x" * 64)
    assert key.at(33).update(sealed[33:]) == b"x" * 31


async def test_over_an_erasure_code(tmp_path: Path) -> None:
    coded = {"index": 1, "name": "coded", "kind": "erasure", "ec_data": 2, "ec_parity": 1}
    policies = [{"index": 0, "name": "plain", "replicas": 1, "is_default": True}, coded]
    async with opened(tmp_path, devices=3, policies=policies, middleware=on()) as store:
        await store.put("/v1/A/c", x_storage_policy="coded")
        for size in (0, 100, 100_000, 3_000_000):
            data = os.urandom(size)
            await store.put("/v1/A/c/o", data, x_object_meta_word="w")
            assert (await store("GET", "/v1/A/c/o")).body == data
            assert await listed(store) == {"o": md5(data)}
            if size > 1000:
                got = await store("GET", "/v1/A/c/o", headers={"range": f"bytes=777-{size - 333}"})
                assert got.body == data[777 : size - 332]
