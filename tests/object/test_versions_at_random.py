"""Anything done to a container with versions, in any order, against a model of what versions are."""

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from hypothesis import given, settings
from hypothesis import strategies as st

from .kit import Store, opened

C = "/v1/AUTH_a/c"
VERSION = "x-object-version-id"
NULL = "null"
FOLDERS = "/dev/shm" if os.path.isdir("/dev/shm") else None
NAMES = ["a", "a/b", "a/c", "b", "é"]

Step = tuple[str, str, int]
STEPS: st.SearchStrategy[list[Step]] = st.lists(
    st.tuples(
        st.sampled_from(
            ["put", "put", "put", "delete", "switch", "restore", "remove", "remove null", "post"]
        ),
        st.sampled_from(NAMES),
        st.integers(0, 5),
    ),
    max_size=30,
)


class Object:
    """`versions`: by id; None is a marker. `current`: an id, `null`, or None."""

    def __init__(self) -> None:
        self.versions: dict[str, bytes | None] = {}
        self.current: str | None = None
        self.null = b""
        self.null_at = ""

    def keep_null(self) -> None:
        if self.current == NULL:
            self.versions[self.null_at] = self.null

    @property
    def body(self) -> bytes | None:
        if self.current is None:
            return None
        return self.null if self.current == NULL else self.versions[self.current]

    def rows(self, name: str) -> list[tuple[str, str, bool]]:
        """As they are listed."""
        ids = sorted(self.versions, reverse=True)
        latest = self.current
        if latest is None and ids and self.versions[ids[0]] is None:
            latest = ids[0]
        return [(name, one, one == latest) for one in ([NULL] if self.current == NULL else []) + ids]


class Container:
    """The store, and what it should hold."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.is_on = True
        self.objects = {name: Object() for name in NAMES}
        self.count = 0

    async def act(self, step: Step) -> None:
        what, name, number = step
        one = self.objects[name]
        known = sorted(one.versions)
        version = known[number % len(known)] if known else ""
        match what:
            case "put":
                await self.put(name, one)
            case "delete":
                await self.delete(name, one)
            case "switch":
                self.is_on = not self.is_on
                answer = await self.store("POST", C, headers={"x-versions-enabled": str(self.is_on)})
                assert answer.status == 204
            case "restore" if version:
                answer = await self.store("PUT", f"{C}/{name}", query=f"version-id={version}")
                assert answer.status == (404 if one.versions[version] is None else 201)
                if answer.status == 201:
                    if self.is_on:
                        one.keep_null()
                    one.current = version
            case "remove" if version:
                answer = await self.store("DELETE", f"{C}/{name}", query=f"version-id={version}")
                assert answer.status == 204
                del one.versions[version]
                one.current = None if one.current == version else one.current
            case "remove null":
                answer = await self.store("DELETE", f"{C}/{name}", query="version-id=null")
                assert answer.status == (204 if one.current else 404)
                one.current = None
            case "post":
                answer = await self.store("POST", f"{C}/{name}", headers={"x-object-meta-a": str(number)})
                assert answer.status == (202 if one.current else 404)
                if one.current == NULL:
                    one.null_at = (await self.store("HEAD", f"{C}/{name}")).headers["x-timestamp"]

    async def put(self, name: str, one: Object) -> None:
        self.count += 1
        body = b"%d" % self.count
        answer = await self.store("PUT", f"{C}/{name}", body)
        assert answer.status == 201
        if self.is_on:
            one.keep_null()
            one.current = answer.headers[VERSION]
            one.versions[one.current] = body
        else:
            one.current, one.null = NULL, body
            one.null_at = (await self.store("HEAD", f"{C}/{name}")).headers["x-timestamp"]

    async def delete(self, name: str, one: Object) -> None:
        answer = await self.store("DELETE", f"{C}/{name}")
        assert answer.status == (204 if one.current else 404)
        if self.is_on:
            one.keep_null()
            one.versions[answer.headers[VERSION]] = None
        one.current = None

    async def check(self, limit: int) -> None:
        wanted: list[tuple[str, str, bool]] = []
        for name, one in self.objects.items():
            answer = await self.store("GET", f"{C}/{name}")
            assert (answer.body if answer.status == 200 else None) == one.body
            if one.current:
                assert answer.headers[VERSION] == one.current
            for version, body in one.versions.items():
                answer = await self.store("GET", f"{C}/{name}", query=f"version-id={version}")
                assert (answer.body if answer.status == 200 else None) == body
            wanted += one.rows(name)
        plain = (await self.store("GET", C, query="format=json")).json
        current = {name: one.body for name, one in self.objects.items() if one.body is not None}
        assert {row["name"]: row["bytes"] for row in plain} == {
            name: len(body) for name, body in current.items()
        }
        kept = [body for one in self.objects.values() for body in one.versions.values() if body is not None]
        nulls = [one.null for one in self.objects.values() if one.current == NULL]
        used = (await self.store("HEAD", C)).headers["x-container-bytes-used"]
        assert int(used) == sum(map(len, kept + nulls))
        for reverse in ("", "on"):
            expected = wanted[::-1] if reverse else wanted
            assert await self.listed(10_000, reverse) == expected
            assert await self.listed(limit, reverse) == expected

    async def listed(self, limit: int, reverse: str) -> list[tuple[str, str, bool]]:
        """All pages."""
        found: list[tuple[str, str, bool]] = []
        query: dict[str, Any] = {"versions": "", "limit": limit, "reverse": reverse}
        while True:
            page = (await self.store("GET", C, query=urlencode(query))).json
            found += [(row["name"], row["version_id"], row["is_latest"]) for row in page]
            if len(page) < limit:
                return found
            query |= {"marker": page[-1]["name"], "version_marker": page[-1]["version_id"]}


@settings(max_examples=20, deadline=None)
@given(steps=STEPS, limit=st.integers(1, 4))
def test_versions_are_what_the_model_says(steps: list[Step], limit: int) -> None:
    async def run(folder: Path) -> None:
        async with opened(folder) as store:
            await store.put(C, X_Versions_Enabled="true")
            made = Container(store)
            for step in steps:
                await made.act(step)
            await made.check(limit)

    with tempfile.TemporaryDirectory(dir=FOLDERS) as folder:
        asyncio.run(run(Path(folder)))
