"""Two hosts over RabbitMQ and PostgreSQL: the story of a move, then a storm on the same cloud.

In the storm each operation meets two faults: one part of the cloud is stopped for some seconds (SIGSTOP), another
killed (SIGKILL); every part has its turn in both. Operations end, well or with a reason; what the world holds is what
the rows say; what was deleted is gone from everywhere. Who is struck when is decided by a fixed seed.
"""

import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from tests.metal.many_processes import why_no_queue
from tests.metal.real_storm import Storm
from tests.metal.two_hosts import BOOT_LIMIT_S, TwoHosts, two_hosts, why_no_two_hosts
from tests.servers import Postgres, Rabbitmq
from tests.waiting import eventually

MISSING = why_no_two_hosts() or why_no_queue()
pytestmark = [
    pytest.mark.metal,
    pytest.mark.guest,
    pytest.mark.skipif(bool(MISSING), reason=MISSING or "-"),
]

SEED = 3


@pytest.fixture(scope="module")
def rabbitmq_of_ours() -> Iterator[Rabbitmq]:
    server = Rabbitmq()
    yield server
    server.close()


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> Iterator[str]:
    name = f"two_hosts_{secrets.token_hex(4)}"
    postgres.sql(f"CREATE DATABASE {name} STRATEGY file_copy")
    # The session's server may lose what it has just said yes to when it is killed. This one's word must hold.
    postgres.sql(f"ALTER DATABASE {name} SET synchronous_commit = on")
    yield name
    postgres.sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def queued(postgres: Postgres, database: str, rabbitmq_of_ours: Rabbitmq) -> Iterator[TwoHosts]:
    url = postgres.database_url(database)
    yield from two_hosts(f'[kernel]\ndatabase_url = "{url}"\nbus_url = "{rabbitmq_of_ours.url}"\n')


def test_a_running_guest_moves(queued: TwoHosts) -> None:
    server = queued.server("queued")
    source = queued.host_of(server)
    eventually(lambda: "queued login:" in console(queued, server), BOOT_LIMIT_S, why="booted")
    queued.admin.compute.live_migrate_server(server.id, host=None, block_migration="auto")
    assert queued.settled(server).compute_host != source
    assert queued.ssh("queued", "hostname") == "queued\n"
    assert not (queued.cloud.folder.run / "bus.sock").exists()
    assert not queued.cloud.folder.database.exists()
    for address in queued.demo.network.ips():
        queued.demo.network.delete_ip(address)
    queued.demo.delete_server(server.id, wait=True, timeout=60)
    assert queued.guests() == [set(), set()]


def test_a_storm(queued: TwoHosts, postgres: Postgres, database: str, rabbitmq_of_ours: Rabbitmq) -> None:
    storm = Storm(queued, postgres, database, rabbitmq_of_ours, SEED)
    storm.rage()
    storm.check_agreement()
    storm.clear()
    storm.check_nothing_left()
    print(storm.summary(), flush=True)


def console(hosts: TwoHosts, server: Any) -> str:
    return str(hosts.demo.compute.get_server_console_output(server.id)["output"])
