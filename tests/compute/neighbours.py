"""The rooms to the left of compute, as far as it asks them: small worlds in memory with the same client methods."""

import zlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from aerostat.kernel import ids
from aerostat.kernel.client import Caller, RoomError

IMAGE_BYTES = b"a raw disk " * 1000


class Neighbours:
    """What the rooms know. Tests look into it and change it."""

    def __init__(self) -> None:
        self.images: dict[str, dict[str, Any]] = {}
        self.providers: dict[str, dict[str, Any]] = {}
        self.allocations: dict[str, dict[str, dict[str, int]]] = {}
        self.networks: dict[str, dict[str, Any]] = {}
        self.subnets: dict[str, dict[str, Any]] = {}
        self.ports: dict[str, dict[str, Any]] = {}
        self.floating_ips: dict[str, dict[str, Any]] = {}
        self.security_groups: dict[str, dict[str, Any]] = {}
        self.makes_networks = False  # for projects that have none and ask for any
        self.calls: list[str] = []
        self._next = 10

    def add_image(self, **attributes: Any) -> dict[str, Any]:
        image = {
            "id": ids.new_id(),
            "name": "test",
            "status": "active",
            "disk_format": "raw",
            "container_format": "bare",
            "size": len(IMAGE_BYTES),
            "min_disk": 0,
            "min_ram": 0,
            "owner": "p1",
            "visibility": "public",
            **attributes,
        }
        self.images[image["id"]] = image
        return image

    def add_network(self, project_id: str = "p1", name: str = "private", **attributes: Any) -> dict[str, Any]:
        network_id, subnet_id = ids.new_id(), ids.new_id()
        self.subnets[subnet_id] = {
            "id": subnet_id,
            "network_id": network_id,
            "cidr": "10.0.0.0/24",
            "gateway_ip": "10.0.0.1",
            "enable_dhcp": True,
            "dns_nameservers": ["10.0.0.3"],
            "host_routes": [],
        }
        network = {
            "id": network_id,
            "name": name,
            "project_id": project_id,
            "shared": False,
            "router:external": False,
            "mtu": 1442,
            "subnets": [subnet_id],
            **attributes,
        }
        self.networks[network_id] = network
        return network

    def add_group(self, name: str = "default", project_id: str = "p1") -> dict[str, Any]:
        group = {"id": ids.new_id(), "name": name, "project_id": project_id}
        self.security_groups[group["id"]] = group
        return group

    def address(self) -> str:
        self._next += 1
        return f"10.0.0.{self._next}"


class _Room:
    """A room in place of a `Service`: all that `House` and the application ask of it."""

    def __init__(self, name: str, client: Any) -> None:
        self.name = name
        self.client = client
        self.rules = ()
        self.prefix = f"/{name}"
        self.catalog = None
        self.own_paths = ()
        self.own_hosts = None
        self.base_url = None


def rooms(world: Neighbours) -> list[Any]:
    return [
        _Room("placement", lambda caller: FakePlacement(world)),
        _Room("image", lambda caller: FakeImages(world)),
        _Room("network", lambda caller: FakeNetwork(world, caller)),
    ]


class FakePlacement:
    def __init__(self, world: Neighbours) -> None:
        self.world = world

    async def ensure_provider(self, id: str, name: str) -> None:
        self.world.providers.setdefault(id, {"name": name, "inventories": {}})

    async def set_inventories(self, id: str, inventories: Mapping[str, Any]) -> None:
        self.world.providers[id]["inventories"] = dict(inventories)

    async def delete_provider(self, id: str) -> None:
        self.world.providers.pop(id, None)

    async def list_providers(self) -> list[dict[str, Any]]:
        """A provider's generation is told from what it has and what is taken of it."""
        found = []
        for id, provider in self.world.providers.items():
            claims = sorted((name, str(one[id])) for name, one in self.world.allocations.items() if id in one)
            generation = zlib.crc32(f"{provider['inventories']} {claims}".encode())
            found.append({"uuid": id, "generation": generation})
        return found

    async def get_inventories(self, id: str) -> dict[str, Any]:
        if id not in self.world.providers:
            raise RoomError(404, f"No resource provider with uuid {id} found", "NotFound", "placement")
        found: dict[str, Any] = self.world.providers[id]["inventories"]
        return found

    async def get_usages(self, id: str) -> dict[str, int]:
        used: dict[str, int] = {}
        for claim in self.world.allocations.values():
            for kind, amount in claim.get(id, {}).items():
                used[kind] = used.get(kind, 0) + amount
        return used

    async def allocation_candidates(self, resources: Mapping[str, int], limit: int = 1000) -> dict[str, Any]:
        summaries = {}
        for id, provider in self.world.providers.items():
            used = await self.get_usages(id)
            amounts = {
                kind: {"capacity": _capacity(one), "used": used.get(kind, 0)}
                for kind, one in provider["inventories"].items()
            }
            if all(
                kind in amounts and amounts[kind]["capacity"] - amounts[kind]["used"] >= amount
                for kind, amount in resources.items()
            ):
                summaries[id] = {"resources": amounts}
        return {"allocation_requests": [], "provider_summaries": summaries}

    async def set_allocations(
        self, consumer: str, wanted: Mapping[str, dict[str, int]], *, project_id: str, user_id: str
    ) -> None:
        before = self.world.allocations.pop(consumer, None)
        for id, resources in wanted.items():
            used = await self.get_usages(id)
            for kind, amount in resources.items():
                inventory = self.world.providers[id]["inventories"].get(kind)
                if inventory is None or used.get(kind, 0) + amount > _capacity(inventory):
                    if before is not None:
                        self.world.allocations[consumer] = before
                    raise RoomError(409, "There was a conflict when allocating", "Conflict", "placement")
        self.world.allocations[consumer] = {id: dict(one) for id, one in wanted.items()}

    async def set_allocations_of(
        self, wanted: Mapping[str, Mapping[str, dict[str, int]]], *, project_id: str, user_id: str
    ) -> None:
        before = dict(self.world.allocations)
        for consumer in wanted:
            self.world.allocations.pop(consumer, None)
        try:
            for consumer, of_one in wanted.items():
                if of_one:
                    await self.set_allocations(consumer, of_one, project_id=project_id, user_id=user_id)
        except RoomError:
            self.world.allocations = before
            raise

    async def delete_allocations(self, consumer: str) -> None:
        self.world.allocations.pop(consumer, None)

    async def provider_allocations(self, id: str) -> dict[str, Any]:
        return {
            consumer: {"resources": claim[id]}
            for consumer, claim in self.world.allocations.items()
            if id in claim
        }


def _capacity(inventory: Mapping[str, Any]) -> int:
    return int((inventory["total"] - inventory["reserved"]) * inventory["allocation_ratio"])


class FakeImages:
    def __init__(self, world: Neighbours) -> None:
        self.world = world

    async def get_image(self, id: str) -> dict[str, Any]:
        if id not in self.world.images:
            raise RoomError(404, f"No image found with ID {id}", "NotFound", "image")
        return dict(self.world.images[id])

    async def download(self, id: str) -> AsyncIterator[bytes]:
        data = self.world.images[id].get("data", IMAGE_BYTES)

        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(data), 4096):
                yield data[start : start + 4096]

        return chunks()

    async def read(self, id: str, offset: int, size: int) -> bytes:
        data: bytes = self.world.images[id].get("data", IMAGE_BYTES)
        return data[offset : offset + size]

    async def list_images(self, sort: str = "", **query: Any) -> list[dict[str, Any]]:
        """The newest first, as the image room lists them."""
        return [one for one in reversed(self.world.images.values()) if _fits(one, query)]

    async def create_image(self, **attributes: Any) -> dict[str, Any]:
        return self.world.add_image(status="queued", **attributes)

    async def upload(self, id: str, chunks: AsyncIterator[bytes]) -> None:
        image = self.world.images[id]
        image["data"] = b"".join([chunk async for chunk in chunks])
        image |= {"status": "active", "size": len(image["data"])}

    async def delete_image(self, id: str) -> None:
        if self.world.images.pop(id, None) is None:
            raise RoomError(404, f"No image found with ID {id}", "NotFound", "image")


class FakeNetwork:
    def __init__(self, world: Neighbours, caller: Caller) -> None:
        self.world = world
        self.context = caller.context

    async def list_networks(self, **query: Any) -> list[dict[str, Any]]:
        return [one for one in self.world.networks.values() if self._sees(one) and _fits(one, query)]

    async def get_network(self, id: str) -> dict[str, Any]:
        return self._get(self.world.networks, id, "Network")

    async def ensure_auto_topology(self, project_id: str) -> str:
        if not self.world.makes_networks:
            raise RoomError(400, "Deployment error: no external network.", "AutoAllocation", "network")
        made = [one for one in self.world.networks.values() if one["name"] == "auto_allocated_network"]
        return str((made or [self.world.add_network(project_id, "auto_allocated_network")])[0]["id"])

    async def list_subnets(self, **query: Any) -> list[dict[str, Any]]:
        return [one for one in self.world.subnets.values() if _fits(one, query)]

    async def list_ports(self, **query: Any) -> list[dict[str, Any]]:
        return [dict(one) for one in self.world.ports.values() if self._sees(one) and _fits(one, query)]

    async def get_port(self, id: str) -> dict[str, Any]:
        return self._get(self.world.ports, id, "Port")

    async def create_port(self, **attributes: Any) -> dict[str, Any]:
        self.world.calls.append("create_port")
        network = self.world.networks[attributes["network_id"]]
        port = {
            "id": ids.new_id(),
            "name": "",
            "project_id": attributes.get("project_id") or self.context.project_id,
            "mac_address": f"fa:16:3e:00:00:{len(self.world.ports):02x}",
            "status": "ACTIVE",
            "revision_number": 1,
            "device_id": "",
            "device_owner": "",
            "fixed_ips": [{"subnet_id": network["subnets"][0], "ip_address": self.world.address()}],
            "security_groups": [
                group["id"]
                for group in self.world.security_groups.values()
                if group["name"] == "default" and group["project_id"] == attributes.get("project_id")
            ],
        } | attributes
        for ip in port["fixed_ips"]:
            ip.setdefault("subnet_id", network["subnets"][0])
        self.world.ports[port["id"]] = port
        return dict(port)

    async def update_port(self, id: str, *, revision: int | None = None, **attributes: Any) -> dict[str, Any]:
        port = self._get(self.world.ports, id, "Port")
        if revision not in (None, port["revision_number"]):
            raise RoomError(
                412, "RevisionNumberConstraintFailed", "RevisionNumberConstraintFailed", "network"
            )
        self.world.ports[id] = port | attributes | {"revision_number": port["revision_number"] + 1}
        return dict(self.world.ports[id])

    async def delete_port(self, id: str) -> None:
        self._get(self.world.ports, id, "Port")
        del self.world.ports[id]

    async def list_security_groups(self, **query: Any) -> list[dict[str, Any]]:
        return [one for one in self.world.security_groups.values() if self._sees(one) and _fits(one, query)]

    async def list_floating_ips(self, **query: Any) -> list[dict[str, Any]]:
        return [one for one in self.world.floating_ips.values() if _fits(one, query)]

    def _sees(self, thing: Mapping[str, Any]) -> bool:
        return (
            self.context.is_admin
            or thing.get("shared", False)
            or thing["project_id"] == self.context.project_id
        )

    def _get(self, things: dict[str, dict[str, Any]], id: str, kind: str) -> dict[str, Any]:
        thing = things.get(id)
        if thing is None or not self._sees(thing):
            raise RoomError(404, f"{kind} {id} could not be found.", f"{kind}NotFound", "network")
        return dict(thing)


def _fits(thing: Mapping[str, Any], query: Mapping[str, Any]) -> bool:
    for name, wanted in query.items():
        if name == "fixed_ips":
            if not any(f"ip_address={ip['ip_address']}" == wanted for ip in thing["fixed_ips"]):
                return False
            continue
        values = wanted if isinstance(wanted, list) else [wanted]
        if thing.get(name) not in values:
            return False
    return True
