"""Software deployments: configurations given to servers, and what the servers say became of them.

A deployment is a row of its own, whether a stack or a user made it. A server's agent reads all that are for it, in
order of their configurations' names, and signals the outputs of each.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from aerostat.kernel import clock
from aerostat.kernel.db import Row, Store, Transaction
from aerostat.kernel.service import iso_z
from aerostat.kernel.work import wake

from . import model
from .states import status_of

IN_PROGRESS, COMPLETE, FAILED = "IN_PROGRESS", "COMPLETE", "FAILED"
STATUS_CODE = "deploy_status_code"
OUTPUTS = ("deploy_stdout", "deploy_stderr", STATUS_CODE)
"""What every deployment has for outputs, beside those that its configuration names."""


def config_view(row: Row) -> dict[str, Any]:
    """A configuration as clients and agents see it."""
    return {
        "id": row.id,
        "name": row.name,
        "group": row.group,
        "config": row.config,
        "inputs": row.inputs,
        "outputs": row.outputs,
        "options": row.options,
        "project": row.project_id,
        "creation_time": iso_z(row.created_at),
    }


def deployment_view(row: Row, resource: Row | None = None) -> dict[str, Any]:
    """A deployment as clients see it. `resource` is the stack's resource that it belongs to, if it does."""
    status, reason = row.status, row.status_reason
    if status == IN_PROGRESS and resource is not None and status_of(resource.state) == FAILED:
        status, reason = FAILED, "Deployment cancelled."
    return {
        "id": row.id,
        "server_id": row.server_id,
        "config_id": row.config_id,
        "input_values": row.input_values,
        "output_values": row.output_values,
        "action": row.action,
        "status": status,
        "status_reason": reason,
        "creation_time": iso_z(row.created_at),
        "updated_time": iso_z(row.changed_at) if row.changed_at else None,
    }


async def server_metadata(db: Store, project_id: str, server_id: str) -> list[dict[str, Any]]:
    """The configurations that a server is to have, in the order of their names."""
    where = {"project_id": project_id, "server_id": server_id}
    rows = await db.all(model.SOFTWARE_DEPLOYMENTS, where)
    configs = await db.all(model.SOFTWARE_CONFIGS, {"id": [row.config_id for row in rows]}) if rows else []
    return [config_view(one) for one in sorted(configs, key=lambda one: (one.name, one.created_at))]


async def deploy(
    tx: Transaction, id: str, project_id: str, server_id: str, config: Mapping[str, Any], **values: Any
) -> None:
    """Give a server this configuration, in place of the one that the deployment of this id had.

    `config` are columns of a configuration with its inputs filled in; `values` columns of the deployment.
    """
    derived = await tx.insert(model.SOFTWARE_CONFIGS, project_id=project_id, **config)
    known = await tx.find(model.SOFTWARE_DEPLOYMENTS, id=id)
    if known is None:
        where = {"id": id, "project_id": project_id, "server_id": server_id}
        await tx.insert(model.SOFTWARE_DEPLOYMENTS, **where, config_id=derived.id, output_values={}, **values)
        return
    changes = {"config_id": derived.id, "changed_at": clock.now(), **values}
    await tx.update(model.SOFTWARE_DEPLOYMENTS, {"id": id}, **changes)
    await tx.delete(model.SOFTWARE_CONFIGS, id=known.config_id)


async def withdraw(tx: Transaction, id: str) -> None:
    """Take a deployment back, and the configuration that was made for it."""
    known = await tx.find(model.SOFTWARE_DEPLOYMENTS, id=id)
    if known is not None:
        await tx.delete(model.SOFTWARE_DEPLOYMENTS, id=id)
        await tx.delete(model.SOFTWARE_CONFIGS, id=known.config_id)


async def take_signal(db: Store, id: str, details: Mapping[str, Any]) -> str | None:
    """What an agent says about a deployment; answers what came of it, None when nobody waits for it any more."""
    async with db.transaction() as tx:
        row = await tx.find(model.SOFTWARE_DEPLOYMENTS, id=id)
        if row is None or row.status != IN_PROGRESS:
            return None
        config = await tx.find(model.SOFTWARE_CONFIGS, id=row.config_id)
        told, failures = outcome(config.outputs if config is not None else (), details)
        values = {**(row.output_values or {}), **told}
        status = FAILED if failures else COMPLETE
        reason = ", ".join(f"{key} : {text}" for key, text in failures.items()) or "Outputs received"
        await tx.update(
            model.SOFTWARE_DEPLOYMENTS,
            {"id": id},
            output_values=values,
            status=status,
            status_reason=reason,
            changed_at=clock.now(),
        )
        await wake_waiting(tx, id)
    if not failures:
        return "deployment succeeded"
    code = details.get(STATUS_CODE)
    return f"deployment failed ({code})" if STATUS_CODE in failures else "deployment failed"


def outcome(
    outputs: Iterable[Mapping[str, Any]], details: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The outputs of a signal, and for each that means failure why. A status code that is not 0 is one."""
    told: dict[str, Any] = {}
    failures: dict[str, str] = {}
    code = details.get(STATUS_CODE)
    if code and str(code) != "0":
        failures[STATUS_CODE] = f"Deployment exited with non-zero status code: {code}"
    for one in outputs or ():
        name = one["name"]
        if name in details:
            told[name] = details[name]
            if one.get("error_output"):
                failures[name] = str(details[name])
    return {**told, **{name: details.get(name) for name in OUTPUTS}}, failures


async def wake_waiting(tx: Transaction, id: str) -> None:
    """Wake the stack whose resource waits for a deployment; its row has the deployment's id."""
    resource = await tx.find(model.RESOURCES, id=id)
    if resource is not None:
        await wake(tx, model.STACKS, resource.stack_id)
