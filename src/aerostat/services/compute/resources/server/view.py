"""How a server looks: the parts of its representation that are made from several columns."""

import hashlib
from collections.abc import Mapping
from typing import Any

from aerostat.kernel.http import Request

from ...states import SHOWS_FAULT, SHOWS_PROGRESS, Shown, shown
from ..arguments import at_least, bookmark

Server = Mapping[str, Any]

# Before 2.75 these were not part of what an update or a rebuild answers.
NOT_AFTER_CHANGES = (
    "key_name",
    "config_drive",
    "security_groups",
    "OS-EXT-AZ:availability_zone",
    "OS-SRV-USG:launched_at",
    "OS-SRV-USG:terminated_at",
    "OS-EXT-STS:task_state",
    "OS-EXT-STS:vm_state",
    "OS-EXT-STS:power_state",
    "os-extended-volumes:volumes_attached",
    "host_status",
)


def words(server: Server) -> Shown:
    return shown(server["state"], server["state_before"])


def host_id(server: Server, req: Request) -> str:
    """Tells hosts apart without naming them: differs from project to project."""
    if server["host"] is None:
        return ""
    return hashlib.sha224(f"{server['project_id']}{server['host']}".encode()).hexdigest()


def addresses(server: Server, req: Request) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for interface in server["interfaces"]:
        entries = found.setdefault(interface["network"], [])
        for ip in interface["ips"]:
            entries.append(
                {
                    "version": ip["version"],
                    "addr": ip["address"],
                    "OS-EXT-IPS:type": ip["type"],
                    "OS-EXT-IPS-MAC:mac_addr": interface["mac"],
                }
            )
    return found


def image(server: Server, req: Request) -> dict[str, Any]:
    return {"id": server["image_id"], "links": bookmark(req, "images", server["image_id"])}


def flavor(server: Server, req: Request) -> dict[str, Any]:
    """A link before 2.47; from then on the flavor as it was when the server was made."""
    kept = server["flavor"]
    if not at_least(req, 47):
        return {"id": server["flavor_id"], "links": bookmark(req, "flavors", server["flavor_id"])}
    embedded = {
        "vcpus": kept["vcpus"],
        "ram": kept["memory_mib"],
        "disk": kept["disk_gib"],
        "ephemeral": kept["ephemeral_gib"],
        "swap": kept["swap_mib"],
        "original_name": kept["name"],
    }
    if req.allows("os_compute_api:os-flavor-extra-specs:index"):
        embedded["extra_specs"] = kept["extra_specs"]
    return embedded


def security_groups(server: Server) -> list[dict[str, str]]:
    names = [name for one in server["interfaces"] for name in one["security_groups"]]
    return [{"name": name} for name in dict.fromkeys(names)]


def fault(server: Server, req: Request) -> dict[str, Any] | None:
    """Why it failed. Details are for administrators."""
    kept = server["fault"]
    if not kept:
        return None
    shown_fault = {
        "code": 500,
        "message": kept["message"][:255],
        "created": kept["at"].split(".")[0].rstrip("Z") + "Z",
    }
    if kept.get("detail") and req.context.is_admin:
        shown_fault["details"] = kept["detail"]
    return shown_fault


def complete(server: Server, req: Request, view: dict[str, Any]) -> dict[str, Any]:
    """Add what is there only at times, and take away what this answer does not carry."""
    status = view["status"]
    if status in SHOWS_PROGRESS and status != "ERROR":
        view["progress"] = 100 if status == "ACTIVE" else 0
    if status in SHOWS_FAULT and (why := fault(server, req)) is not None:
        view["fault"] = why
    if groups := security_groups(server):
        view["security_groups"] = groups
    if req.state.get("after_change") and not at_least(req, 75):
        for name in NOT_AFTER_CHANGES:
            view.pop(name, None)
        for name in [name for name in view if name.startswith("OS-EXT-SRV-ATTR:")]:
            del view[name]
        for entry in [entry for entries in view["addresses"].values() for entry in entries]:
            del entry["OS-EXT-IPS:type"], entry["OS-EXT-IPS-MAC:mac_addr"]
    return view


def moment(name: str) -> Any:
    """A time as the usage fields show it: with microseconds and without a zone."""

    def read(server: Server, req: Request) -> str | None:
        value = server[name]
        return value.strftime("%Y-%m-%dT%H:%M:%S.%f") if value is not None else None

    return read
