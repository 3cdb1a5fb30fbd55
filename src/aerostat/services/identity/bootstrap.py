"""The first things of a fresh cloud: the default domain, roles, projects, users, and the catalog.

Everything is looked for before it is made, so a start that died halfway is finished by the next one.
"""

from itertools import pairwise
from typing import Any

from sqlalchemy import Table

from aerostat.kernel.db import Row, Transaction
from aerostat.kernel.house import House

from . import model
from .config import IdentityConfig
from .passwords import hash_password

# From the strongest down; each brings the next.
ROLE_CHAIN = ("admin", "manager", "member", "reader")
OTHER_ROLES = ("service", "ResellerAdmin")
"""Who calls for others; and who may do all in all accounts of the object store, and sets their quotas."""


async def bootstrap(house: House) -> None:
    """Passwords come from `house.state["secrets"]`: `admin_password`, `demo_password`."""
    secrets = house.state["secrets"]
    rounds = house.config.section(IdentityConfig).bcrypt_rounds
    admin_hash = demo_hash = ""
    if await house.store.find(model.USERS, name="admin", domain_id="default") is None:
        admin_hash = await hash_password(secrets["admin_password"], rounds)
        demo_hash = await hash_password(secrets["demo_password"], rounds)
    async with house.store.transaction() as tx:
        await tx.lock("identity_bootstrap")
        await _ensure(
            tx,
            model.PROJECTS,
            {"id": "default"},
            name="Default",
            is_domain=True,
            description="The default domain",
        )
        roles = {}
        for name in (*ROLE_CHAIN, *OTHER_ROLES):
            roles[name] = await _ensure(
                tx, model.ROLES, {"name": name, "domain_id": ""}, options={"immutable": True}
            )
        for prior, following in pairwise(ROLE_CHAIN):
            link = {"prior_role_id": roles[prior].id, "implied_role_id": roles[following].id}
            await _ensure(tx, model.IMPLIED_ROLES, link)
        projects = {
            name: await _ensure(
                tx,
                model.PROJECTS,
                {"name": name, "domain_id": "default"},
                parent_id="default",
                description=text,
            )
            for name, text in (
                ("admin", "Bootstrap project for initializing the cloud."),
                ("demo", "A project to try things in."),
                ("service", "What the cloud's own services own."),
            )
        }
        if admin_hash:
            admin = await _ensure(
                tx, model.USERS, {"name": "admin", "domain_id": "default"}, password_hash=admin_hash
            )
            demo = await _ensure(
                tx,
                model.USERS,
                {"name": "demo", "domain_id": "default"},
                password_hash=demo_hash,
                default_project_id=projects["demo"].id,
            )
            await _grant(tx, admin.id, "project", projects["admin"].id, roles["admin"].id)
            await _grant(tx, admin.id, "project", projects["demo"].id, roles["admin"].id)
            await _grant(tx, admin.id, "domain", "default", roles["admin"].id)
            await _grant(tx, admin.id, "system", "all", roles["admin"].id)
            await _grant(tx, demo.id, "project", projects["demo"].id, roles["member"].id)
        await _ensure(tx, model.REGIONS, {"id": house.config.kernel.region})
        await _ensure_catalog(tx, house)


async def _ensure_catalog(tx: Transaction, house: House) -> None:
    """An entry for each room that is here; the URLs follow the public URL."""
    region = house.config.kernel.region
    for room in house.services.values():
        if room.catalog is None:
            continue
        service = await _ensure(
            tx, model.SERVICES, {"type": room.type}, name=room.project, description=room.description
        )
        url = house.base_url(room) + room.catalog
        for interface in ("public", "internal", "admin"):
            key = {"service_id": service.id, "interface": interface, "region_id": region}
            endpoint = await _ensure(tx, model.ENDPOINTS, key, url=url)
            if endpoint.url != url:
                await tx.update(model.ENDPOINTS, {"id": endpoint.id}, url=url)


async def _ensure(tx: Transaction, table: Table, key: dict[str, Any], **values: Any) -> Row:
    return await tx.find(table, **key) or await tx.insert(table, **key, **values)


async def _grant(tx: Transaction, user_id: str, kind: str, target_id: str, role_id: str) -> None:
    await _ensure(
        tx,
        model.ASSIGNMENTS,
        {
            "actor_kind": "user",
            "actor_id": user_id,
            "target_kind": kind,
            "target_id": target_id,
            "role_id": role_id,
            "inherited": False,
        },
    )
