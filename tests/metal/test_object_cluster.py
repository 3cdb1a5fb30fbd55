"""Four nodes of an object store under load, while they are killed, stopped, damaged, filled, emptied and moved.

Each writer has names of its own, so it knows what must be there: what was acknowledged last, or what was asked for
since without an answer. `CLUSTER_SEED` and `CLUSTER_SECONDS` make it another storm, or a longer one.
"""

import asyncio
import hashlib
import os
import random
import time
from pathlib import Path

import httpx
import pytest

from tests.metal.object_cluster import Cluster, Misfortune, cluster_of

pytestmark = [
    pytest.mark.metal,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: mounts a small device"),
]

SEED = int(os.environ.get("CLUSTER_SEED", "1"))
STORM_S = float(os.environ.get("CLUSTER_SECONDS", "45"))
REST_LIMIT_S = 120.0
WRITERS = 6
CONTAINERS = 3
SIZES = (0, 100, 1024, 70_000, 400_000)


class Writer:
    """`may_be`: by path, the MD5s of what may be there; None stands for nothing."""

    def __init__(self, cluster: Cluster, token: str, number: int) -> None:
        self._cluster = cluster
        self._rng = random.Random(f"{SEED}-{number}")
        self._number = number
        self._session = httpx.AsyncClient(trust_env=False, headers={"x-auth-token": token}, timeout=20.0)
        self.may_be: dict[str, set[str | None]] = {}
        self._ever: dict[str, set[str | None]] = {}
        self.done = self.refused = self.unanswered = self.rotten = 0
        self.wrong: list[str] = []

    async def run(self, until: asyncio.Event) -> None:
        while not until.is_set():
            path = (
                f"/v1/AUTH_test/c{self._rng.randrange(CONTAINERS)}/w{self._number}-{self._rng.randrange(40)}"
            )
            kind = self._rng.choices(("put", "get", "delete", "copy", "post"), (45, 30, 12, 8, 5))[0]
            await getattr(self, kind)(path)
        await self._session.aclose()

    async def put(self, path: str) -> None:
        body = self._rng.randbytes(self._rng.choice(SIZES))
        await self._write(path, hashlib.md5(body).hexdigest(), "PUT", path, content=body)

    async def delete(self, path: str) -> None:
        await self._write(path, None, "DELETE", path)

    async def copy(self, path: str) -> None:
        known = [one for one, kinds in self.may_be.items() if len(kinds) == 1 and None not in kinds]
        if known:
            source = self._rng.choice(known)
            (tag,) = self.may_be[source]
            target = path.removeprefix("/v1/AUTH_test/")
            await self._write(path, tag, "COPY", source, headers={"destination": target})

    async def post(self, path: str) -> None:
        await self._ask("POST", path, headers={"x-object-meta-turn": str(self.done)})

    async def get(self, path: str) -> None:
        answer = await self._ask("GET", path)
        if answer is None or path not in self.may_be:
            return
        if answer.status_code == 200:
            self._check(path, hashlib.md5(answer.content).hexdigest(), answer.headers["etag"])

    def _check(self, path: str, seen: str | None, told: str | None) -> None:
        """What is read may be old while copies are away; it is never anything that was not written."""
        if seen != told:
            self.rotten += 1  # of an object too large to be read through before it is sent; its ETag tells
        elif seen not in self._ever[path]:
            self.wrong.append(f"{path} is {seen}, and was never that")

    async def _write(self, path: str, becomes: str | None, method: str, asked: str, **about: object) -> None:
        before = self.may_be.setdefault(path, {None})
        before.add(becomes)
        self._ever.setdefault(path, set()).add(becomes)
        answer = await self._ask(method, asked, **about)
        if answer is not None and (answer.is_success or (method == "DELETE" and answer.status_code == 404)):
            self.may_be[path] = {becomes}

    async def _ask(self, method: str, path: str, **about: object) -> httpx.Response | None:
        node = self._rng.choice(self._cluster.nodes)
        try:
            answer = await self._session.request(method, node.url + path, **about)  # type: ignore[arg-type]
        except (httpx.TransportError, httpx.InvalidURL):
            self.unanswered += 1
            await asyncio.sleep(0.05)
            return None
        assert answer.status_code != 500, (method, path, answer.text)
        self.done += answer.status_code < 500
        self.refused += answer.status_code >= 500
        return answer


async def test_what_was_acknowledged_is_there(tmp_path: Path) -> None:
    with cluster_of(tmp_path, 4, random.Random(SEED)) as cluster:
        cluster.limit(cluster.nodes[3], 24 << 10)
        await cluster.up()
        token = await cluster.token()
        async with httpx.AsyncClient(
            trust_env=False, headers={"x-auth-token": token}, timeout=20.0
        ) as session:
            for number in range(CONTAINERS):
                made = await session.put(f"{cluster.nodes[0].url}/v1/AUTH_test/c{number}")
                assert made.status_code == 201
            writers = [Writer(cluster, token, number) for number in range(WRITERS)]
            over = asyncio.Event()
            storm = asyncio.create_task(Misfortune(cluster).run(over))
            work = [asyncio.create_task(writer.run(over)) for writer in writers]
            await asyncio.sleep(STORM_S)
            over.set()
            await asyncio.gather(storm, *work)
            cluster.heal()
            await _comes_to_rest(cluster, session, writers)
        told = {
            "operations": sum(writer.done for writer in writers),
            "refused": sum(writer.refused for writer in writers),
            "unanswered": sum(writer.unanswered for writer in writers),
            "rotten": sum(writer.rotten for writer in writers),
            "objects": sum(len(writer.may_be) for writer in writers),
            "faults": cluster.faults,
        }
        print(told)
        assert told["operations"] > 100
        assert sum(cluster.faults.values()) >= 7
        assert [wrong for writer in writers for wrong in writer.wrong] == []


async def _comes_to_rest(cluster: Cluster, session: httpx.AsyncClient, writers: list[Writer]) -> None:
    """Listings come to tell exactly what is there, on every node; every object is as it was acknowledged."""
    may_be = {path: kinds for writer in writers for path, kinds in writer.may_be.items()}
    give_up_at = time.monotonic() + REST_LIMIT_S
    while True:
        differences = await _differences(cluster, session, may_be)
        if not differences:
            return
        assert time.monotonic() < give_up_at, differences[:20]
        await asyncio.sleep(1.0)


async def _differences(
    cluster: Cluster, session: httpx.AsyncClient, may_be: dict[str, set[str | None]]
) -> list[str]:
    found: list[str] = []
    there: dict[str, str] = {}
    for path, kinds in may_be.items():
        node = cluster.rng.choice(cluster.nodes)
        answer = await session.get(node.url + path, headers={"x-newest": "true"})
        if answer.status_code == 200:
            there[path] = hashlib.md5(answer.content).hexdigest()
        elif answer.status_code != 404:
            found.append(f"{path}: {answer.status_code}")
            continue
        if there.get(path) not in kinds:
            found.append(f"{path} is {there.get(path)}, and may be {kinds}")
    for node in cluster.nodes:
        for number in range(CONTAINERS):
            container = f"/v1/AUTH_test/c{number}"
            answer = await session.get(f"{node.url}{container}", params={"format": "json"})
            if answer.status_code != 200:
                found.append(f"{container}: {answer.status_code}")
                continue
            listed = {f"{container}/{row['name']}": row["hash"] for row in answer.json()}
            wanted = {path: tag for path, tag in there.items() if path.startswith(container + "/")}
            found += [
                f"{container} on node {node.number}: {path} listed {listed.get(path)}, is {wanted.get(path)}"
                for path in sorted(listed.keys() | wanted.keys())
                if listed.get(path) != wanted.get(path)
            ]
    return found
