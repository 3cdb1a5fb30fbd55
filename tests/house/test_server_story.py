"""A server's life over the fake hypervisor, from key pair to deletion, as the SDK sees it."""

import base64

import openstack.exceptions
import pytest
from websockets.sync.client import connect

from tests.house.conftest import WAIT_S, wait
from tests.metal.screen import websocket_url
from tests.waiting import eventually

SOON_S = 5


def test_a_server_lives(demo, new_server):
    compute = demo.compute
    pair = compute.create_keypair(name="life")
    assert "PRIVATE KEY" in pair.private_key
    server = wait(demo, new_server(demo, key_name="life", metadata={"role": "web"}))
    assert (server.power_state, server.key_name, server.metadata) == (1, "life", {"role": "web"})
    assert server.addresses["private"][0]["OS-EXT-IPS:type"] == "fixed"
    (port,) = demo.network.ports(device_id=server.id)
    assert (port.status, port.device_owner.split(":")[0]) == ("ACTIVE", "compute")

    for act, status, power in [
        (compute.stop_server, "SHUTOFF", 4),
        (compute.start_server, "ACTIVE", 1),
        (lambda one: compute.reboot_server(one, "SOFT"), "ACTIVE", 1),
        (lambda one: compute.reboot_server(one, "HARD"), "ACTIVE", 1),
        (compute.pause_server, "PAUSED", 3),
        (compute.unpause_server, "ACTIVE", 1),
        (compute.suspend_server, "SUSPENDED", 7),
        (compute.resume_server, "ACTIVE", 1),
    ]:
        act(server)
        assert wait(demo, server, status).power_state == power, status

    actions = [one.action for one in compute.server_actions(server)]
    assert actions[-1] == "create"
    assert {"stop", "start", "reboot", "pause", "unpause", "suspend", "resume"} <= set(actions)
    compute.delete_server(server)
    compute.wait_for_delete(server, interval=0.02, wait=WAIT_S)
    assert list(demo.network.ports(device_id=server.id)) == []
    compute.delete_keypair(pair)


def test_an_action_in_the_wrong_state_is_a_conflict_that_says_so(demo, new_server):
    server = wait(demo, new_server(demo))
    with pytest.raises(openstack.exceptions.ConflictException, match="while it is in vm_state active"):
        demo.compute.start_server(server)


def test_the_console_prints_and_its_screen_greets(demo, new_server):
    server = wait(demo, new_server(demo, "seen"))
    assert demo.compute.get_server_console_output(server)["output"].endswith("seen login: ")
    last = demo.compute.get_server_console_output(server, length=1)["output"]
    assert last.strip() == "seen login:"

    console = demo.compute.create_server_remote_console(server, protocol="vnc", type="novnc")
    with connect(websocket_url(console.url), subprotocols=["binary"]) as socket:
        assert socket.recv(timeout=5) == b"RFB 003.008\n"
    serial = demo.compute.create_server_remote_console(server, protocol="serial", type="serial")
    with connect(serial.url, subprotocols=["binary"]) as socket:
        assert b"Linux version" in socket.recv(timeout=5)


def test_user_data_reaches_the_guest_by_its_config_drive(shared_aerostat_cloud, demo, new_server):
    script = base64.b64encode(b"#!/bin/sh\necho hello\n").decode()
    server = wait(demo, new_server(demo, user_data=script, has_config_drive=True))
    spec = shared_aerostat_cloud.house.state["compute"].fake_world.hosts["fake-1"].spec(server.id)
    assert spec.config_drive["openstack/latest/user_data"] == base64.b64decode(script)


def test_a_server_without_network_has_no_address(demo, new_server):
    server = wait(demo, new_server(demo, network=None, networks="none"))
    assert server.addresses == {}


def test_a_floating_address_leads_to_the_server(demo, new_server):
    server = wait(demo, new_server(demo))
    (port,) = demo.network.ports(device_id=server.id)
    address = demo.network.create_ip(
        floating_network_id=demo.network.find_network("public").id, port_id=port.id
    )
    mine = [{"addr": address.floating_ip_address, "type": "floating"}]
    eventually(lambda: shown_addresses(demo, server)[1:] == mine, SOON_S, every_s=0.01)
    demo.network.update_ip(address, port_id=None)
    eventually(lambda: shown_addresses(demo, server)[1:] == [], SOON_S, every_s=0.01)
    demo.network.delete_ip(address)


def shown_addresses(demo, server):
    return [
        {"addr": one["addr"], "type": one["OS-EXT-IPS:type"]}
        for one in demo.compute.get_server(server).addresses["private"]
    ]


def test_security_groups_of_a_server_are_those_of_its_port(demo, new_server):
    group = demo.network.create_security_group(name="web")
    demo.network.create_security_group_rule(
        security_group_id=group.id, direction="ingress", protocol="tcp", port_range_min=80, port_range_max=80
    )
    server = wait(demo, new_server(demo, security_groups=[{"name": "web"}]))
    (port,) = demo.network.ports(device_id=server.id)
    assert port.security_group_ids == [group.id]
    demo.compute.add_security_group_to_server(server, demo.network.find_security_group("default"))
    assert len(next(demo.network.ports(device_id=server.id)).security_group_ids) == 2
    with pytest.raises(openstack.exceptions.ConflictException, match="in use"):
        demo.network.delete_security_group(group)
    demo.compute.delete_server(server)
    demo.compute.wait_for_delete(server, interval=0.02, wait=WAIT_S)
    demo.network.delete_security_group(group)


def test_two_users_see_nothing_of_each_other(shared_aerostat_cloud, admin, demo, new_server):
    server = wait(demo, new_server(demo, "hidden"))
    network = demo.network.create_network(name="hidden")
    project = admin.identity.create_project(name="others", domain_id="default")
    user = admin.identity.create_user(name="eve", password="curious", domain_id="default")
    admin.identity.assign_project_role_to_user(project, user, admin.identity.find_role("member"))
    auth = {**shared_aerostat_cloud.auth_of("demo"), "username": "eve", "password": "curious"}
    import openstack

    with openstack.connect(
        auth={**auth, "project_name": "others"},
        region_name="RegionOne",
        load_yaml_config=False,
        load_envvars=False,
    ) as eve:
        assert list(eve.compute.servers()) == []
        assert [one.name for one in eve.network.networks()] == ["public"]
        assert list(eve.network.ports()) == []
        assert list(eve.compute.keypairs()) == []
        for look in (
            lambda: eve.compute.get_server(server.id),
            lambda: eve.compute.stop_server(server.id),
            lambda: eve.network.get_network(network.id),
            lambda: eve.network.delete_network(network.id, ignore_missing=False),
        ):
            with pytest.raises(openstack.exceptions.NotFoundException):
                look()
        explained = eve.compute.get(f"{shared_aerostat_cloud.url}/aerostat/v1/explain/{server.id}")
        assert explained.status_code == 404
    demo.network.delete_network(network)
    admin.identity.delete_user(user)
    admin.identity.delete_project(project)
