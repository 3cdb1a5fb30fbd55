"""Members: projects with which an image is shared. https://docs.openstack.org/api-ref/image/v2/#sharing"""

from typing import Any

from aerostat.kernel.clock import now
from aerostat.kernel.db import Duplicate, Row
from aerostat.kernel.errors import Conflict
from aerostat.kernel.http import Request
from aerostat.kernel.policy import Rule
from aerostat.kernel.resource import Resource, route

from .. import model
from ..errors import MemberNotFound, MustBeShared, TooMany
from .image import OWN, Image, config_of

_ADD = {
    "type": "object",
    "properties": {"member": {"type": "string", "minLength": 1, "maxLength": 255}},
    "required": ["member"],
}
_DECIDE = {
    "type": "object",
    "properties": {"status": {"type": "string", "enum": ["pending", "accepted", "rejected"]}},
    "required": ["status"],
}
_LOOK = "role:admin or (role:reader and (project_id:%(project_id)s or project_id:%(member_id)s))"
_PATH = "/images/{image_id}/members"


class Member(Resource):
    extra_rules = (
        *(Rule(name=name, text=OWN) for name in ("add_member", "delete_member")),
        *(Rule(name=name, text=_LOOK) for name in ("get_member", "get_members")),
        Rule(name="modify_member", text="role:admin or (role:member and project_id:%(member_id)s)"),
    )

    @route("POST", _PATH, body=_ADD)
    async def add(self, req: Request, image_id: str) -> dict[str, Any]:
        image = await self._image(req, image_id)
        req.check("add_member", self._target(req, image))
        if image.visibility != "shared":
            raise MustBeShared()
        have, limit = await req.db.count(model.MEMBERS, image_id=image.id), config_of(req).max_members
        if have >= limit:
            raise TooMany(what="members", asked=have + 1, limit=limit)
        try:
            row = await req.db.insert(
                model.MEMBERS, image_id=image.id, member_id=req.body["member"], updated_at=now()
            )
        except Duplicate:
            raise Conflict(f"Member {req.body['member']} is duplicated for image {image.id}") from None
        return self._view(req, row)

    @route("GET", _PATH)
    async def list_members(self, req: Request, image_id: str) -> dict[str, Any]:
        image = await self._image(req, image_id)
        member = await req.db.find(model.MEMBERS, image_id=image.id, member_id=req.context.project_id or "")
        req.check("get_members", self._target(req, image, member))
        if image.visibility != "shared":
            raise MustBeShared()
        rows = await req.db.all(model.MEMBERS, {"image_id": image.id}, order="member_id")
        if not self._is_owner(req, image):
            rows = [row for row in rows if row.member_id == req.context.project_id]
        return {"members": [self._view(req, row) for row in rows], "schema": "/v2/schemas/members"}

    @route("GET", _PATH + "/{member_id}")
    async def show_member(self, req: Request, image_id: str, member_id: str) -> dict[str, Any]:
        image, row = await self._member(req, image_id, member_id)
        req.check("get_member", self._target(req, image, row))
        return self._view(req, row)

    @route("PUT", _PATH + "/{member_id}", body=_DECIDE)
    async def decide(self, req: Request, image_id: str, member_id: str) -> dict[str, Any]:
        """The member says whether it wants the image; the owner cannot say it for them."""
        image, row = await self._member(req, image_id, member_id)
        req.check("modify_member", self._target(req, image, row))
        where = {"image_id": image_id, "member_id": member_id}
        await req.db.update(model.MEMBERS, where, status=req.body["status"])
        return self._view(req, await req.db.get(model.MEMBERS, **where))

    @route("DELETE", _PATH + "/{member_id}", status=204)
    async def remove(self, req: Request, image_id: str, member_id: str) -> None:
        image, _ = await self._member(req, image_id, member_id)
        req.check("delete_member", self._target(req, image))
        await req.db.delete(model.MEMBERS, image_id=image.id, member_id=member_id)

    async def _image(self, req: Request, image_id: str) -> Row:
        row: Row = await req.service.resource(Image).find(req, image_id)
        return row

    async def _member(self, req: Request, image_id: str, member_id: str) -> tuple[Row, Row]:
        image = await self._image(req, image_id)
        row = await req.db.find(model.MEMBERS, image_id=image_id, member_id=member_id)
        mine = self._is_owner(req, image) or member_id == req.context.project_id
        if row is None or not mine:
            raise MemberNotFound(member=member_id, id=image_id)
        return image, row

    def _target(self, req: Request, image: Row, member: Row | None = None) -> dict[str, Any]:
        target = dict(req.service.resource(Image).target(image))
        return {**target, "member_id": member.member_id} if member is not None else target

    def _is_owner(self, req: Request, image: Row) -> bool:
        return req.context.is_admin or image.owner == req.context.project_id

    def _view(self, req: Request, row: Row) -> dict[str, Any]:
        moment = self.service.time_format
        return {
            "image_id": row.image_id,
            "member_id": row.member_id,
            "status": row.status,
            "created_at": moment(row.created_at),
            "updated_at": moment(row.updated_at or row.created_at),
            "schema": "/v2/schemas/member",
        }
