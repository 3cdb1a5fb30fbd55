"""A deployment as a resource of a stack: a configuration with its inputs filled in, and the wait for its outputs.

https://docs.openstack.org/heat/latest/template_guide/software_deployment.html
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .. import model
from ..deployments import COMPLETE, FAILED, IN_PROGRESS, deploy, take_signal, withdraw
from ..errors import BadBody, ResourceFailure, StackValidationFailed
from ..guest_accounts import ensure_account, remove_account
from ..lookup import NotThere, find_id
from ..signals import new_token, signal_url
from ..template import select
from ..thing import Thing
from .property import Attribute, Property, listing, mapping, text
from .resource_type import Replace, ResourceType

_CFN, _TEMP_URL, _HEAT, _NONE, _ZAQAR = (
    "CFN_SIGNAL",
    "TEMP_URL_SIGNAL",
    "HEAT_SIGNAL",
    "NO_SIGNAL",
    "ZAQAR_SIGNAL",
)
_REFUSED = {
    _TEMP_URL: "there is no object store in this cloud",
    _ZAQAR: "there is no messaging service in this cloud",
}
_ACTIONS = ("CREATE", "UPDATE", "DELETE", "SUSPEND", "RESUME")
_DEPLOYING = "deploying"  # the action whose outputs are waited for

SHARED: Mapping[str, Property] = {
    "config": text(
        "ID of software configuration resource to execute when applying to the server.", update=True
    ),
    "input_values": mapping(
        "Input values to apply to the software configuration on this server.", update=True
    ),
    "actions": listing(
        "Which lifecycle actions of the deployment resource will result in this deployment being triggered.",
        default=["CREATE", "UPDATE"],
        allowed=_ACTIONS,
        update=True,
    ),
    "name": text(
        "Name of the derived config associated with this deployment. This is used to apply a sort order to the list"
        " of configurations currently deployed to a server.",
        update=True,
    ),
    "signal_transport": text(
        "How the server should signal to heat with the deployment output values. CFN_SIGNAL will allow an HTTP POST"
        " to a signed URL. HEAT_SIGNAL will allow calls to the Heat API resource-signal using the provided keystone"
        " credentials. NO_SIGNAL will result in the resource going to the COMPLETE state without waiting for any"
        " signal.",
        default=_CFN,
        allowed=(_CFN, _TEMP_URL, _HEAT, _NONE, _ZAQAR),
    ),
}
"""The properties that single deployments and groups of them share."""

SERVER = text(
    "ID of resource to apply configuration to. Normally this should be a Nova server ID.", required=True
)
ATTRIBUTES = {
    "deploy_stdout": Attribute("Captured stdout from the configuration execution."),
    "deploy_stderr": Attribute("Captured stderr from the configuration execution."),
    "deploy_status_code": Attribute("Returned status code from the configuration execution."),
}


class Deployment(ResourceType):
    """Types say how the configuration looks once the inputs are known."""

    deaf_during = ()
    longest_wait_s = 5.0
    attributes = ATTRIBUTES

    def derived(self, thing: Thing, config: Any, inputs: Mapping[str, Any]) -> Any:
        return config or ""

    async def check(self, properties: Mapping[str, Any]) -> None:
        check_signal_transport(properties["signal_transport"])

    # Its life: each action that the template names gives the configuration to the server anew.

    async def create(self, thing: Thing) -> str | None:
        await self._check_server(thing)
        await self._deploy(thing, "CREATE")
        return thing.id

    async def find_made(self, thing: Thing) -> str | None:
        there = await thing.db.count(model.SOFTWARE_DEPLOYMENTS, id=thing.id)
        return thing.id if there or "account" in thing.data else None

    async def is_created(self, thing: Thing) -> bool:
        return await self._is_done(thing)

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        if changed:
            await self._check_inputs(thing)
            await self._deploy(thing, "UPDATE")

    async def is_updated(self, thing: Thing) -> bool:
        return await self._is_done(thing)

    async def suspend(self, thing: Thing) -> None:
        await self._deploy(thing, "SUSPEND")

    async def is_suspended(self, thing: Thing) -> bool:
        return await self._is_done(thing)

    async def resume(self, thing: Thing) -> None:
        await self._deploy(thing, "RESUME")

    async def is_resumed(self, thing: Thing) -> bool:
        return await self._is_done(thing)

    async def delete(self, thing: Thing) -> None:
        try:
            await self._deploy(thing, "DELETE")
        except ResourceFailure:
            thing.data.pop(_DEPLOYING, None)  # without its configuration there is nothing to run

    async def is_deleted(self, thing: Thing) -> bool:
        if thing.data.get(_DEPLOYING) and await _has_server(thing) and not await self._is_done(thing):
            return False
        await remove_account(thing)
        async with thing.db.transaction() as tx:
            await withdraw(tx, thing.id)
        return True

    async def check_health(self, thing: Thing) -> None:
        thing.data.pop(_DEPLOYING, None)

    async def signal(self, thing: Thing, details: Any) -> str | None:
        details = {} if details is None else details
        if not isinstance(details, dict):
            raise BadBody("The signal of a deployment is an object with its outputs.")
        return await take_signal(thing.db, thing.id, details)

    # Looking

    def knows_attribute(self, name: str) -> bool:
        return True  # outputs of the configuration

    async def attribute(self, thing: Thing, name: str, path: Sequence[str | int]) -> Any:
        row = await thing.db.find(model.SOFTWARE_DEPLOYMENTS, id=thing.id)
        return select((row.output_values or {}).get(name), path) if row is not None else None

    # How it is done

    async def _is_done(self, thing: Thing) -> bool:
        if not thing.data.get(_DEPLOYING):
            return True
        row = await thing.db.find(model.SOFTWARE_DEPLOYMENTS, id=thing.id)
        if row is not None and row.status == FAILED:
            raise ResourceFailure(f"Deployment to server failed: {row.status_reason}", "Error")
        if row is not None and row.status != COMPLETE:
            return False
        del thing.data[_DEPLOYING]
        return True

    async def _deploy(self, thing: Thing, action: str) -> None:
        values = thing.properties
        source = await _source(thing)
        if action not in _actions_of(thing, source):
            thing.data.pop(_DEPLOYING, None)
            return
        inputs = await self._inputs(thing, source["inputs"], action)
        known = {one["name"]: one.get("value") for one in inputs}
        config = {
            "name": values["name"] or source["name"] or thing.physical_name,
            "group": source["group"],
            "config": self.derived(thing, source["config"], known),
            "options": source["options"],
            "inputs": inputs,
            "outputs": source["outputs"],
        }
        waits = values["signal_transport"] != _NONE
        thing.data[_DEPLOYING] = action if waits else ""
        async with thing.db.transaction() as tx:
            await deploy(
                tx,
                thing.id,
                thing.stack.project_id,
                values["server"],
                config,
                action=action,
                input_values=values["input_values"] or {},
                status=IN_PROGRESS if waits else COMPLETE,
                status_reason="Deploy data available" if waits else "Not waiting for outputs signal",
            )
            await tx.update(model.RESOURCES, {"id": thing.id}, data=thing.data)

    async def _inputs(
        self, thing: Thing, declared: Iterable[Mapping[str, Any]], action: str
    ) -> list[dict[str, Any]]:
        """The inputs that the configuration declares, those that it does not, and what the agent must know."""
        given = dict(thing.properties["input_values"] or {})
        inputs = [{**one, "value": given.pop(one["name"], one.get("default"))} for one in declared]
        inputs += [_input(name, value) for name, value in given.items()]
        inputs += [
            _input("deploy_server_id", thing.properties["server"], "ID of the server being deployed to"),
            _input("deploy_action", action, "Name of the current action being deployed"),
            _input(
                "deploy_stack_id",
                f"{thing.stack.name}/{thing.stack.id}",
                "ID of the stack this deployment belongs to",
            ),
            _input("deploy_resource_name", thing.name, "Name of this deployment resource in the stack"),
        ]
        return [*inputs, *(await _signal_inputs(thing))]

    async def _check_inputs(self, thing: Thing) -> None:
        """Raises `Replace` when an input changed that asks for it."""
        row = await thing.db.find(model.SOFTWARE_DEPLOYMENTS, id=thing.id)
        config = row and await thing.db.find(model.SOFTWARE_CONFIGS, id=row.config_id)
        if config is None:
            return
        old = {one["name"]: one.get("value") for one in config.inputs}
        given = thing.properties["input_values"] or {}
        for one in (await _source(thing))["inputs"]:
            name = one["name"]
            value = given.get(name, one.get("default"))
            if one.get("replace_on_change") and name in old and old[name] != value:
                raise Replace

    async def _check_server(self, thing: Thing) -> None:
        """A server of a stack that does not listen would be waited for in vain."""
        server = await _server_row(thing)
        if server is None or server.kind != "OS::Nova::Server":
            return
        if server.properties.get("user_data_format") != "SOFTWARE_CONFIG":
            raise ResourceFailure(
                f"Resource {server.name}'s property user_data_format should be set to SOFTWARE_CONFIG since there"
                " are software deployments on it.",
                "StackValidationFailed",
            )


def check_signal_transport(transport: str) -> None:
    """Raises `StackValidationFailed`."""
    if transport in _REFUSED:
        raise StackValidationFailed(
            f"The signal_transport {transport} is not supported: {_REFUSED[transport]}."
        )


def replace_inputs(snippet: Any, inputs: Mapping[str, Any], key: str, *, strict: bool) -> Any:
    """`{get_input: name}` in a structured configuration as the value of that input. Raises `ResourceFailure`."""
    if isinstance(snippet, dict):
        if len(snippet) == 1 and isinstance(name := snippet.get(key), str):
            if strict and name not in inputs:
                raise ResourceFailure(f"The Parameter ({name}) was not provided.", "UserParameterMissing")
            return inputs.get(name)
        return {one: replace_inputs(value, inputs, key, strict=strict) for one, value in snippet.items()}
    if isinstance(snippet, list):
        return [replace_inputs(one, inputs, key, strict=strict) for one in snippet]
    return snippet


async def _source(thing: Thing) -> dict[str, Any]:
    """The configuration that the template names; an empty one when it names none. Raises `ResourceFailure`."""
    id = thing.properties["config"]
    if not id:
        return {
            "name": "",
            "group": "Heat::Ungrouped",
            "config": None,
            "inputs": [],
            "outputs": [],
            "options": {},
        }
    row = await thing.db.find(model.SOFTWARE_CONFIGS, id=id, project_id=thing.stack.project_id)
    if row is None:
        raise ResourceFailure(f"The Software config ({id}) could not be found.", "EntityNotFound")
    return {name: row[name] for name in ("name", "group", "config", "inputs", "outputs", "options")}


def _actions_of(thing: Thing, source: Mapping[str, Any]) -> set[str]:
    """A component says itself for which actions it has something to run."""
    if source["group"] == "component":
        return {action for one in source["config"]["configs"] for action in one["actions"]}
    return set(thing.properties["actions"])


async def _signal_inputs(thing: Thing) -> list[dict[str, Any]]:
    """How the agent is to answer."""
    transport = thing.properties["signal_transport"]
    inputs = [
        _input(
            "deploy_signal_transport",
            transport,
            "How the server should signal to heat with the deployment output values.",
        )
    ]
    if transport == _CFN:
        url = f"{signal_url(thing.house, thing.stack, thing.name)}?token={new_token(thing.row)}"
        inputs += [
            _input("deploy_signal_id", url, "ID of signal to use for signaling output values"),
            _input("deploy_signal_verb", "POST", "HTTP verb to use for signaling outputvalues"),
        ]
    elif transport == _HEAT:
        account = await ensure_account(thing)
        inputs += [
            _input(f"deploy_{name}", account[name], f"The {name} for API authentication")
            for name in ("auth_url", "username", "user_id", "password", "project_id")
        ]
    elif transport in _REFUSED:
        raise ResourceFailure(f"{transport} is not supported: {_REFUSED[transport]}.", "NotSupported")
    return inputs


def _input(name: str, value: Any, description: str = "") -> dict[str, Any]:
    return {"name": name, "type": "String", "value": value, "description": description}


async def _server_row(thing: Thing) -> Any:
    """The resource of a stack of the same project that the server is, if it is one."""
    rows = await thing.db.all(model.RESOURCES, {"physical_id": thing.properties["server"], "current": True})
    return rows[0] if rows else None


async def _has_server(thing: Thing) -> bool:
    """Whether the server is still there to run what it is told."""
    if await _server_row(thing) is not None:
        return True
    if "compute" not in thing.house.services:
        return False
    try:
        await find_id(thing.client("compute"), "server", thing.properties["server"])
    except NotThere:
        return False
    return True
