"""The test guest on the real hypervisor, without a network: its metadata comes on a CD."""

import asyncio
import json
import re

import pytest

from aerostat.kernel.errors import DriverError
from aerostat.kernel.ids import new_id
from aerostat.services.compute.host.protocol import BaseImageSpec, Interface, RootDisk
from tests.contracts.hypervisor_worlds import LibvirtWorld, eventually, why_no_libvirt

from .guest_image import guest_image, why_no_guest

MISSING = why_no_libvirt() or why_no_guest()
pytestmark = [pytest.mark.metal, pytest.mark.guest, pytest.mark.skipif(bool(MISSING), reason=MISSING or "-")]

BOOT_LIMIT_S = 180.0
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEvx6cVmGp1WkQnTbZcVnUcAWbAHWbA8d0yLkTtS6kLx someone@somewhere"
METADATA = {
    "uuid": new_id(),
    "hostname": "first.example.org",
    "admin_pass": "s3cret",
    "public_keys": {"mine": KEY + "\n"},
}
USER_DATA = b"""\
#!/bin/sh
echo "I am $(id -un) on $(hostname)"
curl -s http://127.0.0.1:9/ ; echo "curl says $?"
cat /root/.ssh/authorized_keys
"""


@pytest.fixture
async def world():
    world = LibvirtWorld()
    await world.open()
    yield world
    await world.close()


async def put_image(world) -> None:
    path = await guest_image()

    async def chunks():
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                yield chunk

    await world.hypervisor.ensure_base_image(BaseImageSpec(id="guest", format="qcow2"), chunks())


async def until(world, spec, text: str, start: int = 0) -> str:
    """The console log from `start` on, as soon as `text` is in it."""

    async def said():
        log = (await world.hypervisor.console_log(spec.id, 1 << 20))[start:]
        return log if text in log else ""

    return await eventually(said, BOOT_LIMIT_S)


async def log_in(path: str, user: str, password: str, command: str) -> str:
    """Log in on the serial line and give what `command` wrote."""
    reader, writer = await asyncio.open_unix_connection(path)
    async with asyncio.timeout(30):
        writer.write(b"\r")
        for prompt, answer in ((b"login: ", user), (b"assword: ", password), (b"$ ", f"{command}; exit")):
            await reader.readuntil(prompt)
            writer.write(answer.encode() + b"\r")
        await reader.readuntil(b"\n")
        said = await reader.readuntil(b"login: ")
    writer.close()
    return said.decode()


async def test_a_guest_from_its_first_start_to_its_power_button(world):
    await put_image(world)
    cards = [
        Interface(port_id=new_id(), mac=f"02:00:00:00:01:0{n}", tap=world.tap(), mtu=1442) for n in (1, 2)
    ]
    spec = world.spec(
        memory_mib=128,
        root=RootDisk("guest", 1),
        config_drive={
            "openstack/latest/meta_data.json": json.dumps(METADATA).encode(),
            "openstack/latest/user_data": USER_DATA,
        },
    )
    hypervisor = world.hypervisor
    await hypervisor.ensure_domain(spec)
    log = await until(world, spec, "login: ")
    assert "== metadata: config drive" in log
    assert "== host name: first, keys: 1" in log
    assert "I am root on first" in log
    assert "curl says 7" in log
    assert KEY in log
    assert "BEGIN SSH HOST KEY KEYS" in log
    assert float(re.search(r"ready, uptime ([\d.]+)", log)[1]) < BOOT_LIMIT_S

    sockets = await hypervisor.console_sockets(spec.id)
    assert "cloud" in await log_in(sockets.serial, "cloud", "s3cret", "id -un")
    assert len(await hypervisor.screenshot(spec.id)) > 500

    # a card comes and goes while it runs
    await hypervisor.ensure_interface(spec.id, cards[0])
    assert (await hypervisor.inspect_domain(spec.id)).ports == (cards[0].port_id,)
    assert "eth0" in await log_in(sockets.serial, "cloud", "s3cret", "sleep 3; ls /sys/class/net")
    await hypervisor.remove_interface(spec.id, cards[0].port_id)
    await hypervisor.remove_interface(spec.id, cards[0].port_id)
    assert (await hypervisor.inspect_domain(spec.id)).ports == ()
    assert "eth" not in await log_in(sockets.serial, "cloud", "s3cret", "ls /sys/class/net")

    # asked to restart, it does; user data does not run a second time
    start = len(await hypervisor.console_log(spec.id, 1 << 20))
    assert (await hypervisor.reboot(spec.id, limit_s=60)).state == "running"
    log = await until(world, spec, "login: ", start)
    assert "== test guest: stopping" in log
    assert "I am root" not in log

    # a frozen guest cannot let go of a card; what was asked for holds from its next start on
    await hypervisor.ensure_interface(spec.id, cards[1])
    await hypervisor.ensure_power(spec.id, "paused")
    with pytest.raises(DriverError, match="did not let go") as refused:
        await hypervisor.remove_interface(spec.id, cards[1].port_id, limit_s=1)
    assert refused.value.retry
    await hypervisor.ensure_power(spec.id, "running")

    off = await hypervisor.ensure_power(spec.id, "shutoff", limit_s=60)
    assert (off.state, off.reason, off.ports) == ("shutoff", "the guest shut down", ())
