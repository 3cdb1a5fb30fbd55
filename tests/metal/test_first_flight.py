"""First flight: one command starts a cloud, a real machine boots in it and is reached; then the same by a template.

The tests of this file are one story, told in order on one cloud.
"""

import pwd
import subprocess
from pathlib import Path
from typing import Any

import pytest
import websockets.exceptions

from tests.metal.real_cloud import Left, RealCloud, real_cloud, why_no_real_cloud
from tests.metal.screen import look
from tests.waiting import eventually

pytestmark = [
    pytest.mark.metal,
    pytest.mark.guest,
    pytest.mark.skipif(bool(why_no_real_cloud()), reason=why_no_real_cloud() or "-"),
]

BOOT_LIMIT_S = 180.0
PATH_LIMIT_S = 30.0  # until a change of rules or addresses has reached the switches
TEMPLATE = Path(__file__).parents[2] / "examples" / "first-flight.yaml"
USER_DATA = "#!/bin/sh\necho user data ran on $(hostname)\n"


@pytest.fixture(scope="module")
def cloud():
    with real_cloud("as-fly-") as cloud:
        yield cloud


@pytest.fixture(scope="module")
def demo(cloud):
    with cloud.connect("demo") as connection:
        yield connection


@pytest.fixture(scope="module")
def key(cloud, demo):
    """A key pair that the cloud made, its private half in a file."""
    pair = demo.compute.create_keypair(name="flight")
    path = cloud.folder.path.parent / "flight.pem"
    path.touch(mode=0o600)
    path.write_text(pair.private_key)
    return path


@pytest.fixture(scope="module")
def ssh_rule(demo):
    """A security group that lets ssh and ping in; gives the group and the ssh rule."""
    group = demo.network.create_security_group(name="reach")
    demo.network.create_security_group_rule(
        security_group_id=group.id, direction="ingress", protocol="icmp", ether_type="IPv4"
    )
    return group, let_ssh_in(demo, group)


@pytest.fixture(scope="module")
def server(demo, key, ssh_rule):
    """The machine of the story, ACTIVE, with a floating IP; booted once."""
    group, _ = ssh_rule
    server = demo.create_server(
        "flyer",
        image=demo.image.find_image("aerostat-test"),
        flavor=demo.compute.find_flavor("m1.nano"),
        network=["private"],
        key_name="flight",
        security_groups=[group.name],
        userdata=USER_DATA,
        auto_ip=False,
        wait=True,
        timeout=60,
    )
    port = next(demo.network.ports(device_id=server.id))
    external = demo.network.find_network("public")
    demo.network.create_ip(floating_network_id=external.id, port_id=port.id)
    return server


def let_ssh_in(demo: Any, group: Any) -> Any:
    return demo.network.create_security_group_rule(
        security_group_id=group.id,
        direction="ingress",
        protocol="tcp",
        port_range_min=22,
        port_range_max=22,
        ether_type="IPv4",
    )


def ssh(cloud: RealCloud, key: Path, *command: str, server: str = "flyer") -> str:
    """What the command printed in the guest, empty if the guest was not reached in time."""
    try:
        return cloud.run("ssh", server, "-i", str(key), "--", *command, limit_s=30, check=False)
    except subprocess.TimeoutExpired:
        return ""


def console(demo: Any, server: Any) -> str:
    return str(demo.compute.get_server_console_output(server.id)["output"])


def test_the_first_things_are_there(cloud, demo):
    status = cloud.status()
    assert status["running"]
    assert {process["state"] for process in status["processes"]} == {"running"}
    assert demo.authorize()
    assert {"identity", "image", "network", "compute", "placement"} <= {
        one["type"] for one in demo.service_catalog
    }
    assert {flavor.name for flavor in demo.compute.flavors()} >= {"m1.nano", "m1.large"}
    assert {network.name for network in demo.network.networks()} == {"public", "private"}
    image = demo.image.find_image("aerostat-test")
    assert (image.status, image.size > 1 << 20) == ("active", True)
    assert cloud.left() == Left()


def test_who_answers_users_is_not_root(cloud):
    lines = Path(f"/proc/{cloud.process_ids()['control']}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    user = cloud.status()["facts"]["control_user"]
    assert user != "root"
    assert status["Uid"].split() == [str(pwd.getpwnam(user).pw_uid)] * 4
    assert status["NoNewPrivs"] == "1"
    assert {int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert f"the control process runs as {user}, without privileges" in cloud.run("doctor")


def test_a_machine_boots_and_runs_its_user_data(cloud, demo, server):
    text = eventually(
        lambda: "login:" in (log := console(demo, server)) and log, BOOT_LIMIT_S, why="the login prompt"
    )
    assert "== metadata: metadata service, OpenStack layout" in text
    assert "user data ran on flyer" in text
    left = cloud.left()
    assert left.allocations == {server.id}
    assert len(left.domains) == len(left.taps) == len(left.switch_ports) == len(left.folders) == 1


def test_it_is_reached_at_its_floating_address_with_its_key(cloud, demo, server, key):
    eventually(lambda: ssh(cloud, key, "hostname") == "flyer\n", PATH_LIMIT_S, why="ssh")
    address = demo.compute.get_server(server.id).addresses["private"][0]["addr"]
    assert f" {address}/" in ssh(cloud, key, "ip", "-4", "addr", "show", "eth0")


def test_it_reads_its_metadata(cloud, demo, server, key):
    said = ssh(cloud, key, "wget -q -O - http://169.254.169.254/openstack/latest/meta_data.json")
    assert f'"{server.id}"' in said
    assert '"flight"' in said
    host_name = ssh(cloud, key, "wget -q -O - http://169.254.169.254/latest/meta-data/local-hostname")
    assert host_name.startswith("flyer")


def test_its_screen_is_seen(demo, server):
    console = demo.compute.create_server_remote_console(server, protocol="vnc", type="novnc")
    screen = look(console.url)
    assert screen.width >= 640
    assert screen.height >= 400
    assert screen.lit > 500, "some text, on black"
    with pytest.raises(websockets.exceptions.InvalidStatus, match="403"):
        look(console.url)  # an address opens a console once


def test_a_security_group_blocks_and_lets_in(cloud, demo, server, key, ssh_rule):
    group, rule = ssh_rule
    demo.network.delete_security_group_rule(rule)
    eventually(lambda: ssh(cloud, key, "hostname") == "", PATH_LIMIT_S, why="blocked")
    let_ssh_in(demo, group)
    eventually(lambda: ssh(cloud, key, "hostname") == "flyer\n", PATH_LIMIT_S, why="let in again")


def test_after_down_and_up_it_runs_again(cloud, demo, server, key):
    cloud.down()
    assert (cloud.pids(), cloud.namespaces()) == ({}, set())
    cloud.up()
    assert demo.compute.get_server(server.id).status == "ACTIVE"
    eventually(lambda: len(cloud.domains()) == 1, 60, why="the guest is started again")
    eventually(lambda: ssh(cloud, key, "hostname") == "flyer\n", BOOT_LIMIT_S, every_s=3, why="ssh again")
    assert "user data ran" in ssh(cloud, key, "cat", "/var/log/user-data.log"), "its disk is the same"


def test_deleted_it_leaves_nothing(cloud, demo, server):
    demo.delete_server(server.id, wait=True, timeout=60)
    assert eventually(lambda: cloud.left() == Left(), 30, why=str(cloud.left()))
    (address,) = demo.network.ips()
    assert address.port_id is None
    demo.network.delete_ip(address)
    usage = demo.compute.get_limits().absolute
    assert (usage.instances_used, usage.total_cores_used, usage.total_ram_used) == (0, 0, 0)


def test_a_template_flies(cloud, demo, key):
    """The machine is made by a stack, with its own network, and calls back when it has booted."""
    before = cloud.logical_things()
    stack = demo.orchestration.create_stack(
        name="first",
        template=TEMPLATE.read_text(),
        parameters={"key_name": "flight", "message": "made it"},
    )
    stack = eventually(
        lambda: (now := demo.orchestration.get_stack(stack.id)).status != "CREATE_IN_PROGRESS" and now,
        BOOT_LIMIT_S + 60,
        why="the stack's end",
    )
    assert stack.status == "CREATE_COMPLETE", stack.status_reason
    said = {one["output_key"]: one["output_value"] for one in stack.outputs}
    assert "made it" in said["message"]
    (machine,) = demo.compute.servers()
    addresses = [one["addr"] for many in machine.addresses.values() for one in many]
    assert addresses == [said["private_address"], said["floating_address"]]
    reached = eventually(
        lambda: ssh(cloud, key, "ip", "-4", "addr", server=machine.name), PATH_LIMIT_S, why="ssh"
    )
    assert f" {said['private_address']}/" in reached
    assert cloud.run("explain", "first")

    demo.orchestration.delete_stack(stack)
    eventually(lambda: demo.orchestration.find_stack("first") is None, 60, why="the stack is gone")
    eventually(lambda: cloud.left() == Left(), 30, why=str(cloud.left()))
    assert list(demo.network.ips()) == []
    eventually(lambda: cloud.logical_things() == before, 30, why="OVN is as it was")


def test_purged_the_cloud_leaves_nothing(cloud):
    cloud.purge()
    assert not cloud.folder.path.exists()
    assert (cloud.pids(), cloud.namespaces()) == ({}, set())
