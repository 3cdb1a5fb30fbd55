"""The operations that are measured, and what each may cost.

A case is prepared once and then run `count` times; what it makes is left where it is, so later cases see a cloud
that is in use.
"""

import time
import uuid
from collections.abc import Callable
from typing import NamedTuple

from .cloud import Api, Refused

LOOK_AFTER_S = 0.02
LIMIT_S = 30.0
MICROVERSION = {"OpenStack_API_Version": "compute latest"}

Once = Callable[[], object]


class Case(NamedTuple):
    """`prepare(api)` answers what is then run `count` times. `budget_ms` is of CPU, `peer` what the peer takes."""

    name: str
    budget_ms: float
    peer: str
    count: int
    prepare: Callable[[Api], Once]
    needs: str = "identity"


def token_issue(api: Api) -> Once:
    return api.sign_in


def token_validate(api: Api) -> Once:
    token = api.token or ""
    return lambda: api.call("GET", "/identity/v3/auth/tokens", X_Subject_Token=token)


def flavor_show(api: Api) -> Once:
    flavor = api.call("GET", "/compute/v2.1/flavors")["flavors"][0]["id"]
    return lambda: api.call("GET", f"/compute/v2.1/flavors/{flavor}")


def image_show(api: Api) -> Once:
    image = api.call("GET", "/image/v2/images")["images"][0]["id"]
    return lambda: api.call("GET", f"/image/v2/images/{image}")


def network_show(api: Api) -> Once:
    network = _network(api)
    return lambda: api.call("GET", f"/networking/v2.0/networks/{network}")


def network_create(api: Api) -> Once:
    return lambda: api.call("POST", "/networking/v2.0/networks", {"network": {"name": "n"}})


def port_create(api: Api) -> Once:
    network = _network(api)
    return lambda: api.call("POST", "/networking/v2.0/ports", {"port": {"network_id": network}})


def security_group_create(api: Api) -> Once:
    body = {"security_group": {"name": "g"}}
    return lambda: api.call("POST", "/networking/v2.0/security-groups", body)


def allocation_claim(api: Api) -> Once:
    provider = api.call("GET", "/placement/resource_providers")["resource_providers"][0]["uuid"]
    owner = {"project_id": api.project_id, "user_id": "bench"}
    resources = {"VCPU": 1, "MEMORY_MB": 1, "DISK_GB": 1}

    def once() -> None:
        consumer = f"/placement/allocations/{uuid.uuid4()}"
        body = {"allocations": {provider: {"resources": resources}}, **owner}
        api.call("PUT", consumer, body, OpenStack_API_Version="placement 1.12")
        api.call("DELETE", consumer)

    return once


def server_create(api: Api) -> Once:
    network, image, flavor = _network(api), _image(api), _small_flavor(api)

    def once() -> None:
        asked = {
            "name": "s",
            "imageRef": image,
            "flavorRef": flavor,
            "networks": [{"uuid": network}],
        }
        made = api.call("POST", "/compute/v2.1/servers", {"server": asked}, **MICROVERSION)["server"]["id"]
        _wait(api, f"/compute/v2.1/servers/{made}", "server", "status", "ACTIVE", "ERROR")

    return once


def servers_fill(api: Api) -> Once:
    """Brings the number of servers to a hundred."""
    there = len(api.call("GET", "/compute/v2.1/servers")["servers"])
    make = server_create(api)

    def once() -> None:
        for _ in range(100 - there):
            make()

    return once


def server_show(api: Api) -> Once:
    server = api.call("GET", "/compute/v2.1/servers")["servers"][0]["id"]
    return lambda: api.call("GET", f"/compute/v2.1/servers/{server}", **MICROVERSION)


def server_list(limit: int) -> Callable[[Api], Once]:
    return lambda api: lambda: api.call("GET", f"/compute/v2.1/servers/detail?limit={limit}", **MICROVERSION)


def stack_create(size: int) -> Callable[[Api], Once]:
    template = {
        "heat_template_version": "2018-08-31",
        "resources": {
            f"r{index}": {"type": "OS::Heat::RandomString", "properties": {"length": 8}}
            for index in range(size)
        },
    }

    def prepare(api: Api) -> Once:
        def once() -> None:
            body = {"stack_name": f"s{uuid.uuid4().hex}", "template": template, "timeout_mins": 5}
            base = f"/orchestration/v1/{api.project_id}/stacks"
            made = api.call("POST", base, body)["stack"]["id"]
            path = f"{base}/{body['stack_name']}/{made}"
            _wait(api, path, "stack", "stack_status", "CREATE_COMPLETE", "CREATE_FAILED")

        return once

    return prepare


CASES = (
    Case("token issue, bcrypt at its cheapest (0.9 ms)", 2.9, "326–348 with bcrypt", 200, token_issue),
    Case("token validate", 0.4, "12–14", 1000, token_validate),
    Case("flavor show", 1, "14", 1000, flavor_show, "compute"),
    Case("image show", 1, "9", 1000, image_show, "image"),
    Case("network show", 1, "21", 1000, network_show, "network"),
    Case("network create", 4, "91–99", 200, network_create, "network"),
    Case("port create", 4, "230", 200, port_create, "network"),
    Case("security group create", 4, "109–132", 200, security_group_create, "network"),
    Case("placement claim and release", 4, "–", 200, allocation_claim, "placement"),
    Case("server create to ACTIVE, with a port", 40, "2,870", 20, server_create, "compute"),
    Case("server show", 1.5, "65", 500, server_show, "compute"),
    Case("server list of 3", 3, "127–150", 300, server_list(3), "compute"),
    Case("(98 more servers, for the list)", 98 * 40, "–", 1, servers_fill, "compute"),
    Case("server list of 100", 20, "854–1,106 (102)", 50, server_list(100), "compute"),
    Case("stack of 10 small resources", 30, "2,310–3,180", 20, stack_create(10), "orchestration"),
    Case("stack of 100 small resources", 250, "18,800", 3, stack_create(100), "orchestration"),
)


def _network(api: Api) -> str:
    """A network with room for many ports, made at the first call."""
    found = api.call("GET", "/networking/v2.0/networks?name=bench")["networks"]
    if found:
        return str(found[0]["id"])
    made = api.call("POST", "/networking/v2.0/networks", {"network": {"name": "bench"}})["network"]["id"]
    subnet = {"network_id": made, "ip_version": 4, "cidr": "10.64.0.0/18"}
    api.call("POST", "/networking/v2.0/subnets", {"subnet": subnet})
    return str(made)


def _image(api: Api) -> str:
    return str(api.call("GET", "/image/v2/images")["images"][0]["id"])


def _small_flavor(api: Api) -> str:
    flavors = api.call("GET", "/compute/v2.1/flavors/detail")["flavors"]
    return str(min(flavors, key=lambda flavor: flavor["ram"])["id"])


def _wait(api: Api, path: str, key: str, field: str, goal: str, bad: str) -> None:
    """Look until it is there; each look costs what a show costs, and is counted with the rest."""
    began_s = time.monotonic()
    pause_s = LOOK_AFTER_S
    while True:
        time.sleep(pause_s)
        found = api.call("GET", path)[key]
        if found[field] == goal:
            return
        if found[field] == bad:
            raise Refused(f"{path}: {found.get('fault') or found.get('stack_status_reason')}")
        if time.monotonic() - began_s > LIMIT_S:
            raise Refused(f"{path} is still {found[field]} after {LIMIT_S:.0f} s")
        pause_s = max(LOOK_AFTER_S, 0.3 * (time.monotonic() - began_s))
