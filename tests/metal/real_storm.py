"""A storm over a cloud of two real hosts: twelve operations of a user, each of which meets two faults.

One part of the cloud is stopped before the operation is asked for and goes on some seconds later; another is killed
while the operation is under way. The user is patient: what is refused or not answered is asked for again.
"""

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any

import openstack.exceptions

from tests.metal.killing import OBEYS, Unreachable, children_of
from tests.metal.two_hosts import TwoHosts
from tests.servers import Postgres, Rabbitmq, Server
from tests.waiting import eventually

DATABASE, QUEUE = "PostgreSQL", "RabbitMQ"
PARTS = (
    *("control", "host", "host-2", "libvirt", "libvirt-2"),
    *("ovn-controller", "ovn-controller-2", "ovs-switch", "ovs-switch-2", "ovn-nb"),
    *(DATABASE, QUEUE),
)
STOPPED_S = (2.0, 5.0)
KILLED_AFTER_S = (0.0, 2.0)
GONE_S = 1.5
"""How long the database and the queue, which nobody watches over, stay dead."""
ENDED_LIMIT_S = 150.0
AGREED_LIMIT_S = 120.0

Refused = (*Unreachable, openstack.exceptions.SDKException)

TEMPLATE = """
heat_template_version: wallaby
resources:
  network: {type: OS::Neutron::Net}
  subnet:
    type: OS::Neutron::Subnet
    properties: {network: {get_resource: network}, cidr: 10.30.0.0/24}
  router:
    type: OS::Neutron::Router
    properties: {external_gateway_info: {network: public}}
  router_interface:
    type: OS::Neutron::RouterInterface
    properties: {router: {get_resource: router}, subnet: {get_resource: subnet}}
"""
MACHINE = """
  port%(n)d:
    type: OS::Neutron::Port
    depends_on: subnet
    properties: {network: {get_resource: network}}
  address%(n)d:
    type: OS::Neutron::FloatingIP
    depends_on: router_interface
    properties: {floating_network: public, port_id: {get_resource: port%(n)d}}
  machine%(n)d:
    type: OS::Nova::Server
    properties:
      {name: s%(n)d, image: obeys, flavor: m1.nano, networks: [{port: {get_resource: port%(n)d}}]}
"""


class NotPossible(Exception):
    """A server is not in the state from which the operation leads on."""


@dataclass
class World:
    """What there is of servers: for each host its guests, taps and folders; what OVN and placement were told."""

    guests: list[set[str]] = field(default_factory=lambda: [set(), set()])
    taps: list[set[str]] = field(default_factory=lambda: [set(), set()])
    folders: list[set[str]] = field(default_factory=lambda: [set(), set()])
    switch_ports: set[str] = field(default_factory=set)
    translations: set[tuple[str, str]] = field(default_factory=set)
    allocations: set[str] = field(default_factory=set)


class Storm:
    """Operations and faults on `hosts`, in the order of `seed`."""

    def __init__(
        self, hosts: TwoHosts, postgres: Postgres, database: str, rabbitmq: Rabbitmq, seed: int
    ) -> None:
        self.hosts, self.demo, self.admin = hosts, hosts.demo, hosts.admin
        self.postgres, self.database, self.rabbitmq = postgres, database, rabbitmq
        self._chance = random.Random(seed)
        self._servers_apart: dict[str, Server] = {DATABASE: postgres, QUEUE: rabbitmq}
        self._began_at = time.monotonic()
        self._faults = {"killed": 0, "stopped": 0}
        self._ends: list[str] = []
        self._asked = False  # whether the operation's request may have been heard
        if self.demo.image.find_image("obeys") is None:
            self.demo.image.create_image(
                name="obeys", data=OBEYS, disk_format="raw", container_format="bare", visibility="private"
            )
        self._things = hosts.cloud.logical_things()
        self._plain = self.world()
        assert self._plain == World(), self._plain

    # Operations: what is asked for, and how to see that it has ended

    def operations(self) -> list[tuple[str, Callable[[], Any], Callable[[], str]]]:
        one, two = partial(self._server_end, "one"), partial(self._server_end, "two")
        confirmed = partial(self._server_end, "two", passing=("BUILD", "VERIFY_RESIZE"))
        return [
            ("create one", partial(self._create, "one"), one),
            ("create two", partial(self._create, "two"), two),
            ("create the stack", partial(self._put_stack, 1), self._stack_end),
            ("give one an address", partial(self._give_address, "one"), one),
            ("move one while it runs", partial(self._act, "one", "ACTIVE", self._move_live), one),
            ("stop two", partial(self._act, "two", "ACTIVE", self._stop), two),
            ("move two", partial(self._act, "two", "SHUTOFF", self._move_cold), two),
            ("confirm that", partial(self._act, "two", "VERIFY_RESIZE", self._confirm), confirmed),
            ("start two", partial(self._act, "two", "SHUTOFF", self._start), two),
            ("change the stack", partial(self._put_stack, 2), self._stack_end),
            ("reset one", partial(self._act, "one", "ACTIVE", self._reset), one),
            ("move two while it runs", partial(self._act, "two", "ACTIVE", self._move_live), two),
        ]

    def rage(self) -> None:
        operations = self.operations()
        assert len(operations) == len(PARTS), "each part is stopped once and killed once"
        stopped = self._chance.sample(PARTS, len(PARTS))
        apart = self._chance.randrange(1, len(PARTS))
        killed = [*stopped[apart:], *stopped[:apart]]
        for (name, ask, end), stops, dies in zip(operations, stopped, killed, strict=True):
            self.operate(name, ask, end, stops, dies)

    def operate(
        self, name: str, ask: Callable[[], Any], end: Callable[[], str], stops: str, dies: str
    ) -> None:
        told = f"{name}: {stops} stops, {dies} dies"
        began_at = time.monotonic()
        self._asked = False
        why_not = ""
        with self._stopped(stops):
            try:
                eventually(partial(_patiently, ask), ENDED_LIMIT_S, why=f"{told}: asked")
            except NotPossible as error:  # an earlier operation had a bad end
                why_not = str(error)
            time.sleep(self._chance.uniform(*KILLED_AFTER_S))
            self._kill(dies)
        ended = why_not or str(eventually(partial(_patiently, end), ENDED_LIMIT_S, why=f"{told}: an end"))
        print(f"{time.monotonic() - began_at:6.1f} s  {told}: {ended}", flush=True)
        self._ends.append(ended)

    def put_right(self) -> None:
        """What ended badly, as its user would."""
        for server in self.admin.compute.servers(all_projects=True):
            if server.status == "VERIFY_RESIZE":
                self._confirm(server)
                eventually(partial(self._is_confirmed, server), ENDED_LIMIT_S, why="it is confirmed")
            if self._is("SHUTOFF", server):
                self._start(server)
            elif self._is("ERROR", server):
                assert self.admin.compute.get_server(server.id).fault["message"], "an error has a reason"
                self._reset(server)
            eventually(partial(self._is, "ACTIVE", server), ENDED_LIMIT_S, why=f"{server.name} runs")

    def _is_confirmed(self, server: Any) -> bool:
        return not self._is("VERIFY_RESIZE", server)

    def _is(self, status: str, server: Any) -> bool:
        now = self.admin.compute.get_server(server.id)
        return now.status == status and now.task_state is None

    def clear(self) -> None:
        """Delete everything; what a deletion meets is no excuse."""
        for stack in self.demo.orchestration.stacks():
            self.demo.orchestration.delete_stack(stack)
        eventually(lambda: not list(self.demo.orchestration.stacks()), ENDED_LIMIT_S, why="the stack is gone")
        for address in self.demo.network.ips():
            self.demo.network.delete_ip(address)
        for server in self.demo.compute.servers():
            self.demo.compute.delete_server(server)
        eventually(lambda: not list(self.demo.compute.servers()), ENDED_LIMIT_S, why="no server is left")

    def summary(self) -> str:
        faults = ", ".join(f"{count} {how}" for how, count in self._faults.items())
        took_s = time.monotonic() - self._began_at
        return f"storm of two hosts: {len(self._ends)} operations, {faults}, {took_s:.0f} s"

    # The world against the rows

    def check_agreement(self) -> None:
        try:
            eventually(lambda: not self._differences(), AGREED_LIMIT_S, why="rows and world agree")
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *self._differences()])) from None

    def check_nothing_left(self) -> None:
        eventually(lambda: self.world() == self._plain, AGREED_LIMIT_S, why="nothing is left")
        eventually(
            lambda: self.hosts.cloud.logical_things() == self._things, AGREED_LIMIT_S, why="OVN as before"
        )
        limits = self.demo.compute.get_limits().absolute
        assert (limits.instances_used, limits.total_ram_used) == (0, 0)

    def world(self) -> World:
        """As it is found, without asking the cloud."""
        cloud = self.hosts.cloud
        prefixes = (cloud.folder.prefix, f"{cloud.folder.prefix}-2")
        states = (cloud.folder.path, cloud.folder.path / "hosts" / "2")
        rows = cloud.northbound("NAT", "type,external_ip,logical_ip")
        return World(
            guests=self.hosts.guests(),
            taps=[cloud.taps(f"{prefix}-host") for prefix in prefixes],
            folders=[
                {path.name for path in (state / "instances" / "instances").glob("*-*")} for state in states
            ],
            switch_ports=cloud.guest_ports(),
            translations={(outer, inner) for kind, outer, inner in rows if kind == "dnat_and_snat"},
            allocations=self._sql("select distinct consumer_id from placement_allocations"),
        )

    def wanted(self) -> World:
        """What there should be, by the cloud's own word."""
        wanted = World()
        for server in self.admin.compute.servers(all_projects=True):
            at = self.hosts.hosts.index(server.compute_host)
            ports = {port.id for port in self.admin.network.ports(device_id=server.id)}
            wanted.guests[at].add(f"instance-{server.id}")
            wanted.taps[at] |= {f"tap{port_id[:11]}" for port_id in ports}
            wanted.folders[at].add(server.id)
            wanted.switch_ports |= ports
            wanted.allocations.add(server.id)
        wanted.translations = {
            (address.floating_ip_address, address.fixed_ip_address)
            for address in self.admin.network.ips()
            if address.port_id
        }
        return wanted

    def _differences(self) -> list[str]:
        world, wanted = self.world(), self.wanted()
        found = [
            f"{part.name}: {getattr(world, part.name)} and not {getattr(wanted, part.name)}"
            for part in fields(World)
            if getattr(world, part.name) != getattr(wanted, part.name)
        ]
        running = self._sql("select name from kernel_flows where state = 'running'")
        return [*found, *(f"{flow} has not ended" for flow in running)]

    def _sql(self, query: str) -> set[str]:
        return set(self.postgres.sql(query, self.database).split())

    # What a user does

    def _server(self, name: str) -> Any:
        return self.admin.compute.find_server(name, all_projects=True)

    def _create(self, name: str) -> bool:
        """Once only: the answer to an earlier request may have been lost."""
        if self._server(name) is None:
            self.demo.compute.create_server(
                name=name,
                image_id=self.demo.image.find_image("obeys").id,
                flavor_id=self.demo.compute.find_flavor("m1.nano").id,
                networks=[{"uuid": self.demo.network.find_network("private").id}],
            )
        return True

    def _server_end(self, name: str, passing: tuple[str, ...] = ("BUILD",)) -> str:
        """How it ended, with the reason if it did not end well; empty while it goes on. `passing`: statuses that do not
        tell by themselves whether anything goes on.
        """
        server = self._server(name)
        if server is None or server.task_state is not None or server.status in passing:
            return ""
        server = self.admin.compute.get_server(server.id)
        return server.status if server.status != "ERROR" else f"ERROR, {server.fault['message']}"

    def _act(self, name: str, status: str, action: Callable[[Any], Any]) -> bool:
        """Ask for what makes sense in `status` only. An earlier request may have been heard, its answer lost."""
        server = self._server(name)
        if server.status == status and server.task_state is None:
            self._asked = True
            action(server)
        elif not self._asked:
            raise NotPossible(f"not possible: {name} is {server.status}")
        return True

    def _move_live(self, server: Any) -> None:
        self.admin.compute.live_migrate_server(server.id, host=None, block_migration="auto")

    def _move_cold(self, server: Any) -> None:
        self.admin.compute.migrate_server(server.id)

    def _confirm(self, server: Any) -> None:
        self.admin.compute.confirm_server_resize(server.id)

    def _stop(self, server: Any) -> None:
        self.demo.compute.stop_server(server.id)

    def _start(self, server: Any) -> None:
        self.demo.compute.start_server(server.id)

    def _reset(self, server: Any) -> None:
        self.demo.compute.reboot_server(server.id, "HARD")

    def _give_address(self, name: str) -> bool:
        port = next(self.demo.network.ports(device_id=self._server(name).id))
        if not list(self.demo.network.ips(port_id=port.id)):
            external = self.demo.network.find_network("public")
            self.demo.network.create_ip(floating_network_id=external.id, port_id=port.id)
        return True

    def _put_stack(self, machines: int) -> bool:
        template = TEMPLATE + "".join(MACHINE % {"n": n} for n in range(1, machines + 1))
        found = self.demo.orchestration.find_stack("storm")
        if found is None:
            self.demo.orchestration.create_stack(name="storm", template=template)
        elif machines > 1 and "UPDATE" not in found.status:
            url = f"/stacks/{found.name}/{found.id}"
            answer = self.demo.orchestration.put(url, json={"template": template})
            openstack.exceptions.raise_from_response(answer)
        return True

    def _stack_end(self) -> str:
        stack = self.demo.orchestration.find_stack("storm")
        stack = self.demo.orchestration.get_stack(stack.id)
        if stack.status.endswith("_IN_PROGRESS"):
            return ""
        return (
            stack.status if stack.status.endswith("_COMPLETE") else f"{stack.status}, {stack.status_reason}"
        )

    # Faults

    @contextlib.contextmanager
    def _stopped(self, part: str) -> Iterator[None]:
        """The part stands still for some seconds from now on, whether the block is still at work or not."""
        pids = self._pids(part)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        self._faults["stopped"] += 1

        def go_on() -> None:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

        timer = threading.Timer(self._chance.uniform(*STOPPED_S), go_on)
        timer.start()
        try:
            yield
        finally:
            timer.join()

    def _kill(self, part: str) -> None:
        """End it at once. The supervisor starts its own again; what stands apart is started by us."""
        self._faults["killed"] += 1
        if (server := self._servers_apart.get(part)) is None:
            os.kill(self._pids(part)[0], signal.SIGKILL)
            return
        server.stop(signal.SIGKILL)
        time.sleep(GONE_S)
        server.launch()

    def _pids(self, part: str) -> list[int]:
        if (server := self._servers_apart.get(part)) is not None:
            return [server.pid, *children_of(server.pid)]
        return eventually(lambda: self.hosts.processes(part), 30, why=f"{part} runs")


def _patiently(ask: Callable[[], Any]) -> Any:
    """What it answers; nothing if the cloud refused, or was not there."""
    with contextlib.suppress(*Refused):
        return ask()
    return None
