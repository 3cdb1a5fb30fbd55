"""Versions in a container that the user names: as a stack, as a history, and when a write dies on its way."""

from pathlib import Path
from typing import Any

import pytest

from aerostat.services.object.middleware.object_versioning.names import MARKER_TYPE

from .dying import Died
from .dying_requests import dying_after
from .kit import Answer, Store, opened

A = "/v1/AUTH_a"
C = f"{A}/c"
STACK, HISTORY = "x-versions-location", "x-history-location"


async def versioned(store: Store, kind: str = STACK, path: str = C, location: str = "v") -> None:
    await store.put(f"{A}/{location}")
    assert (await store("PUT", path, headers={kind: location})).status == 201


async def write(store: Store, *texts: str, name: str = "o") -> None:
    for text in texts:
        await store.put(f"{C}/{name}", text.encode(), Content_Type=f"text/{text}")


async def read(store: Store, path: str = f"{C}/o") -> bytes | None:
    answer = await store("GET", path)
    return answer.body if answer.status == 200 else None


async def kept(store: Store, location: str = "v") -> list[bytes]:
    """What the versions hold, in the order of their names; markers as their type."""
    found = []
    for name in (await store("GET", f"{A}/{location}")).lines:
        answer = await store("GET", f"{A}/{location}/{name}")
        is_marker = answer.headers["content-type"] == MARKER_TYPE
        found.append(b"(deleted)" if is_marker else answer.body)
    return found


async def test_a_stack(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await versioned(store)
        assert (await store("HEAD", C)).headers[STACK] == "v"
        assert HISTORY not in (await store("HEAD", C)).headers
        await write(store, "one", "two", "three")
        assert await kept(store) == [b"one", b"two"]
        for expected in (b"two", b"one", None):
            assert (await store("DELETE", f"{C}/o")).status == 204
            assert await read(store) == expected
        assert await kept(store) == []
        assert (await store("DELETE", f"{C}/o")).status == 404


async def test_versions_are_called_as_upstream_calls_them(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await versioned(store)
        await store.put(f"{C}/grüße/x", b"one", X_Object_Meta_Colour="blue")
        moment = (await store("HEAD", f"{C}/grüße/x")).headers["x-timestamp"]
        await write(store, "two", name="grüße/x")
        assert (await store("GET", f"{A}/v")).lines == [f"009grüße/x/{moment}"]
        headers = (await store("HEAD", f"{A}/v/009grüße/x/{moment}")).headers
        assert headers["x-object-meta-colour"] == "blue"
        await store("DELETE", f"{C}/grüße/x")
        assert (await store("HEAD", f"{C}/grüße/x")).headers["x-object-meta-colour"] == "blue"


async def test_a_history(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await versioned(store, HISTORY)
        assert (await store("HEAD", C)).headers[HISTORY] == "v"
        await write(store, "one", "two")
        assert (await store("DELETE", f"{C}/o")).status == 204
        assert await read(store) is None
        assert await kept(store) == [b"one", b"two", b"(deleted)"]
        assert (await store("DELETE", f"{C}/o")).status == 404
        assert await kept(store) == [b"one", b"two", b"(deleted)", b"(deleted)"]
        await write(store, "three")
        assert len(await kept(store)) == 4


async def test_a_stack_takes_markers_away(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await versioned(store, HISTORY)
        await write(store, "one", "two")
        await store("DELETE", f"{C}/o")
        await store("DELETE", f"{C}/o")
        assert (await store("POST", C, headers={STACK: "v"})).status == 204
        assert (await store("DELETE", f"{C}/o")).status == 204
        assert (await read(store), await kept(store)) == (None, [b"one", b"two", b"(deleted)"])
        assert (await store("DELETE", f"{C}/o")).status == 204
        assert (await read(store), await kept(store)) == (b"two", [b"one"])
        await store("POST", C, headers={HISTORY: "v"})
        await store("DELETE", f"{C}/o")
        await write(store, "three")
        await store("POST", C, headers={STACK: "v"})
        assert (await store("DELETE", f"{C}/o")).status == 204
        assert (await read(store), (await kept(store))[-1]) == (None, b"(deleted)")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({STACK: "v", HISTORY: "v"}, 400),
        ({STACK: "v/x"}, 412),
        ({STACK: "%00versions%00c"}, 412),
        ({STACK: "", HISTORY: "v"}, 204),
        ({STACK: "v", "x-remove-versions-location": "x"}, 204),
    ],
)
async def test_where_versions_go(tmp_path: Path, headers: dict[str, str], status: int) -> None:
    async with opened(tmp_path) as store:
        await store.put(C)
        assert (await store("POST", C, headers=headers)).status == status
        found = (await store("HEAD", C)).headers
        assert (STACK in found or HISTORY in found) == (status == 204)


@pytest.mark.parametrize(
    "removal", [{STACK: ""}, {"x-remove-versions-location": "x"}, {"x-remove-history-location": "x"}]
)
async def test_removed(tmp_path: Path, removal: dict[str, str]) -> None:
    async with opened(tmp_path) as store:
        await versioned(store)
        assert (await store("POST", C, headers=removal)).status == 204
        assert STACK not in (await store("HEAD", C)).headers
        await write(store, "one", "two")
        assert await kept(store) == []


async def test_one_way_to_keep_versions(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await versioned(store)
        assert (await store("POST", C, headers={"x-versions-enabled": "true"})).status == 400
        await store.put(f"{A}/d", X_Versions_Enabled="true")
        assert (await store("POST", f"{A}/d", headers={STACK: "v"})).status == 400


async def test_nothing_is_overwritten_that_cannot_be_kept(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.put(C, X_Versions_Location="missing")
        await write(store, "one")
        assert (await store("PUT", f"{C}/o", b"two")).status == 412
        assert await read(store) == b"one"
        assert (await store("DELETE", f"{C}/o")).status == 204


async def test_large_objects_and_conditions(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await versioned(store)
        big = bytes(range(256)) * 1024
        await store.put(f"{C}/o", big)
        assert (await store("PUT", f"{C}/o", b"x", {"if-none-match": "*"})).status == 412
        await write(store, "two")
        assert await kept(store) == [big]
        await store("DELETE", f"{C}/o")
        assert await read(store) == big


async def test_writers_need_no_right_to_the_versions(tmp_path: Path) -> None:
    users = {"a:admin": {"key": "k", "groups": [".admin"]}, "b:writer": {"key": "k", "groups": [".admin"]}}
    async with opened(tmp_path, middleware={"tempauth": {"users": users}}) as store:

        async def signed(user: str) -> Store:
            got = await store("GET", "/auth/v1.0", headers={"x-auth-user": user, "x-auth-key": "k"})
            return store.as_(x_auth_token=got.headers["x-auth-token"])

        admin, writer = await signed("a:admin"), await signed("b:writer")
        await versioned(admin)
        await write(admin, "one")
        assert (await writer("PUT", f"{C}/o", b"two")).status == 403
        assert (await writer("DELETE", f"{C}/o")).status == 403
        assert await kept(admin) == []
        await admin("POST", C, headers={"x-container-write": "b:writer"})
        assert (await writer("PUT", f"{C}/o", b"two")).status == 201
        assert (await writer("GET", f"{A}/v")).status == 403
        assert await kept(admin) == [b"one"]
        assert (await writer("DELETE", f"{C}/o")).status == 204
        assert await read(admin) == b"one"


@pytest.mark.parametrize("operation", ["put", "restore", "push", "unmark"])
@pytest.mark.parametrize("is_done", [False, True], ids=["before", "after"])
async def test_whatever_dies_nothing_is_lost_and_nothing_is_there_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str, is_done: bool
) -> None:
    """Dies before (or after) each request that is made of the layers below; then all is taken from the stack."""
    async with opened(tmp_path) as store:
        layer: Any = store.room.layers["versioned_writes"]
        below = layer._next
        steps = 0
        while True:
            path, location = f"{A}/c{steps}", f"v{steps}"
            await versioned(store, HISTORY if operation in ("push", "unmark") else STACK, path, location)
            for text in (b"one", b"two", b"three"):
                await store.put(f"{path}/o", text)
            if operation == "unmark":
                await store("DELETE", f"{path}/o")
                await store("POST", path, headers={STACK: location})
            dying = dying_after(below, steps, is_done=is_done)
            monkeypatch.setattr(layer, "_next", dying)
            try:
                await act(store, operation, path)
                died = False
            except Died:
                died = True
            monkeypatch.setattr(layer, "_next", below)
            current = await read(store, f"{path}/o")
            before, after = STATES[operation]
            assert current in (before, after), (operation, steps, current)
            if not died:
                assert current == after
                break
            if operation == "push":
                if current is None:
                    assert (await kept(store, location))[:3] == [b"one", b"two", b"three"]
            else:
                taken = []
                while (now := await read(store, f"{path}/o")) is not None:
                    taken.append(now)
                    await store("DELETE", f"{path}/o")
                whole = [b"three", b"two", b"one"]
                if operation == "unmark" and current is None:
                    assert (await kept(store, location))[:3] == whole[::-1]
                else:
                    assert taken == (whole if current != after else TAKEN[operation]), (operation, steps)
            steps += 1
        assert steps >= 4


STATES: dict[str, tuple[bytes | None, bytes | None]] = {
    "put": (b"three", b"new"),
    "restore": (b"three", b"two"),
    "push": (b"three", None),
    "unmark": (None, b"three"),
}
TAKEN = {
    "put": [b"new", b"three", b"two", b"one"],
    "restore": [b"two", b"one"],
    "unmark": [b"three", b"two", b"one"],
}


async def act(store: Store, operation: str, path: str) -> Answer:
    if operation == "put":
        return await store("PUT", f"{path}/o", b"new")
    return await store("DELETE", f"{path}/o")
