"""How much an account may hold, in all and by storage policy; reseller admins say it, and are not bound by it.

    X-Account-Quota-Bytes   X-Account-Quota-Bytes-Policy-NAME
    X-Account-Quota-Count   X-Account-Quota-Count-Policy-NAME

https://docs.openstack.org/swift/latest/middleware.html#module-swift.common.middleware.account_quotas
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..http.request import Handler, Request
from ..http.response import Refusal, Response
from ..proxy.infos import ContainerInfo
from .container_quotas import EXCEEDED, number

if TYPE_CHECKING:
    from ..room import ObjectStore

KINDS = ("bytes", "count")
KEPT = "x-account-sysmeta-quota-"
OLD = "x-account-meta-quota-bytes"
EXCEEDED_OF_POLICY = "Upload exceeds policy quota."


class Middleware:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        self._room = room
        self._next = next

    async def __call__(self, request: Request) -> Response:
        if request.account is None:
            return await self._next(request)
        if request.container is None:
            if request.method in ("PUT", "POST"):
                self._set(request)
            response = await self._next(request)
            self._tell(response)
            return response
        if request.method == "PUT" and request.name is not None and not _is_reseller(request):
            await self._check_upload(request)
        return await self._next(request)

    # What it is

    def _names(self) -> dict[str, str]:
        """Headers of clients, without `x-account-`, and what is kept."""
        names = {}
        for kind in KINDS:
            names[f"quota-{kind}"] = KEPT + kind
            for policy in self._room.policies:
                names[f"quota-{kind}-policy-{policy.name.lower()}"] = f"{KEPT}{kind}-policy-{policy.index}"
        return names

    def _set(self, request: Request) -> None:
        """Raises `Refusal` 400, and 403 for those who are no reseller admins."""
        headers = request.headers
        for old in (OLD, OLD.replace("x-", "x-remove-", 1)):
            new = old.replace("-meta-", "-")
            if old in headers and not headers.get(new):
                headers[new] = headers[old]
        said: dict[str, str] = {}
        for name, kept in self._names().items():
            value = headers.pop(f"x-account-{name}", None)
            if headers.pop(f"x-remove-account-{name}", None):
                value = ""
            if value is not None:
                said[kept] = value
        if not said:
            return
        if not _is_reseller(request):
            raise Refusal(403)
        if any(value and number(value) is None for value in said.values()):
            raise Refusal(400)
        headers.update(said)

    def _tell(self, response: Response) -> None:
        for name, kept in self._names().items():
            if value := response.headers.get(kept):
                response.headers[f"x-account-{name}"] = value

    # What it does

    async def _check_upload(self, request: Request) -> None:
        """Raises `Refusal` 413; 401, 403 to those who may not know that there is a quota."""
        account = await self._room.infos.account(request.account)
        if account is None or not any(name.startswith(KEPT) or name == OLD for name in account.headers):
            return
        container = await self._room.infos.container(request.account, request.container)
        if container is None:
            return
        account = await self._room.infos.account(request.account, fresh=True)
        if account is None:
            return
        status = account.status
        held = {"bytes": status.bytes, "count": status.objects}
        quotas = {kind: number(account.headers.get(KEPT + kind)) for kind in KINDS}
        if quotas["bytes"] is None:
            quotas["bytes"] = number(account.headers.get(OLD))
        await self._check(request, container, held, quotas, EXCEEDED)
        of_policy = [one for one in status.policies if one.policy == container.policy]
        held = {"bytes": sum(one.bytes for one in of_policy), "count": sum(one.objects for one in of_policy)}
        quotas = {
            kind: number(account.headers.get(f"{KEPT}{kind}-policy-{container.policy}")) for kind in KINDS
        }
        await self._check(request, container, held, quotas, EXCEEDED_OF_POLICY)

    async def _check(
        self,
        request: Request,
        container: ContainerInfo,
        held: dict[str, int],
        quotas: dict[str, int | None],
        sentence: str,
    ) -> None:
        more = {"bytes": request.body.length or 0, "count": 1}
        for kind, most in quotas.items():
            if most is not None and held[kind] + more[kind] > most:
                await request.check(container.write_acl)
                raise Refusal(413, sentence)
        if (most := quotas["bytes"]) is not None:
            request.body.limit(most - held["bytes"], sentence)

    def info(self) -> Mapping[str, Any]:
        return {"account_quotas": {}}


def _is_reseller(request: Request) -> bool:
    return request.user is not None and request.user.is_reseller_admin
