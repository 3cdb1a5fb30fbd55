"""The room's beginning and end in a process: the desk for hosts, and with fakes the hosts themselves."""

from typing import TYPE_CHECKING

from . import model
from .drivers.fake import FakeWorld
from .guest import guest_of
from .host.agent import HostAgent
from .host.orders import CONTROL_TOPIC, GUEST_EVENT
from .hosts import HostDesk
from .room import Room, room_of
from .states import DESIRED_POWER, desired_power

if TYPE_CHECKING:
    from aerostat.kernel.house import House

PORTS_CHANGED = "network.ports_changed"
WITHOUT_GUEST = ("building", "deleting", "deleted", "error")


class NoTaps:
    """A network's host half that plugs nothing: taps are names. For fakes without a network room's own."""

    async def plug_port(self, port_id: str, mac: str, mtu: int) -> str:
        return f"tap{port_id[:11]}"

    async def unplug_port(self, port_id: str) -> None:
        """Nothing was plugged."""

    async def list_plugged_ports(self) -> dict[str, str]:
        return {}


async def start(house: "House") -> None:
    room = house.state["compute"] = Room(house)
    if house.runs_engine:
        desk = HostDesk(room)
        await house.bus.serve(CONTROL_TOPIC, desk.answer)
        await house.bus.subscribe(GUEST_EVENT, desk.heed_guest)
        await house.bus.subscribe(PORTS_CHANGED, desk.heed_ports)
    has_hosts = not house.roles or "host" in house.roles
    if has_hosts and house.config.driver("compute", "libvirt") == "fake":
        await _start_fake_hosts(house, room)


async def stop(house: "House") -> None:
    room: Room = house.state["compute"]
    for agent in room.agents:
        await agent.stop()


async def _start_fake_hosts(house: "House", room: Room) -> None:
    """Hosts of the fake world, in this process. Their reports are taken in before the first request."""
    world = room.fake_world = FakeWorld()
    world.shared_storage = bool(room.config.instances)
    half = house.state.get("network.host_half")
    desk = HostDesk(room)
    for number in range(1, (room.config.fake_hosts or house.config.kernel.hosts) + 1):
        name = f"fake-{number}"
        network = half(name) if half is not None else NoTaps()
        agent = HostAgent(name, house.bus, world.host(name), network, report_s=room.config.report_s)
        room.agents.append(agent)
        await agent.start()
        await desk.take_report(await agent.describe())
    await _bring_back_guests(house, world)


async def _bring_back_guests(house: "House", world: FakeWorld) -> None:
    """A fake world begins empty. The guests that rows speak of are made again, each as it was."""
    request_id = "fake-world"
    for server in await house.store.all(model.SERVERS):
        if server.host not in world.hosts or server.state in WITHOUT_GUEST:
            continue
        host = room_of(house).host(server.host, request_id)
        rests = desired_power(server.state, server.flavor_before)
        power = rests or DESIRED_POWER.get(server.state_before, "running")
        spec = await guest_of(house, server, request_id)
        for disk in (spec.root, spec.rescue):
            if disk is not None:
                world.hosts[server.host].remember_image(disk.image_id)
        await host.ensure_guest(spec, "shutoff" if power == "shutoff" else "running", new=True)
        await host.set_power(server.id, power)
