"""A small cloud as every history finds it: hosts, an image, two tenants with a network and a router each.

Made once, without misfortune, through the same APIs; histories begin from a copy of its database and of its world.
"""

import asyncio
import random
from pathlib import Path
from typing import Any

import msgspec

from aerostat.kernel.db import create_schema
from aerostat.kernel.db.store import Store
from aerostat.services.image.trial_image import ensure_test_image

from .cloud import Asked, Lasting, Reached, Reply, SimCloud
from .database import SimBackend
from .history import History
from .loop import VirtualLoop

HOSTS = ("host-1", "host-2")
TENANTS = ("ant", "bee")
PASSWORD = "simulated"
QUOTA = {"instances": 6, "cores": 8}  # small enough to be met


class Tenant(msgspec.Struct):
    """What a user must know to begin: names and ids."""

    name: str
    project_id: str
    network_id: str
    subnet_id: str
    cidr: str
    router_id: str


class Founded(msgspec.Struct):
    """The cloud that histories begin with."""

    now_s: float
    tenants: list[Tenant]
    external_id: str
    image_id: str
    admin_password: str


async def login(cloud: Reached, user: str, password: str, project: str) -> str:
    """A token, as the user's client gets it. Raises `ConnectionLost`, and `RuntimeError` on a refusal."""
    domain = {"id": "default"}
    user_ = {"name": user, "domain": domain, "password": password}
    body = {
        "auth": {
            "identity": {"methods": ["password"], "password": {"user": user_}},
            "scope": {"project": {"name": project, "domain": domain}},
        }
    }
    reply = await cloud.request(Asked(method="POST", path="/identity/v3/auth/tokens", body=body))
    if reply.status != 201:
        raise RuntimeError(f"no token for {user}: {reply.status} {reply.text}")
    return reply.headers["x-subject-token"]


def found(loop: VirtualLoop, folder: Path) -> tuple[Founded, Lasting]:
    """Make the cloud below `folder`, and let it come to rest."""
    lasting = Lasting()
    cloud = SimCloud(loop, random.Random(0), History(loop), folder, lasting)
    founded = loop.run_until_complete(_found(cloud))
    while cloud.database.writer.in_transaction:  # of work that is done on the clock
        loop.run_until_complete(asyncio.sleep(0.01))
    cloud.database.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    cloud.database.writer.close()
    cloud.database.reader.close()
    return founded, lasting


async def _found(cloud: SimCloud) -> Founded:
    await create_schema(Store(SimBackend(cloud.database), cloud.seal), _tables())
    cloud.add("control", "api", "engine")
    await cloud.up()
    for name in HOSTS:
        cloud.add(name, "host")
    await cloud.up()
    house = cloud.houses["control"]
    task = cloud.loop.spawn(cloud.processes["control"], ensure_test_image(house, None), "test image")
    await task
    secret = house.state["secrets"]["admin_password"]
    token = await login(cloud, "admin", secret, "admin")

    async def ask(method: str, path: str, body: Any = None) -> Any:
        reply: Reply = await cloud.request(Asked(method=method, path=path, body=body, token=token))
        if reply.status >= 300:
            raise RuntimeError(f"{method} {path}: {reply.status} {reply.text}")
        return reply.data

    roles = {one["name"]: one["id"] for one in (await ask("GET", "/identity/v3/roles"))["roles"]}
    networks = (await ask("GET", "/networking/v2.0/networks?router:external=true"))["networks"]
    external_id = networks[0]["id"]
    tenants = [
        await found_tenant(ask, name, roles["member"], external_id, n, QUOTA)
        for n, name in enumerate(TENANTS)
    ]
    images = (await ask("GET", "/image/v2/images"))["images"]
    await asyncio.sleep(120)  # everything that runs on the clock has run once
    hypervisors = (await ask("GET", "/compute/v2.1/os-hypervisors"))["hypervisors"]
    if len(hypervisors) != len(HOSTS):
        raise RuntimeError(f"{len(hypervisors)} hosts came up")
    while cloud.database.writer.in_transaction:  # noqa: ASYNC110  (nobody tells when he has written)
        await asyncio.sleep(0.01)
    return Founded(cloud.loop.time(), tenants, external_id, images[0]["id"], secret)


async def found_tenant(
    ask: Any, name: str, role_id: str, external_id: str, number: int, quota: dict[str, int]
) -> Tenant:
    """A project with a user, a quota, a network and a router. `ask(method, path, body)` does it as administrator."""
    body = {"project": {"name": name, "domain_id": "default"}}
    project_id = (await ask("POST", "/identity/v3/projects", body))["project"]["id"]
    user = {"name": name, "password": PASSWORD, "domain_id": "default"}
    user_id = (await ask("POST", "/identity/v3/users", {"user": user}))["user"]["id"]
    await ask("PUT", f"/identity/v3/projects/{project_id}/users/{user_id}/roles/{role_id}")
    await ask("PUT", f"/compute/v2.1/os-quota-sets/{project_id}", {"quota_set": quota})
    owner = {"project_id": project_id}
    network = {"name": f"{name}-net", **owner}
    network_id = (await ask("POST", "/networking/v2.0/networks", {"network": network}))["network"]["id"]
    cidr = f"10.{number}.0.0/24"
    subnet = {"network_id": network_id, "ip_version": 4, "cidr": cidr, **owner}
    subnet_id = (await ask("POST", "/networking/v2.0/subnets", {"subnet": subnet}))["subnet"]["id"]
    router = {"name": f"{name}-router", "external_gateway_info": {"network_id": external_id}, **owner}
    router_id = (await ask("POST", "/networking/v2.0/routers", {"router": router}))["router"]["id"]
    path = f"/networking/v2.0/routers/{router_id}/add_router_interface"
    await ask("PUT", path, {"subnet_id": subnet_id})
    return Tenant(name, project_id, network_id, subnet_id, cidr, router_id)


def _tables() -> Any:
    from aerostat import app

    return app._tables(app.rooms())
