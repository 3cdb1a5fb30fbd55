"""Whatever a client sends to a room of a whole cloud, the room has a word for it: see `tests/odd_requests.py`.

Identity and image are asked alone, where it is also looked whether a refusal changes something.
"""

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from aerostat.testing import Cloud
from tests.odd_requests import COUNT, Generator, play

ROOMS = ("placement", "network", "compute", "orchestration")
SHARE = 3  # of the requests that one room is sent, each of these gets a third


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with Cloud() as cloud:
        yield cloud


@pytest.mark.parametrize("name", ROOMS)
def test_odd_requests(cloud: Cloud, name: str) -> None:
    service = cloud.house.services[name]
    generator = Generator(service)
    assert service.tables is not None
    for table in service.tables.sorted_tables:
        for row in cloud.call(cloud.house.store.all(table)):
            if (id := row.get("id") or row.get("uuid")) is not None:
                for parameter in _parameters(service.prefix, table.name):
                    generator.pool.add(parameter, str(id))
    project = cloud.connection.current_project_id
    for parameter in ("own_project_id", "project_id", "tenant_id"):
        generator.pool.add(parameter, project)
    tokens = (cloud.connection.auth_token, cloud.connect("demo").auth_token)
    people = [*({"x-auth-token": one} for one in tokens), {}]

    async def run() -> dict[int, int]:
        async with httpx.AsyncClient(base_url=cloud.url, timeout=30.0) as session:
            return await play(session, generator, people, None, COUNT // SHARE)

    met = asyncio.run(run())
    assert sum(count for status, count in met.items() if status < 300) > COUNT // SHARE // 20, met


def _parameters(prefix: str, table: str) -> tuple[str, ...]:
    """`network_security_groups` holds what paths call `security_group_id`; some say `id`."""
    thing = table.removeprefix(prefix.strip("/") + "_").removesuffix("s")
    return (f"{thing}_id", "id", "uuid")
