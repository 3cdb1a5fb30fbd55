"""Users: they make, change and delete things at random, in parallel and against each other, over the HTTP APIs.

Each is a task outside of the cloud. What they do follows from the seed and from what they were answered. A request
whose connection breaks is not repeated: the user does not know what became of it, and goes on.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from .cloud import Asked, ConnectionLost, Reached, Reply
from .founding import PASSWORD, Founded, Tenant, login
from .history import History
from .memory import Memory, Thing

VERSION = {"x-openstack-nova-api-version": "2.72"}
NET = "/networking/v2.0"
SERVERS = "/compute/v2.1/servers"
SMALL, LARGE = "42", "84"

COFFEE_S = 20.0
MOST_FRUITLESS = 40  # ideas that came to nothing, before a user gives up

Act = Callable[["User"], Awaitable[None]]


class NothingThere(Exception):
    """The tenant has nothing of the kind: the user thinks of something else."""


class User:
    """One user of a tenant; several may share it, and what they know."""

    def __init__(
        self,
        name: str,
        cloud: Reached,
        founded: Founded,
        tenant: Tenant,
        memory: Memory,
        rng: random.Random,
    ) -> None:
        self.name = name
        self.cloud = cloud
        self.founded = founded
        self.tenant = tenant
        self.memory = memory
        self.rng = rng
        self.history: History = cloud.history
        self._password = PASSWORD
        self._token: str | None = None
        self._made = 0

    async def live(self, acts: int, longest_pause_s: float) -> None:
        """Do this many things, then stop."""
        fruitless = 0
        while acts > 0 and fruitless < MOST_FRUITLESS:
            await asyncio.sleep(self.rng.random() * longest_pause_s)
            if self.rng.random() < 0.12:
                await asyncio.sleep(self.rng.random() * COFFEE_S)
            try:
                await self.act()
                acts -= 1
            except NothingThere:
                fruitless += 1

    async def act(self) -> None:
        """Do one thing. Raises `NothingThere`."""
        await self.rng.choices(ACTS, WEIGHTS)[0](self)

    async def close_up(self) -> None:
        """What must be put right before all comes to rest."""

    def new_name(self, kind: str) -> str:
        self._made += 1
        return f"{self.name}-{kind}{self._made}"

    def pick(self, kind: str) -> Thing:
        """One of the tenant's things of a kind, one of the last. Raises `NothingThere`."""
        there = self.memory.of(self.tenant.name, kind)
        if not there:
            raise NothingThere
        return self.rng.choice(there[-4:])

    def find(self, kind: str, chance: float) -> Thing | None:
        """The same, if there is one and the user is in the mood."""
        return (
            self.pick(kind) if self.rng.random() < chance and self.memory.of(self.tenant.name, kind) else None
        )

    async def ask(
        self, method: str, path: str, body: Any = None, *, what: str, but: str = ""
    ) -> Reply | None:
        """A request as this user; None when nobody knows what became of it. Every answer is looked through."""
        try:
            if self._token is None:
                self._token = await login(self.cloud, self.tenant.name, self._password, self.tenant.name)
            reply = await self.cloud.request(
                Asked(method=method, path=path, body=body, token=self._token, headers=VERSION)
            )
        except ConnectionLost as error:
            self.history.note(self.name, f"{what} → {error}")
            return None
        except RuntimeError as error:
            self.history.note(self.name, f"login failed: {error}")
            return None
        self.history.note(self.name, f"{what} → {reply.status}{_reason(reply)}")
        self.look_through(reply, what, but)
        if reply.status == 401:
            self._token = None  # it has ended: the clock may have been set
        if reply.status >= 500 and reply.status != 503:
            self.history.violated(f"{what}: {reply.status} {reply.text[:300]}")
        return reply

    def look_through(self, reply: Reply, what: str, but: str) -> None:
        """No answer to a tenant holds anything of another's."""
        self.memory.look_for_strangers(self.tenant.name, reply.text, what, but)

    async def make(
        self, kind: str, path: str, singular: str, body: dict[str, Any], **beside: Any
    ) -> Thing | None:
        """Ask for a new thing; what was answered is remembered. `beside`: what stands beside it in the request."""
        name = body.get("name") or self.new_name(kind)
        reply = await self.ask("POST", path, {singular: body, **beside}, what=f"create {kind} {name}")
        if reply is None or reply.status >= 300:
            return None
        return self.memory.made(kind, reply.data[singular]["id"], name, self.tenant.name)

    async def end(self, thing: Thing, path: str) -> None:
        """Ask for the end of a thing."""
        thing.doomed = True
        reply = await self.ask("DELETE", f"{path}/{thing.id}", what=f"delete {thing.kind} {thing.name}")
        if reply is not None and (reply.status < 300 or reply.status == 404):
            thing.gone = True


def _reason(reply: Reply) -> str:
    if reply.status < 400 or not isinstance(reply.data, dict):
        return ""
    inner = next((one for one in reply.data.values() if isinstance(one, dict)), reply.data)
    return f" {str(inner.get('message') or inner.get('type') or '')[:110]}"


# Networks


async def make_network(user: User) -> None:
    network = await user.make("network", f"{NET}/networks", "network", {"name": user.new_name("net")})
    if network is None:
        return
    cidr = f"10.{user.rng.randrange(100, 200)}.{user.rng.randrange(200)}.0/28"
    subnet = {"name": f"{network.name}-sub", "network_id": network.id, "ip_version": 4, "cidr": cidr}
    made = await user.make("subnet", f"{NET}/subnets", "subnet", subnet)
    if made is not None:
        made.made_of = network.id


async def end_network(user: User) -> None:
    network = user.pick("network")
    await user.end(network, f"{NET}/networks")


async def link_network(user: User) -> None:
    """Bring a network to the tenant's router, or take it away from there."""
    subnet = user.pick("subnet")
    verb = user.rng.choice(("add", "add", "remove"))
    path = f"{NET}/routers/{user.tenant.router_id}/{verb}_router_interface"
    await user.ask("PUT", path, {"subnet_id": subnet.id}, what=f"{verb} {subnet.name} at the router")


async def make_port(user: User) -> None:
    network = user.find("network", 0.3)
    network_id = network.id if network else user.tenant.network_id
    body: dict[str, Any] = {"name": user.new_name("port"), "network_id": network_id}
    if network is None and user.rng.random() < 0.5:
        # Few addresses to choose from: two users want the same one.
        prefix = user.tenant.cidr.rpartition(".")[0]
        body["fixed_ips"] = [{"ip_address": f"{prefix}.{user.rng.randrange(20, 24)}"}]
    if (group := user.find("group", 0.4)) is not None:
        body["security_groups"] = [group.id]
    await user.make("port", f"{NET}/ports", "port", body)


async def change_port(user: User) -> None:
    port, group = user.pick("port"), user.find("group", 0.4)
    change: dict[str, Any] = {
        "admin_state_up": user.rng.random() < 0.7,
        "description": user.new_name("text"),
    }
    if group is not None:
        change["security_groups"] = [group.id]
    await user.ask("PUT", f"{NET}/ports/{port.id}", {"port": change}, what=f"update port {port.name}")


async def end_port(user: User) -> None:
    await user.end(user.pick("port"), f"{NET}/ports")


async def make_floating_ip(user: User) -> None:
    body: dict[str, Any] = {"floating_network_id": user.founded.external_id}
    if (port := user.find("port", 0.5)) is not None:
        body["port_id"] = port.id
    await user.make("floating ip", f"{NET}/floatingips", "floatingip", body)


async def move_floating_ip(user: User) -> None:
    floating = user.pick("floating ip")
    port = user.find("port", 0.7)
    change = {"port_id": port.id if port else None}
    what = f"{floating.name} to {port.name if port else 'nothing'}"
    await user.ask("PUT", f"{NET}/floatingips/{floating.id}", {"floatingip": change}, what=what)


async def end_floating_ip(user: User) -> None:
    await user.end(user.pick("floating ip"), f"{NET}/floatingips")


async def make_group(user: User) -> None:
    name = user.new_name("group")
    group = await user.make("group", f"{NET}/security-groups", "security_group", {"name": name})
    if group is not None:
        await _add_rule(user, group)


async def change_group(user: User) -> None:
    """One rule more, or one less."""
    group = user.pick("group")
    if user.rng.random() < 0.5:
        await _add_rule(user, group)
        return
    path = f"{NET}/security-group-rules"
    reply = await user.ask("GET", f"{path}?security_group_id={group.id}", what=f"rules of {group.name}")
    if reply is not None and reply.status == 200 and (rules := reply.data["security_group_rules"]):
        await user.ask(
            "DELETE", f"{path}/{user.rng.choice(rules)['id']}", what=f"delete rule of {group.name}"
        )


async def _add_rule(user: User, group: Thing) -> None:
    port = user.rng.randrange(22, 26)
    rule = {
        "security_group_id": group.id,
        "direction": "ingress",
        "protocol": "tcp",
        "port_range_min": port,
        "port_range_max": port,
    }
    path = f"{NET}/security-group-rules"
    await user.ask("POST", path, {"security_group_rule": rule}, what=f"rule in {group.name}")


async def end_group(user: User) -> None:
    await user.end(user.pick("group"), f"{NET}/security-groups")


# Servers


async def make_server(user: User) -> None:
    networks: Any = [{"uuid": user.tenant.network_id}]
    if (port := user.find("port", 0.3)) is not None:
        networks = [{"port": port.id}]
    elif (network := user.find("network", 0.2)) is not None:
        networks = [{"uuid": user.tenant.network_id}, {"uuid": network.id}]
    elif user.rng.random() < 0.05:
        networks = "none"
    body = {
        "name": user.new_name("server"),
        "flavorRef": SMALL if user.rng.random() < 0.8 else LARGE,
        "imageRef": user.founded.image_id,
        "networks": networks,
    }
    if (group := user.find("group", 0.2)) is not None:
        body["security_groups"] = [{"name": group.name}]
    hints = {}
    if (apart := user.find("server group", 0.6)) is not None:
        hints = {"os:scheduler_hints": {"group": apart.id}}
    await user.make("server", SERVERS, "server", body, **hints)


GROUPS = "/compute/v2.1/os-server-groups"


async def make_server_group(user: User) -> None:
    policy = "anti-affinity" if user.rng.random() < 0.8 else "soft-anti-affinity"
    body = {"name": user.new_name("apart"), "policy": policy}
    await user.make("server group", GROUPS, "server_group", body)


async def end_server_group(user: User) -> None:
    await user.end(user.pick("server group"), GROUPS)


async def end_server(user: User) -> None:
    await user.end(user.pick("server"), SERVERS)


STOP, START, HARD = {"os-stop": None}, {"os-start": None}, {"reboot": {"type": "HARD"}}
GROW, SHRINK = {"resize": {"flavorRef": LARGE}}, {"resize": {"flavorRef": SMALL}}
PLAUSIBLE: dict[str, tuple[dict[str, Any], ...]] = {
    "ACTIVE": (
        STOP,
        STOP,
        {"reboot": {"type": "SOFT"}},
        HARD,
        {"pause": None},
        {"suspend": None},
        GROW,
        SHRINK,
    ),
    "SHUTOFF": (START, START, HARD, GROW, SHRINK),
    "PAUSED": ({"unpause": None}, HARD),
    "SUSPENDED": ({"resume": None}, HARD),
    "VERIFY_RESIZE": ({"confirmResize": None}, {"revertResize": None}),
    "ERROR": (HARD, STOP),
}
ACTIONS = tuple(action for actions in PLAUSIBLE.values() for action in actions)


async def act_on_server(user: User) -> None:
    """Look what it is, then do what can be done to such a one; or do just anything."""
    server = user.pick("server")
    action = user.rng.choice(ACTIONS)
    if user.rng.random() < 0.8:
        reply = await user.ask("GET", f"{SERVERS}/{server.id}", what=f"show server {server.name}")
        if reply is not None and reply.status == 200:
            action = user.rng.choice(PLAUSIBLE.get(reply.data["server"]["status"], ACTIONS))
    await user.ask(
        "POST", f"{SERVERS}/{server.id}/action", action, what=f"{next(iter(action))} {server.name}"
    )


async def rebuild_server(user: User) -> None:
    server = user.pick("server")
    user.memory.rebuilt.add(server.id)
    body = {"rebuild": {"imageRef": user.founded.image_id}}
    await user.ask("POST", f"{SERVERS}/{server.id}/action", body, what=f"rebuild {server.name}")


async def snapshot_server(user: User) -> None:
    server = user.pick("server")
    name = user.new_name("image")
    body = {"createImage": {"name": name}}
    reply = await user.ask("POST", f"{SERVERS}/{server.id}/action", body, what=f"image of {server.name}")
    if reply is not None and reply.status == 202:
        user.memory.made("image", reply.data["image_id"], name, user.tenant.name, made_of=server.id)


async def end_image(user: User) -> None:
    await user.end(user.pick("image"), "/image/v2/images")


async def attach_port(user: User) -> None:
    server, port = user.pick("server"), user.find("port", 0.6)
    body = {"port_id": port.id} if port is not None else {"net_id": user.tenant.network_id}
    what = f"attach {port.name if port else 'a new port'} to {server.name}"
    path = f"{SERVERS}/{server.id}/os-interface"
    await user.ask("POST", path, {"interfaceAttachment": body}, what=what)


async def detach_port(user: User) -> None:
    server = user.pick("server")
    path = f"{SERVERS}/{server.id}/os-interface"
    reply = await user.ask("GET", path, what=f"interfaces of {server.name}")
    if reply is None or reply.status != 200 or not reply.data["interfaceAttachments"]:
        return
    port_id = user.rng.choice(reply.data["interfaceAttachments"])["port_id"]
    thing = user.memory.things.get(port_id)
    what = f"detach {thing.name if thing else 'a port'} from {server.name}"
    await user.ask("DELETE", f"{path}/{port_id}", what=what)


async def rename_server(user: User) -> None:
    server = user.pick("server")
    body = {"server": {"name": user.new_name("renamed")}}
    await user.ask("PUT", f"{SERVERS}/{server.id}", body, what=f"rename {server.name}")


# Stacks


def _template(user: User, size: int) -> dict[str, Any]:
    resources: dict[str, Any] = {
        "net": {"type": "OS::Neutron::Net"},
        "subnet": {
            "type": "OS::Neutron::Subnet",
            "properties": {"network": {"get_resource": "net"}, "cidr": "10.50.0.0/28"},
        },
    }
    for number in range(size):
        fixed = [{"subnet": {"get_resource": "subnet"}}]
        properties = {"network": {"get_resource": "net"}, "fixed_ips": fixed}
        if user.rng.random() < 0.3:
            resources["group"] = {"type": "OS::Neutron::SecurityGroup", "properties": {"rules": []}}
            properties["security_groups"] = [{"get_resource": "group"}]
        resources[f"port{number}"] = {"type": "OS::Neutron::Port", "properties": properties}
    if size > 1:
        # Another flavor is a resize, another text for the guest another server in its place.
        properties = {
            "flavor": user.rng.choice(("m1.nano", "m1.nano", "m1.micro")),
            "image": user.founded.image_id,
            "networks": [{"port": {"get_resource": "port0"}}],
            "user_data_format": "RAW",
            "user_data": user.rng.choice(("one", "another")),
        }
        resources["server"] = {"type": "OS::Nova::Server", "properties": properties}
    return {"heat_template_version": "2018-08-31", "resources": resources}


def _stacks(user: User) -> str:
    return f"/orchestration/v1/{user.tenant.project_id}/stacks"


async def make_stack(user: User) -> None:
    name = user.new_name("stack")
    body: dict[str, Any] = {"stack_name": name, "template": _template(user, user.rng.choice((0, 1, 2, 2)))}
    if user.rng.random() < 0.5:
        body["disable_rollback"] = False
    reply = await user.ask("POST", _stacks(user), body, what=f"create stack {name}")
    if reply is not None and reply.status == 201:
        user.memory.made("stack", reply.data["stack"]["id"], name, user.tenant.name)


async def change_stack(user: User) -> None:
    stack = user.pick("stack")
    body = {"template": _template(user, user.rng.choice((0, 1, 2, 2)))}
    path = f"{_stacks(user)}/{stack.name}/{stack.id}"
    await user.ask("PUT", path, body, what=f"update stack {stack.name}")


async def end_stack(user: User) -> None:
    stack = user.pick("stack")
    await user.end(stack, f"{_stacks(user)}/{stack.name}")


# Looking


LISTS = (
    f"{SERVERS}/detail",
    f"{NET}/ports",
    f"{NET}/networks",
    f"{NET}/floatingips",
    f"{NET}/security-groups",
    "/image/v2/images",
)


async def look_around(user: User) -> None:
    path = user.rng.choice((*LISTS, _stacks(user)))
    await user.ask("GET", path, what=f"list {path.rpartition('/')[2]}")


async def look_at_server(user: User) -> None:
    server = user.pick("server")
    reply = await user.ask("GET", f"{SERVERS}/{server.id}", what=f"show server {server.name}")
    if reply is not None and reply.status == 404 and not server.doomed:
        user.history.violated(f"server {server.name} is gone, and nobody deleted it")


async def pry(user: User) -> None:
    """Ask for a thing of another tenant's, knowing its id: it must be as if there were none."""
    strange = [one for one in user.memory.things.values() if one.tenant != user.tenant.name and not one.gone]
    paths = {"server": SERVERS, "port": f"{NET}/ports", "network": f"{NET}/networks"}
    strange = [one for one in strange if one.kind in paths]
    if not strange:
        raise NothingThere
    thing = user.rng.choice(strange)
    method = user.rng.choice(("GET", "DELETE"))
    what = f"{method} {thing.name}, a stranger's {thing.kind}"
    reply = await user.ask(method, f"{paths[thing.kind]}/{thing.id}", what=what, but=thing.id)
    if reply is not None and reply.status < 400:
        user.history.violated(f"{user.tenant.name} was answered {reply.status} to {what}")


WEIGHTED: tuple[tuple[int, Act], ...] = (
    (16, make_server),
    (8, end_server),
    (26, act_on_server),
    (2, rebuild_server),
    (2, snapshot_server),
    (1, end_image),
    (5, attach_port),
    (4, detach_port),
    (2, rename_server),
    (3, make_network),
    (2, end_network),
    (6, make_port),
    (2, change_port),
    (4, end_port),
    (5, make_floating_ip),
    (5, move_floating_ip),
    (3, end_floating_ip),
    (3, make_group),
    (2, change_group),
    (1, end_group),
    (2, link_network),
    (2, make_server_group),
    (1, end_server_group),
    (6, make_stack),
    (6, change_stack),
    (4, end_stack),
    (4, look_around),
    (2, look_at_server),
    (2, pry),
)
WEIGHTS = [weight for weight, _ in WEIGHTED]
ACTS = [act for _, act in WEIGHTED]
