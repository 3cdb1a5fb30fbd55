"""The model of the API, as in `tests/object/test_model.py`, on four nodes in processes of their own.

Each request goes to any node. Meanwhile a node is killed, and comes back: nobody who asks may notice. Listings may lag
a little, and then tell exactly what is there, by every node.
"""

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from tests.metal.object_cluster import Cluster, NodeProcess, token_of
from tests.object.kit import Answer
from tests.object.test_model import Model

pytestmark = pytest.mark.metal

LAG_S = 20.0
_accounts = itertools.count()


class Served:
    """Asked as `tests.object.kit.Store` is; an account of the cluster is its `A`. `alive`: nodes that are asked."""

    def __init__(self, session: httpx.AsyncClient, alive: list[NodeProcess], policy: str) -> None:
        self._session, self._policy = session, policy
        self._account = f"AUTH_m{next(_accounts)}"
        self._turn = itertools.count()
        self.alive = alive
        self.only: NodeProcess | None = None

    async def __call__(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        query: str = "",
    ) -> Answer:
        sent = {name.encode(): value.encode() for name, value in (headers or {}).items()}
        parts = path.split("/", 4)
        if method == "PUT" and len(parts) == 4:
            sent[b"x-storage-policy"] = self._policy.encode()
        elif method in ("GET", "HEAD") and len(parts) == 5:
            sent[b"x-newest"] = b"true"
        node = self.only or self.alive[next(self._turn) % len(self.alive)]
        url = node.url + quote(path.replace("/v1/A", f"/v1/{self._account}", 1))
        content = body if isinstance(body, bytes) or body is None else _pieces(body)
        answer = await self._session.request(
            method, f"{url}?{query}" if query else url, headers=sent, content=content
        )
        told = {name.decode().lower(): value.decode() for name, value in answer.headers.raw}
        return Answer(answer.status_code, told, answer.content)


async def _pieces(body: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in body:
        yield piece


class OnNodes(Model):
    """`cluster` is the same for all examples, which have an account each."""

    cluster: ClassVar[Cluster]
    token: ClassVar[str]
    policy: ClassVar[str]

    def __init__(self) -> None:
        self.lost: NodeProcess | None = None
        self.is_spared = False
        super().__init__()

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Served]:
        async with httpx.AsyncClient(
            trust_env=False, headers={"x-auth-token": self.token}, timeout=20.0
        ) as session:
            yield Served(session, [*self.cluster.nodes], self.policy)

    def teardown(self) -> None:
        self._bring_back()
        super().teardown()

    @precondition(lambda self: not self.is_spared)
    @rule(number=st.integers(0, 3))
    def lose_a_node(self, number: int) -> None:
        """One at a time, and once in an example: it takes a while until it is as if it had never been away."""
        self.lost, self.is_spared = self.cluster.nodes[number], True
        self.store.alive.remove(self.lost)
        self.lost.kill()

    @precondition(lambda self: self.lost is not None)
    @rule()
    def bring_it_back(self) -> None:
        self._bring_back()

    def _bring_back(self) -> None:
        node, self.lost = self.lost, None
        if node is not None:
            node.start()
            self.runner.run(node.wait_ready())
            self.runner.run(self.cluster.alike())
            self.store.alive.append(node)

    @invariant()
    def everything_is_listed_as_it_is(self) -> None:
        give_up_at = time.monotonic() + LAG_S
        for node in self.store.alive:
            self.store.only = node
            while True:
                try:
                    super().everything_is_listed_as_it_is()
                    break
                except AssertionError:
                    if time.monotonic() > give_up_at:
                        raise
                time.sleep(0.05)
        self.store.only = None


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(Path(tmp_path_factory.mktemp("model")), 4, random.Random(1), ttl_s=0.0)
    try:
        for node in cluster.nodes:
            node.start()
        for node in cluster.nodes:
            asyncio.run(node.wait_ready())
        yield cluster
    finally:
        asyncio.run(cluster.close())


@pytest.mark.parametrize("policy", ["gold", "coded"])
def test_the_cluster_does_as_the_model(cluster: Cluster, policy: str) -> None:
    about: dict[str, Any] = {"cluster": cluster, "token": asyncio.run(token_of(cluster.nodes[0]))}
    machine = type("Machine", (OnNodes,), {**about, "policy": policy})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=3,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
