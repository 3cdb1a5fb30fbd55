"""What users see when things go wrong, and that nothing is left of what could not be made."""

from typing import Any

import openstack.exceptions
import pytest

from aerostat.kernel.errors import DriverError
from aerostat.testing import Cloud
from tests.house.conftest import WAIT_S, wait
from tests.house.world import assert_nothing_is_left, explain
from tests.waiting import eventually


@pytest.fixture
def demo(aerostat_cloud: Cloud) -> Any:
    """The demo user on a cloud of the test's own, for faults are everybody's."""
    return aerostat_cloud.connect("demo")


def ended(demo: Any, server: Any) -> Any:
    """The server when nothing is done with it any more."""
    return eventually(
        lambda: (now := demo.compute.get_server(server.id)).status in ("ACTIVE", "ERROR") and now,
        WAIT_S,
        every_s=0.02,
    )


def test_a_host_that_refuses_is_named_in_the_fault(aerostat_cloud, demo, new_server):
    error = DriverError("The disk is broken.", detail="sector 7")
    aerostat_cloud.faults.fail("compute", "ensure_domain", error=error)
    server = ended(demo, new_server(demo))
    assert server.status == "ERROR"
    assert "The disk is broken." in server.fault["message"]
    assert "sector 7" not in server.fault["message"], "details are for the log"
    told = explain(aerostat_cloud, server.id)
    assert any("The disk is broken." in (one["reason"] or "") for one in told), told
    assert list(demo.network.ports(device_id=server.id)) == []
    usage = demo.compute.get_server(server.id)
    assert usage.hypervisor_hostname is None
    demo.compute.delete_server(server)
    demo.compute.wait_for_delete(server, interval=0.02, wait=WAIT_S)
    assert_nothing_is_left(aerostat_cloud)


def test_a_host_that_refuses_once_is_asked_again(aerostat_cloud, demo, new_server):
    aerostat_cloud.faults.fail("compute", "ensure_domain")
    assert ended(demo, new_server(demo)).status == "ACTIVE"


def test_another_host_is_tried_when_one_refuses_for_good(new_server):
    with Cloud(environ={"AEROSTAT_COMPUTE_FAKE_HOSTS": "2"}) as cloud:
        demo = cloud.connect("demo")
        hosts = cloud.house.state["compute"].fake_world.hosts
        assert len(hosts) == 2
        cloud.faults.fail("compute", "ensure_domain", error=DriverError("No."))
        server = ended(demo, new_server(demo, remove_after=False))
        assert server.status == "ACTIVE"
        refusals = [one for one in explain(cloud, server.id) if one["verdict"] == "refused"]
        assert any(one["reason"].endswith(": No.") for one in refusals), refusals
        demo.compute.delete_server(server)
        demo.compute.wait_for_delete(server, interval=0.02, wait=WAIT_S)
        assert_nothing_is_left(cloud)


def test_no_host_fits_and_the_reason_says_by_how_much(aerostat_cloud, demo, new_server):
    large = aerostat_cloud.connection.compute.create_flavor(name="huge", ram=1 << 20, vcpus=2, disk=1)
    admin = aerostat_cloud.connection
    admin.compute.update_quota_set(demo.current_project_id, ram=-1)
    server = demo.compute.create_server(
        name="huge", image_id=demo.image.find_image("aerostat-test").id, flavor_id=large.id, networks="none"
    )
    server = ended(demo, server)
    assert server.status == "ERROR"
    assert server.fault["message"].startswith("No valid host was found.")
    assert "1048576 MiB asked" in server.fault["message"]
    (refused,) = [
        one
        for one in explain(aerostat_cloud, server.id)
        if (one["step"], one["verdict"]) == ("claim_host", "refused") and one["data"]
    ]
    (verdict,) = refused["data"]["refused"]
    assert (verdict["host"], verdict["asked"], verdict["unit"]) == ("fake-1", 1 << 20, "MiB")
    assert verdict["free"] < 1 << 20
    demo.compute.delete_server(server)
    demo.compute.wait_for_delete(server, interval=0.02, wait=WAIT_S)
    assert_nothing_is_left(aerostat_cloud)


def test_deleted_while_building_it_is_gone(aerostat_cloud, demo, new_server):
    aerostat_cloud.faults.delay("compute", "ensure_domain", 0.5)
    server = new_server(demo)
    eventually(
        lambda: (
            aerostat_cloud.house.state["compute"].fake_world.hosts["fake-1"].faults.calls["ensure_domain"]
        ),
        WAIT_S,
        every_s=0.01,
    )
    demo.compute.delete_server(server)
    demo.compute.wait_for_delete(server, interval=0.02, wait=WAIT_S)
    assert_nothing_is_left(aerostat_cloud)


def test_a_network_that_fails_is_brought_in_line_later(aerostat_cloud, demo):
    aerostat_cloud.faults.fail("network", "ensure_things", times=2)
    network = demo.network.create_network(name="late")
    demo.network.create_subnet(network_id=network.id, ip_version=4, cidr="10.77.0.0/24")
    world = aerostat_cloud.house.state["network"].driver.world
    eventually(lambda: any(key.id == network.id for key in world.things), WAIT_S, every_s=0.02)


def test_over_quota_says_of_what_and_how_much(aerostat_cloud, demo, new_server):
    aerostat_cloud.faults.set_quota("compute", demo.current_project_id, instances=1)
    wait(demo, new_server(demo))
    with pytest.raises(openstack.exceptions.ForbiddenException) as refused:
        new_server(demo)
    assert "Quota exceeded for instances: Requested 1, but already used 1 of 1 instances" in str(
        refused.value
    )
    aerostat_cloud.faults.set_quota("network", demo.current_project_id, network=1)
    with pytest.raises(openstack.exceptions.ConflictException, match="Quota exceeded for resources"):
        demo.network.create_network(name="one too many")


def test_a_slow_host_holds_up_nobody_else(aerostat_cloud, demo, new_server):
    aerostat_cloud.faults.delay("compute", "ensure_domain", 1.0)
    slow = new_server(demo, "slow")
    assert [one.status for one in demo.compute.servers()] == ["BUILD"]
    network = demo.network.create_network(name="meanwhile")
    demo.network.delete_network(network)
    assert demo.compute.get_server(slow.id).status == "BUILD"
    assert wait(demo, slow).status == "ACTIVE"


def test_a_hard_reboot_takes_over_from_a_soft_one_that_waits(aerostat_cloud, demo, new_server):
    server = wait(demo, new_server(demo))
    host = aerostat_cloud.house.state["compute"].fake_world.hosts["fake-1"]
    aerostat_cloud.faults.delay("compute", "reboot", 0.3)
    aerostat_cloud.faults.delay("compute", "ensure_domain", 0.3)
    demo.compute.reboot_server(server, "SOFT")
    eventually(lambda: host.faults.calls["reboot"], WAIT_S, every_s=0.01)
    demo.compute.reboot_server(server, "HARD")
    seen = set()

    def rests() -> bool:
        now = demo.compute.get_server(server.id)
        seen.add(now.status)
        return now.task_state is None

    eventually(rests, WAIT_S, every_s=0.01)
    assert seen == {"HARD_REBOOT", "ACTIVE"}
    assert host.faults.calls["ensure_domain"] == 2, "it rests when the hard one is done, not before"
    assert aerostat_cloud.call(host.inspect_domain(server.id)).state == "running"
