"""How a server's agent finds out what to do: the settings that it gets for os-collect-config.

https://docs.openstack.org/heat/latest/template_guide/software_deployment.html
"""

import secrets
from typing import Any

from ..agent_keys import access_key
from ..deployments import server_metadata
from ..errors import ResourceFailure, StackValidationFailed
from ..guest_accounts import ensure_account, remove_account
from ..thing import Thing

POLL_CFN, POLL_HEAT, POLL_TEMP_URL, ZAQAR = (
    "POLL_SERVER_CFN",
    "POLL_SERVER_HEAT",
    "POLL_TEMP_URL",
    "ZAQAR_MESSAGE",
)
TRANSPORTS = (POLL_CFN, POLL_HEAT, POLL_TEMP_URL, ZAQAR)
_REFUSED = {
    POLL_TEMP_URL: "there is no object store in this cloud",
    ZAQAR: "there is no messaging service in this cloud",
}
_KEY = "os-collect-config"


def check_transport(transport: str) -> None:
    """Raises `StackValidationFailed`."""
    if transport in _REFUSED:
        raise StackValidationFailed(
            f"The software_config_transport {transport} is not supported: {_REFUSED[transport]}."
        )


async def ensure_collecting(thing: Thing, collectors: tuple[str, ...] = ()) -> dict[str, Any]:
    """The agent's settings, with an account or a key for it. May run many times; the row is stored."""
    transport = thing.properties["software_config_transport"]
    if transport in _REFUSED:
        raise ResourceFailure(f"{transport} is not supported: {_REFUSED[transport]}.", "NotSupported")
    name, settings = await _settings(thing, transport)
    # What another transport left is set to null: the agent keeps what it is not told to forget.
    others = {
        key: dict.fromkeys(one) for key, one in thing.data.get(_KEY, {}).items() if isinstance(one, dict)
    }
    whole = {**others, "collectors": [*collectors, name, "local"], name: settings}
    thing.data[_KEY] = whole
    await thing.keep()
    return whole


async def _settings(thing: Thing, transport: str) -> tuple[str, dict[str, Any]]:
    if transport == POLL_CFN:
        secret = thing.data.setdefault("cfn_secret", secrets.token_urlsafe(32))
        return "cfn", {
            "metadata_url": f"{thing.house.url('orchestration', guest=True)}/cfn/v1/",
            "access_key_id": access_key(thing.row),
            "secret_access_key": secret,
            "stack_name": thing.stack.name,
            "path": f"{thing.name}.Metadata",
        }
    account = await ensure_account(thing)
    return "heat", {
        "user_id": account["user_id"],
        "password": account["password"],
        "auth_url": account["auth_url"],
        "project_id": account["project_id"],
        "stack_id": f"{thing.stack.name}/{thing.stack.id}",
        "resource_name": thing.name,
    }


def collecting(thing: Thing) -> dict[str, Any] | None:
    """The settings as they were last made."""
    return thing.data.get(_KEY)


async def collected(thing: Thing) -> dict[str, Any]:
    """What the agent reads: settings, deployments, and the metadata that the template says."""
    metadata = dict(thing.metadata)
    if _KEY in thing.data:
        told = metadata.get(_KEY)
        metadata[_KEY] = {**(told if isinstance(told, dict) else {}), **thing.data[_KEY]}
        server_id = str(thing.physical_id)
        metadata["deployments"] = await server_metadata(thing.db, thing.stack.project_id, server_id)
    return metadata


async def forget_collecting(thing: Thing) -> None:
    """What was made for the agent goes with the server."""
    await remove_account(thing)
