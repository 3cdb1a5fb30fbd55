"""Two hosts of one machine: guests on both talk to each other, move between them, and outlive one of them.

Two stories, each told in order on a cloud of its own: with each host's own disks, and with shared ones.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from aerostat.kernel.namespaces import list_processes
from tests.metal.real_cloud import OURS
from tests.metal.two_hosts import TwoHosts, guest_of, two_hosts, why_no_two_hosts
from tests.waiting import eventually

pytestmark = [
    pytest.mark.metal,
    pytest.mark.guest,
    pytest.mark.skipif(bool(why_no_two_hosts()), reason=why_no_two_hosts() or "-"),
]

MARK = "/home/cloud/mark"  # on the disk


# With own disks


@pytest.fixture(scope="module")
def own() -> Iterator[TwoHosts]:
    yield from two_hosts()


@pytest.fixture(scope="module")
def pair(own: TwoHosts) -> list[Any]:
    """Two servers that shall not share a host, booted."""
    group = own.demo.compute.create_server_group(name="apart", policy="anti-affinity")
    servers = [own.server(name, group=group.id) for name in ("one", "two")]
    for name in ("one", "two"):
        own.booted(name)
    return servers


def test_a_group_is_kept_apart_and_talks_across_the_hosts(own: TwoHosts, pair: list[Any]) -> None:
    assert sorted(own.host_of(server) for server in pair) == own.hosts
    assert [len(found) for found in own.guests()] == [1, 1]
    addresses = [own.demo.compute.get_server(one.id).addresses["private"][0]["addr"] for one in pair]
    for name, other in (("one", addresses[1]), ("two", addresses[0])):
        assert "SSH-2.0" in own.ssh(name, f"echo | timeout 5 nc {other} 22 | head -n 1"), (
            "TCP through the tunnel"
        )
        url = "http://169.254.169.254/latest/meta-data/local-hostname"
        assert own.ssh(name, f"wget -q -O - {url}").startswith(name), "metadata on its own host"


def test_a_running_guest_moves_and_its_connections_hold(own: TwoHosts, pair: list[Any]) -> None:
    server = pair[0]
    source, target = own.host_of(server), own.host_of(pair[1])
    own.ssh("one", f"echo in memory > /tmp/mark; echo on disk > {MARK}; sync")
    counting = subprocess.Popen(
        [sys.executable, "-m", "aerostat", "ssh", "--state", str(own.cloud.folder.path), "one", "-i",
         str(own.key), "--", "i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo $i; sleep 0.1; done"],
        env={**os.environ, "HOME": str(own.key.parent), "PYTHONPATH": OURS},
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert counting.stdout is not None
    assert counting.stdout.readline() == "1\n"
    # The administrator may override the group.
    own.admin.compute.live_migrate_server(server.id, host=target, force=True, block_migration="auto")
    moved = own.settled(server)
    assert moved.compute_host == target != source
    said, _ = counting.communicate(timeout=120)
    assert said.split()[-1] == "300", "the connection went on through the move"
    assert own.ssh("one", f"cat /tmp/mark {MARK}") == "in memory\non disk\n"
    assert own.guests()[own.hosts.index(source)] == set()
    (migration,) = own.admin.compute.migrations()
    assert (migration.status, migration.migration_type) == ("completed", "live-migration")


def test_a_guest_moves_with_a_pause_and_the_move_is_confirmed(own: TwoHosts, pair: list[Any]) -> None:
    server = pair[0]
    source = own.host_of(server)
    own.admin.compute.migrate_server(server.id)
    moved = own.settled(server, "VERIFY_RESIZE")
    assert moved.compute_host != source
    own.admin.compute.confirm_server_resize(server.id)
    own.settled(server)
    own.booted("one")
    assert own.ssh("one", f"cat {MARK}") == "on disk\n"
    assert [len(found) for found in own.guests()] == [1, 1]


def test_both_are_deleted_without_a_trace(own: TwoHosts, pair: list[Any]) -> None:
    for server in pair:
        own.demo.delete_server(server.id, wait=True, timeout=60)
    assert own.guests() == [set(), set()]
    assert own.cloud.left().allocations == set()
    for folder in (own.cloud.folder.path, own.cloud.folder.path / "hosts" / "2"):
        assert list((folder / "instances" / "instances").glob("*-*")) == []


# With shared disks


@pytest.fixture(scope="module")
def shared() -> Iterator[TwoHosts]:
    yield from two_hosts('[compute]\ninstances = "{path}/shared"\n')


def test_a_dead_hosts_server_goes_on_elsewhere_with_its_disk(shared: TwoHosts) -> None:
    server = shared.server("survivor")
    shared.booted("survivor")
    first, second = shared.hosts
    shared.ssh("survivor", f"echo on disk > {MARK}; sync")
    # To the second host, by the other if it began there: it is the one that shall die.
    for target in (first, second):
        if shared.host_of(server) != target:
            shared.admin.compute.live_migrate_server(server.id, host=target, block_migration="auto")
            assert shared.settled(server).compute_host == target
    assert shared.ssh("survivor", f"cat {MARK}") == "on disk\n"

    dead = shared.processes("host-2", "libvirt-2", "ovs-switch-2", "ovn-controller-2")
    for pid in dead:
        os.kill(pid, signal.SIGSTOP)
    for pid in list_processes(f"{shared.cloud.folder.prefix}-2-host"):
        if guest_of(pid):
            os.kill(pid, signal.SIGKILL)
    try:
        service = next(one for one in shared.admin.compute.services() if one.host == second)
        shared.admin.compute.update_service_forced_down(service, second, "nova-compute", True)
        shared.admin.compute.evacuate_server(server.id)
        # In the newest version of the API whoever is evacuated is left switched off.
        assert shared.settled(server, "SHUTOFF").compute_host == first
        shared.demo.compute.start_server(server.id)
        shared.booted("survivor")
        assert shared.ssh("survivor", f"cat {MARK}") == "on disk\n"
    finally:
        for pid in dead:
            os.kill(pid, signal.SIGCONT)
    shared.admin.compute.update_service_forced_down(service, second, "nova-compute", False)
    status = eventually(
        lambda: (
            [one.status for one in shared.admin.compute.migrations(migration_type="evacuation")]
            == ["completed"]
        ),
        90,
        why="the host that came back is cleared",
    )
    assert status
    assert [len(found) for found in shared.guests()] == [1, 0]
    assert shared.ssh("survivor", f"cat {MARK}") == "on disk\n", "and nobody took its disk away"
