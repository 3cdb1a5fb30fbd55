"""Two hosts over RabbitMQ and PostgreSQL: one is emptied, a machine of its own joins, then a storm on the same cloud.

In the storm each operation meets two faults: one part of the cloud is stopped for some seconds (SIGSTOP), another
killed (SIGKILL); every part has its turn in both. Operations end, well or with a reason; what the world holds is what
the rows say; what was deleted is gone from everywhere. Who is struck when is decided by a fixed seed;
`AEROSTAT_STORMS=N` goes through N of them, where CI has time for one.
"""

import os
import re
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from aerostat.kernel.namespaces import list_processes
from tests.metal.joined_machine import TUNNEL_ADDRESS, JoinedMachine
from tests.metal.many_processes import why_no_queue
from tests.metal.real_storm import Storm
from tests.metal.two_hosts import BOOT_LIMIT_S, MOVE_LIMIT_S, TwoHosts, guest_of, two_hosts, why_no_two_hosts
from tests.servers import Postgres, Rabbitmq
from tests.waiting import eventually

MISSING = why_no_two_hosts() or why_no_queue()
pytestmark = [
    pytest.mark.metal,
    pytest.mark.guest,
    pytest.mark.skipif(bool(MISSING), reason=MISSING or "-"),
]

SEED = 3
STORMS = int(os.environ.get("AEROSTAT_STORMS", "1"))


@pytest.fixture(scope="module")
def rabbitmq_of_ours() -> Iterator[Rabbitmq]:
    server = Rabbitmq(managed=True)
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
    kernel = {
        "database_url": postgres.database_url(database),
        "bus_url": rabbitmq_of_ours.url,
        "bus_admin_url": rabbitmq_of_ours.admin_url,
    }
    lines = ["[kernel]", *(f'{key} = "{value}"' for key, value in kernel.items())]
    lines += ["[network]", 'southbound = "unix:{path}/s/ovn/sb.sock"']
    yield from two_hosts("\n".join(lines) + "\n")


def test_a_host_is_emptied_of_a_running_guest(queued: TwoHosts) -> None:
    server = queued.server("queued")
    source = queued.host_of(server)
    eventually(lambda: "queued login:" in console(queued, server), BOOT_LIMIT_S, why="booted")
    said = queued.cloud.run("host", "drain", source, "--move", limit_s=MOVE_LIMIT_S)
    assert "1 went from" in said
    assert queued.settled(server).compute_host != source
    queued.cloud.run("host", "undrain", source)
    assert queued.ssh("queued", "hostname") == "queued\n"
    assert not (queued.cloud.folder.run / "bus.sock").exists()
    assert not queued.cloud.folder.database.exists()
    for address in queued.demo.network.ips():
        queued.demo.network.delete_ip(address)
    queued.demo.delete_server(server.id, wait=True, timeout=60)
    assert queued.guests() == [set(), set()]


@pytest.fixture
def machine(queued: TwoHosts, rabbitmq_of_ours: Rabbitmq) -> Iterator[JoinedMachine]:
    path = queued.key.parent / "machine"
    path.mkdir()
    machine = JoinedMachine(queued.cloud, path, rabbitmq_of_ours.port)
    try:
        machine.power_on()
        yield machine
    finally:
        machine.power_off()


def test_a_machine_of_its_own_joins(queued: TwoHosts, machine: JoinedMachine) -> None:
    """With the switch and the libvirt of its distribution; what is missing or somebody else's is told."""
    token = queued.cloud.run("host", "token", "node-9")
    assert "This machine is node-9 now." in machine.aerostat("host", "join", input=token).stdout
    refused = machine.aerostat("serve", "--role", "host")
    assert refused.returncode == 1
    for word in (
        "Open vSwitch does not run",
        "systemctl start ovn-host",
        "there is no /run/libvirt/libvirt-sock",
    ):
        assert word in refused.stderr
    machine.start_daemons()
    with (machine.state / "aerostat.toml").open("a") as settings:
        settings.write(f'tunnel_address = "{TUNNEL_ADDRESS}"\nbridge_mappings = {{ public = "br-ex" }}\n')
    machine.run("ovs-vsctl", "set", "Open_vSwitch", ".", "external_ids:ovn-remote=unix:/elsewhere")
    assert (
        "is unix:/elsewhere, and this cloud's OVN needs" in machine.aerostat("serve", "--role", "host").stderr
    )
    assert "external_ids:ovn-remote" in machine.aerostat("doctor").stdout
    machine.run("ovs-vsctl", "remove", "Open_vSwitch", ".", "external_ids", "ovn-remote")

    random_id = machine.ids()["system-id"]
    machine.serve()
    ids = machine.ids()
    assert ids["hostname"] == "node-9"
    assert ids["system-id"] == random_id
    assert ids["ovn-encap-ip"] == TUNNEL_ADDRESS
    assert re.search(r"ok +host +node-9 has its switch", machine.aerostat("doctor").stdout)
    eventually(lambda: re.search(r"node-9 +up", queued.cloud.run("host", "list")), 30, why="it is known")

    # No metadata service is on such a machine: what the guest has to know comes on a drive.
    for name in queued.hosts:
        queued.cloud.run("host", "drain", name)
    queued.server("far", config_drive=True)
    for name in queued.hosts:
        queued.cloud.run("host", "undrain", name)
    queued.booted("far")
    assert [guest_of(pid) for pid in list_processes(machine.namespace) if guest_of(pid)] != []
    assert queued.guests() == [set(), set()]
    server = queued.demo.compute.find_server("far")
    for address in queued.demo.network.ips():
        queued.demo.network.delete_ip(address)
    queued.demo.delete_server(server.id, wait=True, timeout=60)
    assert [guest_of(pid) for pid in list_processes(machine.namespace) if guest_of(pid)] == []
    assert "is out of the cloud" in queued.cloud.run("host", "remove", "node-9")


@pytest.mark.parametrize("seed", range(SEED, SEED + STORMS))
def test_a_storm(
    queued: TwoHosts, postgres: Postgres, database: str, rabbitmq_of_ours: Rabbitmq, seed: int
) -> None:
    storm = Storm(queued, postgres, database, rabbitmq_of_ours, seed)
    storm.rage()
    storm.put_right()
    storm.check_agreement()
    storm.clear()
    storm.check_nothing_left()
    print(storm.summary(), flush=True)


def console(hosts: TwoHosts, server: Any) -> str:
    return str(hosts.demo.compute.get_server_console_output(server.id)["output"])
