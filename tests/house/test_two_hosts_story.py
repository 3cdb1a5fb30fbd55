"""A cloud of two hosts, as its administrator uses it with official clients: emptying one, outliving one."""

from functools import partial
from typing import Any

import openstack.exceptions
import pytest

from aerostat.testing import Cloud
from tests.house import command_line
from tests.house.conftest import WAIT_S, wait
from tests.house.world import assert_nothing_is_left, explain
from tests.waiting import eventually

TWO_HOSTS = {"AEROSTAT_COMPUTE_FAKE_HOSTS": "2"}


@pytest.fixture
def cloud() -> Any:
    with Cloud(environ=TWO_HOSTS) as cloud:
        yield cloud


def host_of(cloud: Cloud, server: Any) -> str:
    return str(cloud.connection.compute.get_server(server.id).compute_host)


def test_anti_affinity_then_a_host_is_emptied_live(cloud: Cloud, new_server: Any) -> None:
    demo, admin = cloud.connect("demo"), cloud.connection
    group = demo.compute.create_server_group(name="apart", policy="anti-affinity")
    hints = {"group": group.id}
    pair = [new_server(demo, name, scheduler_hints=hints, remove_after=False) for name in ("one", "two")]
    pair = [wait(demo, server) for server in pair]
    assert sorted(host_of(cloud, server) for server in pair) == ["fake-1", "fake-2"]

    alone = wait(demo, new_server(demo, "alone", remove_after=False))
    first = host_of(cloud, alone)
    other = {"fake-1": "fake-2", "fake-2": "fake-1"}[first]
    address = alone.addresses
    admin.compute.live_migrate_server(alone.id, host=None, block_migration="auto")
    eventually(lambda: host_of(cloud, alone) == other, WAIT_S, every_s=0.02, why="it moved")
    assert wait(demo, alone).addresses == address
    port = next(demo.network.ports(device_id=alone.id))
    assert admin.network.get_port(port.id).binding_host_id == other
    eventually(lambda: demo.network.get_port(port.id).status == "ACTIVE", WAIT_S, every_s=0.02)
    (migration,) = admin.compute.migrations()
    assert (migration.status, migration.migration_type) == ("completed", "live-migration")
    steps = [row["step"] for row in explain(cloud, alone.id) if row["action"] == "server.live-migration"]
    assert {"claim_target", "prepare_target", "send", "follow"} <= set(steps)

    # One of the pair has nowhere to go, and the reason is told.
    with pytest.raises(openstack.exceptions.BadRequestException, match="anti-affinity server group"):
        admin.compute.live_migrate_server(pair[0].id, host=None, block_migration="auto")

    for server in (*pair, alone):
        demo.compute.delete_server(server)
        demo.compute.wait_for_delete(server, interval=0.02, wait=WAIT_S)
    assert_nothing_is_left(cloud)


def test_the_command_line_moves_servers(cloud: Cloud, new_server: Any) -> None:
    demo, admin = cloud.connect("demo"), cloud.connection
    cli = partial(command_line.openstack, cloud, user="admin")
    server = wait(demo, new_server(demo, "mover"))
    first = host_of(cloud, server)
    cli("--os-compute-api-version", "2.79", "server", "migrate", "--live-migration", "--wait", server.id)
    assert host_of(cloud, server) != first
    assert "completed" in cli("--os-compute-api-version", "2.79", "server", "migration", "list")
    cli("--os-compute-api-version", "2.79", "server", "migrate", "--wait", server.id)
    assert host_of(cloud, server) == first
    cli("server", "migration", "confirm", server.id)
    wait(admin, server)
    service = next(one for one in admin.compute.services() if one.host == first)
    cli("compute", "service", "set", "--disable", "--disable-reason", "worn out", first, "nova-compute")
    assert "worn out" in cli("compute", "service", "list", "--long")
    cli("--os-compute-api-version", "2.79", "compute", "service", "set", "--down", first, "nova-compute")
    assert "down" in cli("compute", "service", "list", "--host", service.host)
    cli("--os-compute-api-version", "2.79", "server", "evacuate", server.id)  # its --wait waits for ever
    eventually(lambda: host_of(cloud, server) != first, WAIT_S, every_s=0.02, why="it is elsewhere")
    assert wait(demo, server).status == "ACTIVE"
