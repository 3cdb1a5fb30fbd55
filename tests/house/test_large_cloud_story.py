"""A cloud of more hosts than the scheduler looks at first."""

from collections.abc import Iterator

import pytest
from openstack.connection import Connection

from aerostat.testing import Cloud

HOSTS = 30


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with Cloud(environ={"AEROSTAT_COMPUTE_FAKE_HOSTS": str(HOSTS)}) as made:
        made.faults.set_quota("compute", made.connection.current_project_id, instances=-1, cores=-1, ram=-1)
        yield made


@pytest.fixture
def connection(cloud: Cloud) -> Connection:
    return cloud.connection


def make(connection: Connection, name: str, flavor: str = "m1.nano", **more: object) -> object:
    server = connection.compute.create_server(
        name=name,
        image_id=next(connection.image.images()).id,
        flavor_id=connection.compute.find_flavor(flavor).id,
        networks="none",
        **more,
    )
    return connection.compute.wait_for_server(server, wait=30, interval=0.1)


def test_servers_are_spread(connection: Connection) -> None:
    hosts = {make(connection, f"s{number}").hypervisor_hostname for number in range(5)}
    assert len(hosts) == 5


def test_a_wish_for_a_zone_that_none_of_the_emptiest_is_in(connection: Connection) -> None:
    """The hosts with most room are looked at first; the one that suits is the fullest of all."""
    full = make(connection, "full", flavor="m1.large").hypervisor_hostname
    zone = connection.compute.create_aggregate(name="east", availability_zone="east")
    connection.compute.add_host_to_aggregate(zone, full)
    assert make(connection, "wishful", availability_zone="east").hypervisor_hostname == full


def test_affinity_finds_the_member_wherever_it_is(connection: Connection) -> None:
    group = connection.compute.create_server_group(name="together", policy="affinity")
    hints = {"group": group.id}
    first = make(connection, "first", flavor="m1.medium", scheduler_hints=hints)
    second = make(connection, "second", scheduler_hints=hints)
    assert first.hypervisor_hostname == second.hypervisor_hostname


def test_a_refusal_counts_all_hosts(connection: Connection) -> None:
    flavor = connection.compute.create_flavor(name="huge", ram=10**7, vcpus=1, disk=1)
    server = connection.compute.create_server(
        name="huge", image_id=next(connection.image.images()).id, flavor_id=flavor.id, networks="none"
    )
    with pytest.raises(Exception, match="ERROR"):
        connection.compute.wait_for_server(server, wait=30, interval=0.1)
    reason = connection.compute.get_server(server).fault["message"]
    assert f"{HOSTS} of {HOSTS} hosts lack RAM (10000000 MiB asked" in reason
