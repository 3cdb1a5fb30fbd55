"""Four nodes of an object store and a proxy apart, under load, while they are killed, stopped, damaged, filled,
emptied, moved and cut off, by clocks that differ.

Each writer has names of its own, so it knows what must be there: what was acknowledged last, or what was asked for
since without an answer. Writes that are closer together than clocks differ may come to stand in either order: which one
is the last is told by the clocks of those who took them. `CLUSTER_SEED` and `CLUSTER_SECONDS` make it another storm, or
a longer one.
"""

import asyncio
import hashlib
import os
import random
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tests.metal.object_cluster import Cluster, Member, cluster_of, token_of
from tests.metal.object_misfortune import SKEW_S, Misfortune

pytestmark = [
    pytest.mark.metal,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: mounts a small device"),
]

SEED = int(os.environ.get("CLUSTER_SEED", "1"))
STORM_S = float(os.environ.get("CLUSTER_SECONDS", "45"))
REST_LIMIT_S = 120.0
WRITERS = 6
CONTAINERS = {"c0": "gold", "c1": "gold", "c2": "coded", "c3": "coded"}
VERSIONED = "v0"
MADE = "m0"
"""Objects that are made of others: static and dynamic large ones, links."""
SEGMENTS = {"s0": "gold", "s1": "coded"}
"""What they are made of: written once, under names that nothing else ever has."""
CONTAINER_TURN = "x-container-meta-turn"
SIZES = (0, 100, 1024, 70_000, 400_000)

Content = str | None
"""An MD5, of containers a word of their metadata; None stands for nothing."""


def is_container(path: str) -> bool:
    return path.count("/") == 3


def is_plain(path: str) -> bool:
    """An object that has its own bytes."""
    return not is_container(path) and not path.startswith(f"/v1/AUTH_test/{MADE}/")


class Write(msgspec.Struct):
    """One of some path. `ended_s`: when it was answered, or given up."""

    becomes: frozenset[Content]
    ended_s: float


class Writer:
    """Writes under names of its own, and knows what may be there."""

    def __init__(self, cluster: Cluster, token: str, number: int) -> None:
        self._cluster = cluster
        self._rng = random.Random(f"{SEED}-{number}")
        self._number = number
        self._session = httpx.AsyncClient(trust_env=False, headers={"x-auth-token": token}, timeout=20.0)
        self._writes: dict[str, list[Write]] = {}
        """Those that none came after which is later by all clocks."""
        self._ever: dict[str, set[Content]] = {}
        self.versions: dict[tuple[str, str], str] = {}
        """Contents by path and id, of those that were acknowledged."""
        self.done = self.refused = self.unanswered = self.rotten = self.manifests = 0
        self.wrong: list[str] = []

    def may_be(self) -> dict[str, frozenset[Content]]:
        """By path."""
        return {
            path: frozenset().union(*(one.becomes for one in said)) for path, said in self._writes.items()
        }

    async def run(self, until: asyncio.Event) -> None:
        while not until.is_set():
            path = self._path()
            kinds = ("put", "get", "delete", "copy", "post", "put_version", "turn_container", "put_made")
            kind = self._rng.choices(kinds, (45, 30, 12, 8, 5, 8, 8, 6))[0]
            await getattr(self, kind)(path)
        await self._session.aclose()

    def _path(self) -> str:
        container = self._rng.choice(list(CONTAINERS))
        return f"/v1/AUTH_test/{container}/w{self._number}-{self._rng.randrange(40)}"

    async def put(self, path: str) -> None:
        body = self._rng.randbytes(self._rng.choice(SIZES))
        await self._write(path, {hashlib.md5(body).hexdigest()}, "PUT", path, content=body)

    async def delete(self, path: str) -> None:
        await self._write(path, {None}, "DELETE", path)

    async def copy(self, path: str) -> None:
        """Of whatever the source has been: who has the newest may be away."""
        if sources := [path for path in self._ever if is_plain(path)]:
            source = self._rng.choice(sources)
            target = path.removeprefix("/v1/AUTH_test/")
            becomes = self._ever[source] - {None}
            await self._write(path, becomes, "COPY", source, headers={"destination": target})

    async def post(self, path: str) -> None:
        await self._ask("POST", path, headers={"x-object-meta-turn": str(self.done)})

    async def put_version(self, _path: str) -> None:
        path = f"/v1/AUTH_test/{VERSIONED}/w{self._number}-{self._rng.randrange(5)}"
        body, about = self._rng.randbytes(self._rng.choice(SIZES[:4])), {}
        if self._rng.random() < 0.2:
            if (made := await self._segments()) is None:
                return
            body, about = made.whole, made.static()
        answer = await self._ask("PUT", path, **{"content": body, **about})
        if answer is not None and answer.is_success:
            self.versions[path, answer.headers["x-object-version-id"]] = hashlib.md5(body).hexdigest()

    async def put_made(self, _path: str) -> None:
        """One that is made of others, or the end of one."""
        path = f"/v1/AUTH_test/{MADE}/w{self._number}-{self._rng.randrange(8)}"
        kind = self._rng.choice(("static", "dynamic", "link", "delete"))
        if kind == "delete":
            await self.delete(path)
        elif (made := await self._segments()) is not None:
            content = made.bodies[0] if kind == "link" else made.whole
            about = getattr(made, kind)()
            if await self._write(path, {hashlib.md5(content).hexdigest()}, "PUT", path, **about):
                self.manifests += 1

    async def _segments(self) -> "Segments | None":
        """New ones, if all were acknowledged."""
        bodies = [self._rng.randbytes(self._rng.choice(SIZES[1:])) for _ in range(self._rng.randint(1, 3))]
        folder = f"{self._rng.choice(list(SEGMENTS))}/w{self._number}-{self.done}-{self.unanswered}"
        for number, body in enumerate(bodies):
            answer = await self._ask("PUT", f"/v1/AUTH_test/{folder}/{number}", content=body)
            if answer is None or not answer.is_success:
                return None
        return Segments(folder, bodies)

    async def turn_container(self, _path: str) -> None:
        """One without objects, whose metadata tells it from others of its name."""
        path = f"/v1/AUTH_test/x{self._number}-{self._rng.randrange(3)}"
        method = self._rng.choice(("PUT", "POST", "DELETE"))
        turn = f"{self._number}-{self.done}"
        headers = {} if method == "DELETE" else {CONTAINER_TURN: turn}
        await self._write(path, {None if method == "DELETE" else turn}, method, path, headers=headers)

    async def get(self, path: str) -> None:
        answer = await self._ask("GET", path)
        if answer is None or path not in self._ever or not is_plain(path):
            return
        if answer.status_code == 200:
            self._check(path, hashlib.md5(answer.content).hexdigest(), answer.headers["etag"])

    def _check(self, path: str, seen: str, told: str) -> None:
        """What is read may be old while copies are away; it is never anything that was not written."""
        if seen != told:
            self.rotten += 1  # of an object too large to be read through before it is sent; its ETag tells
        elif seen not in self._ever[path]:
            self.wrong.append(f"{path} is {seen}, and was never that")

    async def _write(
        self, path: str, becomes: set[Content], method: str, asked: str, **about: object
    ) -> bool:
        """Answers whether it was acknowledged."""
        writes = self._writes.setdefault(path, [Write(frozenset({None}), 0.0)])
        self._ever.setdefault(path, {None}).update(becomes)
        began_s = time.monotonic()
        answer = await self._ask(method, asked, **about)
        if answer is not None and method in ("COPY", "POST") and answer.status_code == 404:
            return False
        write = Write(frozenset(becomes), time.monotonic())
        is_done = answer is not None and (
            answer.is_success or (method == "DELETE" and answer.status_code == 404)
        )
        if answer is not None and is_done:
            if method == "COPY":
                write.becomes = frozenset({answer.headers["etag"]})
            writes[:] = [one for one in writes if one.ended_s > began_s - 2 * SKEW_S]
        writes.append(write)
        return is_done

    async def _ask(self, method: str, path: str, **about: object) -> httpx.Response | None:
        member = self._rng.choice([*self._cluster.nodes, self._cluster.proxy, self._cluster.proxy])
        try:
            answer = await self._session.request(method, member.url + path, **about)  # type: ignore[arg-type]
        except (httpx.TransportError, httpx.InvalidURL):
            self.unanswered += 1
            await asyncio.sleep(0.05)
            return None
        assert answer.status_code != 500, (method, path, answer.text)
        self.done += answer.status_code < 500
        self.refused += answer.status_code >= 500
        return answer


class Segments:
    """Objects of which others are made, at `CONTAINER/FOLDER/NUMBER`."""

    def __init__(self, folder: str, bodies: list[bytes]) -> None:
        self.folder, self.bodies = folder, bodies
        self.whole = b"".join(bodies)

    def static(self) -> dict[str, Any]:
        """What a PUT of a static large object has."""
        rows = [
            {
                "path": f"{self.folder}/{number}",
                "etag": hashlib.md5(body).hexdigest(),
                "size_bytes": len(body),
            }
            for number, body in enumerate(self.bodies)
        ]
        return {"params": {"multipart-manifest": "put"}, "content": msgspec.json.encode(rows)}

    def dynamic(self) -> dict[str, Any]:
        return {"headers": {"x-object-manifest": f"{self.folder}/"}}

    def link(self) -> dict[str, Any]:
        """A static one, to the first."""
        tag = hashlib.md5(self.bodies[0]).hexdigest()
        return {"headers": {"x-symlink-target": f"{self.folder}/0", "x-symlink-target-etag": tag}}


async def test_what_was_acknowledged_is_there(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 4, random.Random(SEED)) as cluster:
        cluster.limit(cluster.nodes[3], 24 << 10)
        misfortune = Misfortune(cluster)
        misfortune.skew()
        await cluster.up()
        token = await token_of(cluster.proxy)
        async with httpx.AsyncClient(
            trust_env=False, headers={"x-auth-token": token}, timeout=20.0
        ) as session:
            for container, policy in {**CONTAINERS, **SEGMENTS, MADE: "gold"}.items():
                made = await session.put(
                    f"{cluster.proxy.url}/v1/AUTH_test/{container}", headers={"x-storage-policy": policy}
                )
                assert made.status_code == 201
            made = await session.put(
                f"{cluster.proxy.url}/v1/AUTH_test/{VERSIONED}", headers={"x-versions-enabled": "true"}
            )
            assert made.status_code == 201
            writers = [Writer(cluster, token, number) for number in range(WRITERS)]
            over = asyncio.Event()
            storm = asyncio.create_task(misfortune.run(over))
            work = [asyncio.create_task(writer.run(over)) for writer in writers]
            await asyncio.sleep(STORM_S)
            over.set()
            await asyncio.gather(storm, *work)
            cluster.heal()
            ended_s = time.monotonic()
            await _comes_to_rest(cluster, session, writers)
        told: dict[str, Any] = {
            "rest_s": round(time.monotonic() - ended_s, 1),
            "operations": sum(writer.done for writer in writers),
            "refused": sum(writer.refused for writer in writers),
            "unanswered": sum(writer.unanswered for writer in writers),
            "rotten": sum(writer.rotten for writer in writers),
            "manifests": sum(writer.manifests for writer in writers),
            "versions": sum(len(writer.versions) for writer in writers),
            "objects": sum(len(writer.may_be()) for writer in writers),
            "sure": sum(len(kinds) == 1 for writer in writers for kinds in writer.may_be().values()),
            "faults": cluster.faults,
        }
        print(told)
        assert told["operations"] > 100
        assert told["manifests"] > 5
        assert len(cluster.faults) >= 9
        assert [wrong for writer in writers for wrong in writer.wrong] == []


async def _comes_to_rest(cluster: Cluster, session: httpx.AsyncClient, writers: list[Writer]) -> None:
    """Listings come to tell exactly what is there, on every node; every object is as it was acknowledged."""
    may_be = {path: kinds for writer in writers for path, kinds in writer.may_be().items()}
    versions = {about: tag for writer in writers for about, tag in writer.versions.items()}
    give_up_at = time.monotonic() + REST_LIMIT_S
    while True:
        differences = await _differences(cluster, session, may_be)
        differences += await _differences_of_versions(cluster, session, versions)
        if not differences:
            return
        assert time.monotonic() < give_up_at, "\n".join(differences[:40])
        await asyncio.sleep(1.0)


async def _differences(
    cluster: Cluster, session: httpx.AsyncClient, may_be: dict[str, frozenset[Content]]
) -> list[str]:
    found: list[str] = []
    there: dict[str, httpx.Response] = {}
    for path, kinds in may_be.items():
        member = cluster.rng.choice(cluster.members)
        if is_container(path):
            found += await _differences_of_container(cluster, session, path, kinds)
            continue
        try:
            answer = await session.get(member.url + path, headers={"x-newest": "true"})
        except httpx.TransportError as error:  # it ended short
            found.append(f"{path} by {member.name}: {error!r}")
            continue
        if answer.status_code not in (200, 404):
            found.append(f"{path}: {answer.status_code}")
            continue
        if answer.status_code == 200:
            there[path] = answer
        seen = hashlib.md5(answer.content).hexdigest() if answer.status_code == 200 else None
        if seen not in kinds:
            found.append(f"{path} is {seen}, and may be {set(kinds)}")
    for member in cluster.members:
        for container in CONTAINERS:
            wanted = {
                path: (answer.headers["etag"], len(answer.content))
                for path, answer in there.items()
                if path.startswith(f"/v1/AUTH_test/{container}/")
            }
            found += await _differences_of_listing(session, member, container, wanted)
    return found


async def _differences_of_container(
    cluster: Cluster, session: httpx.AsyncClient, path: str, kinds: frozenset[Content]
) -> list[str]:
    """It is as it was made, to all alike, and its account lists it if it is there."""
    found: list[str] = []
    seen: set[Content] = set()
    for member in cluster.members:
        answer = await session.head(member.url + path)
        seen.add(answer.headers[CONTAINER_TURN] if answer.is_success else None)
        account = await session.get(f"{member.url}/v1/AUTH_test")
        if (path.rpartition("/")[2] in account.text.splitlines()) != answer.is_success:
            found.append(f"{path} by {member.name}: {answer.status_code}, and the account says otherwise")
    if len(seen) != 1 or not seen <= kinds:
        found.append(f"{path} is {seen}, and may be {set(kinds)}")
    return found


async def _differences_of_versions(
    cluster: Cluster, session: httpx.AsyncClient, versions: dict[tuple[str, str], str]
) -> list[str]:
    """All that were acknowledged can be read, and are listed; what is current is one of those that are listed."""
    found: list[str] = []
    for (path, version), tag in versions.items():
        member = cluster.rng.choice(cluster.members)
        answer = await session.get(member.url + path, params={"version-id": version})
        if answer.status_code != 200 or hashlib.md5(answer.content).hexdigest() != tag:
            found.append(f"{path} of {version}: {answer.status_code}, {len(answer.content)} bytes")
    for member in cluster.members:
        asked = {"versions": "true", "format": "json"}
        answer = await session.get(f"{member.url}/v1/AUTH_test/{VERSIONED}", params=asked)
        listed = {
            (f"/v1/AUTH_test/{VERSIONED}/{row['name']}", row["version_id"]): row for row in answer.json()
        }
        found += [f"{about} is not listed by {member.name}" for about in versions.keys() - listed.keys()]
        for path in {path for path, _ in versions}:
            current = (await session.get(member.url + path)).headers.get("x-object-version-id", "")
            latest = [version for (of, version), row in listed.items() if of == path and row["is_latest"]]
            if latest != [current]:
                found.append(f"{path} by {member.name}: {latest} are latest, {current} is current")
    return found


async def _differences_of_listing(
    session: httpx.AsyncClient, member: Member, container: str, wanted: dict[str, tuple[str, int]]
) -> list[str]:
    """Between what is there and the listing of the container, and its sums in the account's."""
    path = f"/v1/AUTH_test/{container}"
    answer = await session.get(member.url + path, params={"format": "json"})
    account = await session.get(f"{member.url}/v1/AUTH_test", params={"format": "json"})
    if (answer.status_code, account.status_code) != (200, 200):
        return [f"{container} by {member.name}: {answer.status_code}, account {account.status_code}"]
    listed = {f"{path}/{row['name']}": (row["hash"], row["bytes"]) for row in answer.json()}
    found = [
        f"{name} by {member.name} listed {listed.get(name)}, is {wanted.get(name)}"
        for name in sorted(listed.keys() | wanted.keys())
        if listed.get(name) != wanted.get(name)
    ]
    sums = [(row["count"], row["bytes"]) for row in account.json() if row["name"] == container]
    if sums != [(len(wanted), sum(size for _, size in wanted.values()))]:
        found.append(f"{container} by {member.name} has {len(wanted)}, its account says {sums}")
    return found
