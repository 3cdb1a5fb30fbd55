"""OS::Heat::WaitConditionHandle: the address at which a guest says that it is ready.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Heat::WaitConditionHandle
"""

from collections.abc import Sequence
from typing import Any

from ...errors import BadBody
from ...signals import add_signal, new_token, shortened, signal_url
from ...template import select
from ...thing import Thing
from ..property import Attribute, text
from ..resource_type import ResourceType

_TRANSPORTS = (
    "CFN_SIGNAL",
    "TEMP_URL_SIGNAL",
    "HEAT_SIGNAL",
    "NO_SIGNAL",
    "ZAQAR_SIGNAL",
    "TOKEN_SIGNAL",
)
SUCCESS = "SUCCESS"


class WaitConditionHandle(ResourceType):
    name = "OS::Heat::WaitConditionHandle"
    description = "Resource for managing instance signals."
    outside = False
    properties = {
        "signal_transport": text(
            "How the client will signal the wait condition. Every one but NO_SIGNAL is a token of its own here.",
            default="TOKEN_SIGNAL",
            allowed=_TRANSPORTS,
        )
    }
    attributes = {
        "token": Attribute("Token for stack-user which can be used for signalling handle."),
        "endpoint": Attribute("Endpoint/url which can be used for signalling handle."),
        "curl_cli": Attribute(
            "Convenience attribute, provides curl CLI command prefix, which can be used for signalling handle"
            " completion or failure."
        ),
        "signal": Attribute("JSON serialized map that includes the endpoint, token and/or other attributes."),
    }

    async def create(self, thing: Thing) -> str | None:
        new_token(thing.row)
        return thing.physical_name

    async def attribute(self, thing: Thing, name: str, path: Sequence[str | int]) -> Any:
        if thing.properties["signal_transport"] == "NO_SIGNAL":
            return None
        endpoint, token = signal_url(thing.house, thing.stack, thing.name), new_token(thing.row)
        values: dict[str, Any] = {
            "endpoint": endpoint,
            "token": token,
            "curl_cli": f"curl -i -X POST -H 'X-Auth-Token: {token}' -H 'Content-Type: application/json'"
            f" -H 'Accept: application/json' {endpoint}",
            "signal": f'{{"token": "{token}", "endpoint": "{endpoint}"}}',
        }
        return select(values.get(name), path)

    async def signal(self, thing: Thing, details: Any) -> str:
        details = {} if details is None else details
        if not isinstance(details, dict) or not set(details) <= {"id", "status", "reason", "data"}:
            raise BadBody("A signal is an object with any of: id, status, reason, data.")
        for word in ("id", "status", "reason"):
            if not isinstance(details.get(word, ""), str | int):
                raise BadBody(f"The {word} of a signal is a string.")
        key = str(details["id"])[:255] if details.get("id") not in (None, "") else None
        status = str(details.get("status") or SUCCESS)[:255]
        reason = str(details.get("reason") or "")
        async with thing.db.transaction() as tx:
            key = await add_signal(
                thing.house, tx, thing.row, key=key, status=status, reason=reason, data=details.get("data")
            )
        return f"status:{status} reason:{shortened(reason) or f'Signal {key} received'}"
