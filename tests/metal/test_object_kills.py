"""An object store's process is killed again and again in the middle of all kinds of changes: each is as it was before,
or as it is afterwards, never something between; what was acknowledged is.

Many changes are under way at each kill, each of a name of its own; in the next round each goes on from where it came
to. Of a version whose link was not written in time more may be left: it is listed, and not current, as upstream has it.
`KILLS` and `KILLS_SEED` make it longer, or another one.
"""

import asyncio
import contextlib
import os
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

import httpx
import msgspec
import pytest

from aerostat.services.object.config import ObjectConfig
from tests.metal.object_cluster import POLICIES, Member, free_port, token_of

pytestmark = pytest.mark.metal

KILLS = int(os.environ.get("KILLS", "8"))
SEED = int(os.environ.get("KILLS_SEED", "1"))
OF_EACH = 2
LONGEST_S = 0.5
REST_LIMIT_S = 60.0
STATES = 3
"""What is not made anew goes round among so many."""
VERSION = "x-object-version-id"


def body(name: str, turn: int) -> bytes:
    """Small ones, and some that are written as they come."""
    return f"{name} {turn} ".encode() * (20 if turn % 2 else 12_000)


class Change:
    """Something that goes from one turn to the next. `turn`: where it was seen last."""

    container: ClassVar[str] = "plain"

    def __init__(self, session: httpx.AsyncClient, policy: str, number: int) -> None:
        self.session = session
        self.container_path = f"/v1/AUTH_test/{self.container}-{policy}"
        self.name = f"{type(self).__name__.lower()}{number}"
        self.path = f"{self.container_path}/{self.name}"
        self.turn = 0

    async def prepare(self) -> None:
        """Make it be of turn 0."""
        await self.put(self.path, self.body(0), {"x-object-meta-turn": "0"})

    async def act(self, turn: int) -> httpx.Response:
        """Ask for what makes it be of that turn."""
        raise NotImplementedError

    async def check(self, turn: int) -> str:
        """Empty when it is wholly of that turn; else what is not."""
        raise NotImplementedError

    def body(self, turn: int) -> bytes:
        return body(self.name, turn)

    async def put(self, path: str, content: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
        answer = await self.session.put(path, content=content, headers=headers)
        assert answer.status_code == 201, (path, answer)
        return answer

    async def is_as(self, content: bytes | None, turn: int | None = None) -> str:
        """What differs; `turn`: what its metadata is to say."""
        answer = await self.session.get(self.path, headers={"x-newest": "true"})
        if content is None or answer.status_code == 404:
            return "" if content is None and answer.status_code == 404 else f"{answer.status_code}"
        assert answer.status_code == 200, answer
        said = answer.headers.get("x-object-meta-turn")
        if answer.content != content:
            return f"{len(answer.content)} bytes from {answer.content[:40]!r}"
        return "" if turn is None or said == str(turn) else f"metadata {said}"


class Put(Change):
    """Odd turns delete it."""

    async def act(self, turn: int) -> httpx.Response:
        if turn % 3 == 2:
            return await self.session.delete(self.path)
        headers = {"x-object-meta-turn": str(turn)}
        return await self.session.put(self.path, content=self.body(turn), headers=headers)

    async def check(self, turn: int) -> str:
        return await self.is_as(None if turn % 3 == 2 else self.body(turn), turn)


class Post(Change):
    """Several words at once."""

    async def act(self, turn: int) -> httpx.Response:
        headers = {f"x-object-meta-{name}": str(turn) for name in ("turn", "a", "b")}
        return await self.session.post(self.path, headers={**headers, "content-type": f"x/{turn}"})

    async def check(self, turn: int) -> str:
        found = (await self.session.head(self.path, headers={"x-newest": "true"})).headers
        said = {found.get(f"x-object-meta-{name}", str(turn)) for name in ("turn", "a", "b")}
        if turn and found["content-type"] != f"x/{turn}":
            said.add(found["content-type"])
        return f"{said}" if said != {str(turn)} else await self.is_as(self.body(0), turn)


class Copy(Change):
    """Of one of several sources, with its metadata."""

    async def prepare(self) -> None:
        for number in range(STATES):
            headers = {"x-object-meta-turn": str(number)}
            await self.put(f"{self.path}-source{number}", self.body(number), headers)
        await self.act(0)

    async def act(self, turn: int) -> httpx.Response:
        headers = {"destination": self.path.removeprefix("/v1/AUTH_test/")}
        return await self.session.request("COPY", f"{self.path}-source{turn % STATES}", headers=headers)

    async def check(self, turn: int) -> str:
        return await self.is_as(self.body(turn % STATES), turn % STATES)


class Manifest(Change):
    """Of one of several lists of segments."""

    async def prepare(self) -> None:
        for number in range(STATES):
            await self.put(f"{self.path}-part{number}", self.body(number))
        await self.act(0)

    async def act(self, turn: int) -> httpx.Response:
        parts = [self._part(turn + more) for more in (0, 1, 0)]
        headers = {"x-object-meta-turn": str(turn)}
        return await self.session.put(
            f"{self.path}?multipart-manifest=put", json=[{"path": part} for part in parts], headers=headers
        )

    def _part(self, number: int) -> str:
        return f"{self.path.removeprefix('/v1/AUTH_test')}-part{number % STATES}"

    async def check(self, turn: int) -> str:
        one, other = self.body(turn % STATES), self.body((turn + 1) % STATES)
        return await self.is_as(one + other + one, turn)


class Restore(Change):
    """One of several versions is current, and all of them stay."""

    container = "versioned"

    async def prepare(self) -> None:
        made = [await self.put(self.path, self.body(number)) for number in range(STATES)]
        self._ids = [answer.headers[VERSION] for answer in made]
        await self.act(0)

    async def act(self, turn: int) -> httpx.Response:
        return await self.session.put(f"{self.path}?version-id={self._ids[turn % STATES]}")

    async def check(self, turn: int) -> str:
        if what := await self.is_as(self.body(turn % STATES)):
            return what
        rows = await versions(self)
        if {row["version_id"] for row in rows} != set(self._ids):
            return f"versions {rows}"
        latest = [row["version_id"] for row in rows if row["is_latest"]]
        return "" if latest == [self._ids[turn % STATES]] else f"latest {latest}"


class Version(Change):
    """A new version each time, or a mark that it is deleted; those that were acknowledged stay."""

    container = "versioned"

    async def prepare(self) -> None:
        self._ids = {(await self.put(self.path, self.body(0))).headers[VERSION]}

    async def act(self, turn: int) -> httpx.Response:
        if turn % 3 == 2:
            answer = await self.session.delete(self.path)
        else:
            answer = await self.session.put(self.path, content=self.body(turn))
        if answer.is_success:
            self._ids.add(answer.headers[VERSION])
        return answer

    async def check(self, turn: int) -> str:
        is_deleted = turn % 3 == 2
        if what := await self.is_as(None if is_deleted else self.body(turn)):
            return what
        rows = await versions(self)
        if lost := self._ids - {row["version_id"] for row in rows}:
            return f"lost versions {lost}"
        latest = [row for row in rows if row["is_latest"]]
        return "" if is_deleted or len(latest) == 1 else f"latest {latest}"


KINDS: tuple[type[Change], ...] = (Put, Post, Copy, Manifest, Restore, Version)


async def versions(change: Change) -> list[dict[str, object]]:
    """As they are listed; rows come a little later than what they tell of."""
    asked = {"versions": "true", "format": "json", "prefix": change.name}
    answer = await change.session.get(change.container_path, params=asked)
    assert answer.status_code == 200, answer
    return [row for row in answer.json() if row["name"] == change.name]


@contextlib.asynccontextmanager
async def store(folder: Path) -> AsyncIterator[tuple[Member, httpx.AsyncClient]]:
    """One process with four devices, and who is signed in."""
    member = Member(folder / "s", node_port=free_port())
    settings = {"node": member.address, "part_power": 5, "policies": POLICIES, "replicas": 3}
    member.places.found(msgspec.convert(settings, ObjectConfig), ["d1", "d2", "d3", "d4"])
    member.start()
    try:
        await member.wait_ready()
        headers = {"x-auth-token": await token_of(member)}
        limits = httpx.Limits(max_connections=200)
        async with httpx.AsyncClient(
            trust_env=False, base_url=member.url, headers=headers, timeout=20.0, limits=limits
        ) as session:
            yield member, session
    finally:
        member.kill()


async def test_whatever_is_killed_is_before_or_after(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    async with store(tmp_path) as (member, session):
        for policy in ("gold", "coded"):
            for container, more in (("plain", {}), ("versioned", {"x-versions-enabled": "true"})):
                headers = {"x-storage-policy": policy, **more}
                made = await session.put(f"/v1/AUTH_test/{container}-{policy}", headers=headers)
                assert made.status_code == 201
        changes = [
            kind(session, policy, number)
            for kind in KINDS
            for policy in ("gold", "coded")
            for number in range(OF_EACH)
        ]
        for change in changes:
            await change.prepare()
        seen = {"acknowledged": 0, "before": 0, "after": 0}
        for _ in range(KILLS):
            rng.shuffle(changes)
            asked = [asyncio.create_task(_answered(change)) for change in changes]
            await asyncio.sleep(rng.uniform(0.0, LONGEST_S))
            member.kill()
            answered = await asyncio.gather(*asked)
            member.start()
            await member.wait_ready()
            for change, is_done in zip(changes, answered, strict=True):
                became = await _became(change, is_done)
                seen["acknowledged" if is_done else "after" if became else "before"] += 1
                change.turn += became
        print(seen)
        assert min(seen.values()) > 0, f"{seen}: kills come too early or too late"
        await _lists_what_is_there(session)


async def _answered(change: Change) -> bool:
    """Whether it was acknowledged before the kill."""
    try:
        answer = await change.act(change.turn + 1)
    except httpx.TransportError:
        return False
    assert answer.is_success, (change.path, answer, answer.text)
    return True


async def _became(change: Change, is_done: bool) -> bool:
    """Whether it is of the next turn. Rows of listings come when the store has looked after those who died."""
    give_up_at = time.monotonic() + REST_LIMIT_S
    while True:
        if not (after := await change.check(change.turn + 1)):
            return True
        before = "acknowledged" if is_done else await change.check(change.turn)
        if not before:
            return False
        told = f"{change.path}, turn {change.turn}: after: {after}; before: {before}"
        assert time.monotonic() < give_up_at, told
        await asyncio.sleep(0.2)


async def _lists_what_is_there(session: httpx.AsyncClient) -> None:
    give_up_at = time.monotonic() + REST_LIMIT_S
    for container in ("plain-gold", "plain-coded", "versioned-gold", "versioned-coded"):
        path = f"/v1/AUTH_test/{container}"
        names = {f"put{number}" for number in range(OF_EACH)} | {f"version{n}" for n in range(OF_EACH)}
        while True:
            answer = await session.get(path, params={"format": "json"})
            listed = {row["name"]: (row["bytes"], row["hash"]) for row in answer.json()}
            differing = []
            for name in names | listed.keys():
                found = await session.get(f"{path}/{name}")
                there = (len(found.content), found.headers["etag"]) if found.status_code == 200 else None
                is_manifest = "x-static-large-object" in found.headers
                if (name in listed) if there is None else is_manifest is False and listed.get(name) != there:
                    differing.append((name, listed.get(name), there))
            if not differing:
                break
            assert time.monotonic() < give_up_at, differing
            await asyncio.sleep(0.5)
