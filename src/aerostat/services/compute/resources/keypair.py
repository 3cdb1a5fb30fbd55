"""Key pairs: public keys a user puts into guests.

Wire: /os-keypairs in the Compute API, https://docs.openstack.org/api-ref/compute/#keypairs-keypairs
A key pair belongs to a user, not to a project.
"""

import secrets
from typing import Any

from aerostat.kernel.db import Duplicate, Row
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Page, Request, Response
from aerostat.kernel.http.paging import Order, named_links
from aerostat.kernel.policy import Policy
from aerostat.kernel.resource import Conditions, Resource, Rows, View, Views

from .. import model
from ..errors import KeypairExists, KeypairNotFound, KeypairQuotaExceeded
from ..quotas import limit_of_keypairs
from .arguments import PAGING, at_least, check_query
from .terms import OWN_USER

_TABLE = model.KEYPAIRS
_NAME = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^(?! )[a-zA-Z0-9 _-]+(?<! )$"}
_NAME_SINCE_92 = {**_NAME, "pattern": r"^(?! )[a-zA-Z0-9 _@.-]+(?<! )$"}


class Keypair(Resource):
    path = "/os-keypairs/{name}"
    singular, plural = "keypair", "keypairs"
    table = _TABLE
    policy = Policy("os_compute_api:os-keypairs:{verb}", default=OWN_USER)
    project_column = None
    id_column = "name"
    order = (Order("name"),)
    verbs = ("list", "show", "create", "delete")

    name = Field(str, create="required", summary=True, schema=_NAME).changed("2.92", schema=_NAME_SINCE_92)
    public_key = Field(str, create="optional", summary=True, length=(0, 10000)).changed(
        "2.92", create="required"
    )
    fingerprint = Field(str, summary=True)
    type = Field(str, create="optional", choices=("ssh", "x509"), default="ssh", since="2.2", summary=True)
    user_id = Field(str, create="optional", since="2.10", length=(1, 255))
    id = Field(int, column="number")
    created_at = Field()
    updated_at = Field()
    deleted = Field(bool, compute=lambda row, req: False)
    deleted_at = Field(compute=lambda row, req: None)

    async def list(self, req: Request) -> Page | Rows:
        known = PAGING if at_least(req, 35) else frozenset()
        check_query(req, known | {"user_id"})
        if not at_least(req, 35):
            return await req.db.all(_TABLE, {"user_id": self._owner(req)}, order="name")
        return await super().list(req)

    async def find(self, req: Request, id: str) -> Row:
        owner = self._owner(req)
        row = await req.db.find(_TABLE, user_id=owner, name=id)
        if row is None:
            raise KeypairNotFound(name=id, user_id=owner)
        return row

    async def create(self, req: Request, new: dict[str, Any]) -> Row:
        owner: str = new.get("user_id") or req.context.user_id or ""
        req.check("os_compute_api:os-keypairs:create", {"user_id": owner})
        from .. import key_material  # cryptography is large: only those who make key pairs load it

        kind = new.get("type", "ssh")
        public_key, private_key = new.get("public_key"), None
        if public_key is None:
            make = key_material.generate_ssh if kind == "ssh" else key_material.generate_certificate
            public_key, private_key = make(f"{owner}-{new['name']}")
        fingerprint = (
            key_material.ssh_fingerprint(public_key)
            if kind == "ssh"
            else key_material.certificate_fingerprint(public_key)
        )
        async with req.db.transaction() as tx:
            await self._check_quota(req, tx, owner)
            try:
                row = await tx.insert(
                    _TABLE,
                    number=secrets.randbelow(2**31 - 1) + 1,
                    user_id=owner,
                    name=new["name"],
                    type=kind,
                    public_key=public_key,
                    fingerprint=fingerprint,
                )
            except Duplicate:
                raise KeypairExists(name=new["name"]) from None
        row["private_key"] = private_key
        return row

    async def delete(self, req: Request, row: Row) -> None:
        await req.db.delete(_TABLE, id=row.id)

    def _status(self, verb: str) -> int:
        return {"list": 200, "show": 200, "create": 201, "delete": 204}[verb]

    async def _create(self, req: Request) -> Response:
        answer = await super()._create(req)
        keypair = answer.data["keypair"]
        for hidden in ("id", "created_at", "updated_at", "deleted", "deleted_at"):
            keypair.pop(hidden, None)
        keypair["user_id"] = req.state["keypair"]["user_id"]
        if req.state["keypair"]["private_key"] is not None:
            keypair["private_key"] = req.state["keypair"]["private_key"]
        answer.status = 201 if at_least(req, 2) else 200
        return answer

    async def _delete(self, req: Request) -> Response:
        answer = await super()._delete(req)
        answer.status = 204 if at_least(req, 2) else 202
        return answer

    async def prepare(self, req: Request, rows: Rows) -> None:
        if len(rows) == 1:
            req.state["keypair"] = rows[0]

    def visible(self, req: Request) -> Conditions:
        return [_TABLE.c.user_id == self._owner(req)]

    def view(self, req: Request, row: Any, brief: bool = False) -> View:
        shown = super().view(req, row, brief)
        if "user_id" not in shown:
            shown["user_id"] = row["user_id"]
        for name in ("created_at", "updated_at"):
            if row[name] is not None:
                shown[name] = row[name].strftime("%Y-%m-%dT%H:%M:%S.%f")
        return shown

    def list_envelope(self, req: Request, views: Views, page: Page) -> View:
        brief = ["name", "public_key", "fingerprint", *(["type"] if at_least(req, 2) else [])]
        shown: View = {"keypairs": [{"keypair": {key: one[key] for key in brief}} for one in views]}
        if at_least(req, 35):
            shown |= named_links(req, "keypairs", page)
        return shown

    def _owner(self, req: Request) -> str:
        """Whose key pairs are meant: from 2.10 on an administrator may name another user."""
        asked = req.argument("user_id") if at_least(req, 10) else None
        if asked is not None and asked != req.context.user_id:
            verb = {"GET": "index", "DELETE": "delete"}.get(req.method, "show")
            req.check(f"os_compute_api:os-keypairs:{verb}", {"user_id": asked})
        return asked or req.context.user_id or ""

    async def _check_quota(self, req: Request, tx: Any, owner: str) -> None:
        limit = await limit_of_keypairs(tx, req.context.project_id or "")
        if limit >= 0 and await tx.count(_TABLE, user_id=owner) >= limit:
            raise KeypairQuotaExceeded


def snapshot(keypair: Row) -> dict[str, str]:
    """A key pair as a server keeps it."""
    return {"name": keypair.name, "type": keypair.type, "public_key": keypair.public_key}
