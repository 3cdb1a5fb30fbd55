"""Policies kept for others, and for which endpoints they are meant.

https://docs.openstack.org/api-ref/identity/v3/#policies and …/v3-ext/#os-endpoint-policy-api. A stored policy is a text
to identity: who may do what here stands in policy files (`docs/subsystems/policy.md`).
"""

from collections.abc import Awaitable, Callable
from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.errors import NotFound
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Request, Response
from aerostat.kernel.http.router import Endpoint, Handler
from aerostat.kernel.resource import route

from .. import model
from ..errors import PolicyNotFound
from ..rules import CLOUD_SCOPES, LOOK, policy_of, rules
from .service import regions_upwards
from .shape import Named, collection, links

_ADMIN, _LOOK = "rule:admin_required", LOOK.text
_KINDS = ("endpoint", "service", "region_and_service")
_PATHS = {
    "endpoint": "/endpoints/{endpoint_id}",
    "service": "/services/{service_id}",
    "region_and_service": "/services/{service_id}/regions/{region_id}",
}
_RESOURCES = {"endpoint_id": "CatalogEndpoint", "service_id": "CatalogService", "region_id": "Region"}


class StoredPolicy(Named):
    path = "/v3/policies/{policy_id}"
    singular, plural = "policy", "policies"
    table = model.POLICIES
    project_column = None
    not_found = PolicyNotFound
    extra_body_keys = True
    policy = policy_of("policy", "policies", list=LOOK, show=LOOK)
    extra_rules = rules(
        {
            **{
                f"{verb}_policy_association_for_{kind}": _LOOK if verb == "check" else _ADMIN
                for verb in ("create", "check", "delete")
                for kind in _KINDS
            },
            "get_policy_for_endpoint": _LOOK,
            "list_endpoints_for_policy": _LOOK,
        },
        CLOUD_SCOPES,
    )

    id = Field(str)
    type = Field(str, create="required", update="optional", length=(0, 255), filter=True)
    blob = Field(str, create="required", update="optional")
    links = links()

    def endpoints(self, base: str) -> list[Endpoint]:
        """One set for each kind of what a policy may be meant for; they differ in nothing else."""
        made = list(super().endpoints(base))
        for kind in _KINDS:
            path = f"/v3/policies/{{policy_id}}/OS-ENDPOINT-POLICY{_PATHS[kind]}"
            for method, verb, answer in (
                ("PUT", "create", self._associate),
                ("GET", "check", self._check),
                ("DELETE", "delete", self._dissociate),
            ):
                rule = f"identity:{verb}_policy_association_for_{kind}"
                made.append(Endpoint(method, path, _bound(rule, answer), name=f"policy.{kind}.{verb}"))
        return made

    @route("GET", "/v3/policies/{policy_id}/OS-ENDPOINT-POLICY/endpoints")
    async def endpoints_of(self, req: Request, policy_id: str) -> dict[str, Any]:
        req.check("identity:list_endpoints_for_policy")
        await self.find(req, policy_id)
        rows = []
        for row in await req.db.all(model.ENDPOINTS, order="id"):
            if await _policy_id(req, row) == policy_id:
                rows.append(row)
        return collection(req, "endpoints", rows, "CatalogEndpoint")

    @route("GET", "/v3/endpoints/{endpoint_id}/OS-ENDPOINT-POLICY/policy")
    async def policy_of_endpoint(self, req: Request, endpoint_id: str) -> dict[str, Any]:
        req.check("identity:get_policy_for_endpoint")
        endpoint = await req.service.resources["CatalogEndpoint"].find(req, endpoint_id)
        policy_id = await _policy_id(req, endpoint)
        if policy_id is None:
            raise NotFound(f"No policy is associated with endpoint {endpoint_id}.")
        return {"policy": self.view(req, await self.find(req, policy_id))}

    async def _associate(self, req: Request) -> None:
        key = await self._named(req)
        async with req.db.transaction() as tx:
            if not await tx.update(model.POLICY_ASSOCIATIONS, key, policy_id=req.params["policy_id"]):
                await tx.insert(model.POLICY_ASSOCIATIONS, **key, policy_id=req.params["policy_id"])

    async def _check(self, req: Request) -> None:
        key = await self._named(req)
        if await req.db.find(model.POLICY_ASSOCIATIONS, **key, policy_id=req.params["policy_id"]) is None:
            raise NotFound("No policy association found for what is named.")

    async def _dissociate(self, req: Request) -> None:
        key = await self._named(req)
        if not await req.db.delete(model.POLICY_ASSOCIATIONS, **key, policy_id=req.params["policy_id"]):
            raise NotFound("No policy association found for what is named.")

    async def _named(self, req: Request) -> dict[str, str]:
        """What the path names, all of which has to be there. Raises the right not-found."""
        await self.find(req, req.params["policy_id"])
        for name, kind in _RESOURCES.items():
            if name in req.params:
                await req.service.resources[kind].find(req, req.params[name])
        return {name: req.params.get(name, "") for name in _RESOURCES}


def _bound(rule: str, answer: Callable[[Request], Awaitable[None]]) -> Handler:
    async def bound(req: Request) -> Response:
        req.check(rule)
        await answer(req)
        return Response(None, 204)

    return bound


async def _policy_id(req: Request, endpoint: Row) -> str | None:
    """The endpoint's own policy, else its service's in its region or one above, else its service's."""
    nothing = {"endpoint_id": "", "service_id": "", "region_id": ""}
    named = [{**nothing, "endpoint_id": endpoint.id}]
    for region_id in await regions_upwards(req, endpoint.region_id):
        named.append({**nothing, "service_id": endpoint.service_id, "region_id": region_id})
    named.append({**nothing, "service_id": endpoint.service_id})
    for key in named:
        row = await req.db.find(model.POLICY_ASSOCIATIONS, **key)
        if row is not None:
            return str(row.policy_id)
    return None
