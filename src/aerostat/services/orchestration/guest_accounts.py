"""Accounts for guests whose agents sign in to identity, as upstream's POLL_SERVER_HEAT and HEAT_SIGNAL ask.

An account is a user and a project of its own, in a domain for such users, made for one resource and deleted with
it. Its role lets it read that resource's metadata and signal it; nothing in its project is anybody else's.
"""

import secrets
from typing import Any

from aerostat.kernel.client import RoomError
from aerostat.kernel.context import internal_context

from .errors import ResourceFailure
from .thing import Thing

GUEST_ROLE = "heat_stack_user"
_DOMAIN = "heat"


async def ensure_account(thing: Thing) -> dict[str, str]:
    """`user_id`, `username`, `password`, `project_id`, `auth_url` of the resource's account. May run many times."""
    if "identity" not in thing.house.services:
        raise ResourceFailure(
            "There is no identity service in which the guest could sign in.", "NotSupported"
        )
    account = thing.data.get("account")
    if account is None or "user_id" not in account:
        if account is None:
            thing.data["account"] = {"password": secrets.token_urlsafe(24)}
            await thing.keep()
        await _make(thing, thing.data["account"])
        await thing.keep()
        account = thing.data["account"]
    auth_url = f"{thing.house.url('identity', guest=True)}/v3"
    return {**account, "auth_url": auth_url}


async def remove_account(thing: Thing) -> None:
    """Delete it; what is gone already is gone."""
    if "account" not in thing.data:
        return
    identity = _identity(thing)
    for kind in ("user", "project"):
        for one in await _named(identity, kind, thing.id):
            try:
                await identity.delete(kind, one["id"])
            except RoomError as error:
                if error.status != 404:
                    raise
    del thing.data["account"]


async def _make(thing: Thing, account: dict[str, Any]) -> None:
    """The row's id is the name of both, so that a second run finds what the first one made."""
    identity = _identity(thing)
    domain = await _ensure(identity, "domain", _DOMAIN, description="Accounts of guests in stacks")
    role = await _ensure(identity, "role", GUEST_ROLE)
    project = await _ensure(identity, "project", thing.id, domain_id=domain["id"])
    user = await _ensure(
        identity,
        "user",
        thing.id,
        domain_id=domain["id"],
        password=account["password"],
        default_project_id=project["id"],
    )
    await identity.grant(role["id"], project=project["id"], user=user["id"])
    account |= {"user_id": user["id"], "username": user["name"], "project_id": project["id"]}


async def _ensure(identity: Any, kind: str, name: str, **more: Any) -> dict[str, Any]:
    found: list[dict[str, Any]] = await _named(identity, kind, name)
    try:
        return found[0] if found else await identity.create(kind, name=name, **more)
    except RoomError as error:
        if error.status != 409:
            raise
        return (await _named(identity, kind, name))[0]  # another one was quicker


async def _named(identity: Any, kind: str, name: str) -> list[dict[str, Any]]:
    return list(await identity.list_of(kind, name=name))


def _identity(thing: Thing) -> Any:
    """Identity, asked by the cloud itself: who owns the stack may not make users."""
    return thing.house.client("identity", internal_context(thing.context.request_id, "orchestration"))
