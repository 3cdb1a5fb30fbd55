"""Objects. https://docs.openstack.org/api-ref/object-store/#objects"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from .. import timestamp
from ..http import constraints
from ..http.request import OPEN_EXPIRED, Request
from ..http.response import HTML, Refusal, Response
from ..stores.object_file import SMALL, Facts, Revision
from ..stores.objects import Superseded
from ..stores.protocol import OpenObject
from ..stores.told import told
from ..timestamp import Timestamp
from . import upload

if TYPE_CHECKING:
    from ..room import ObjectStore

KEPT = (
    "content-disposition", "content-encoding", "content-language", "cache-control", "expires",
    "x-object-manifest", "x-robots-tag",
)  # fmt: skip
"""Headers that are kept with an object and answered with it, beside its metadata."""
WRITTEN_ONCE = ("x-static-large-object",)
"""Kept from a PUT, and not changed by a POST."""
OWN = ("x-object-meta-", "x-object-sysmeta-", "x-object-transient-sysmeta-")
METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE", "COPY", "OPTIONS")
ATTEMPTS = 8
OTHER_BYTES = "\0"
"""Marks a value that was not UTF-8; no header has such a character."""

T = TypeVar("T")
Made = TypeVar("Made", bound=Facts | None)


class Objects:
    """The verbs of `/v1/ACCOUNT/CONTAINER/OBJECT`."""

    def __init__(self, room: "ObjectStore") -> None:
        self._room = room
        self._limits = room.settings.limits
        self._may_open_expired = room.settings.allow_open_expired

    async def __call__(self, request: Request) -> Response:
        assert request.account is not None
        assert request.container is not None
        assert request.name is not None
        where = request.account, request.container, request.name
        match request.method:
            case "GET" | "HEAD":
                return await self._show(request, *where)
            case "PUT":
                return await self._put(request, *where)
            case "POST":
                return await self._post(request, *where)
            case "DELETE":
                return await self._delete(request, *where)
            case _:
                raise Refusal(405, None, {"allow": ", ".join(METHODS)})

    # Reading

    async def _show(self, request: Request, account: str, container: str, name: str) -> Response:
        info = await self._room.infos.container(account, container)
        await request.check(info.read_acl if info is not None else None)
        if info is None:
            raise Refusal(404)
        newest = request.is_true("x-newest")
        found = await self._room.cluster.objects(info.policy).find(account, container, name, newest=newest)
        if found is None:
            raise Refusal(404)
        facts = found.facts
        if facts.is_gone or (_is_expired(facts) and not self._opens_expired(request)):
            await found.close()
            raise Refusal(404, None, {"x-backend-timestamp": timestamp.write(facts.timestamp)})
        return Response(200, _headers(facts), entity=ObjectEntity(found))

    # Writing

    async def _put(self, request: Request, account: str, container: str, name: str) -> Response:
        info = await self._room.infos.container(account, container)
        await request.check(info.write_acl if info is not None else None)
        if info is None:
            raise Refusal(404)
        if (asked := request.headers.get("if-none-match")) is not None and asked.strip() != "*":
            raise Refusal(400, "If-None-Match only supports *")
        constraints.check_new_object(request, self._limits)
        delete_at = constraints.delete_at(request.headers)
        objects = self._room.cluster.objects(info.policy)
        if asked is not None and await self._is_there(info.policy, account, container, name):
            raise Refusal(412)
        wanted = request.headers.get("etag", "").strip().strip('"').lower()

        def facts(size: int, md5: str) -> Facts:
            if wanted and wanted != md5:
                raise Refusal(422)
            headers = {one: _stored(value) for one, value in request.headers.items() if _is_kept(one)}
            if (footers := request.state.get("footers")) is not None:
                headers.update(footers(size, md5))
            return Facts(
                path=f"/{account}/{container}/{name}",
                timestamp=request.moment(),
                size=size,
                etag=headers.pop("etag", md5),
                content_type=headers.pop("content-type", request.headers["content-type"]),
                headers=headers,
                delete_at=delete_at,
            )

        if request.body.length is not None and request.body.length <= SMALL:
            data = await upload.small(request.body)
            md5 = upload.md5_of(data)

            async def put(at: Timestamp) -> Facts:
                made = facts(len(data), md5)
                await objects.put(account, container, name, data, made)
                return made

            written = await self._room.finishing(self._write(request, put))
        else:
            written = await self._put_stream(request, info.policy, facts)
        sent = {
            "content-type": HTML,
            "etag": written.etag,
            "last-modified": constraints.last_modified(written.timestamp),
        }
        return Response(201, sent)

    async def _put_stream(self, request: Request, policy: int, facts: upload.MakeFacts) -> Facts:
        assert request.account is not None
        assert request.container is not None
        assert request.name is not None
        where = request.account, request.container, request.name
        objects = self._room.cluster.objects(policy)
        writing = await objects.begin(*where, request.body.length)
        try:
            size, md5 = await upload.stream(request.body, writing, self._limits.max_file_size)
            if (before := await objects.find(*where, newest=True)) is not None:
                await before.close()
                request.come_after(before.facts.timestamp)
            made = facts(size, md5)
        except BaseException:
            await writing.close()
            raise

        async def commit() -> Facts:
            try:
                await writing.commit(made)
            except Superseded as newer:
                if request.at is not None:
                    raise Refusal(
                        409, None, {"x-backend-timestamp": timestamp.write(newer.timestamp)}
                    ) from None
            finally:
                await writing.close()
            await self._tell(*where, made)
            return made

        written: Facts = await self._room.finishing(commit())
        return written

    async def _write(self, request: Request, write: Callable[[Timestamp], Awaitable[Made]]) -> Made:
        """Write, and tell the container what it came to."""
        assert request.account is not None
        assert request.container is not None
        assert request.name is not None
        facts = await _written(request, write)
        if facts is not None:
            await self._tell(request.account, request.container, request.name, facts)
        return facts

    async def _is_there(
        self, policy: int, account: str, container: str, name: str, *, expired: bool = False
    ) -> bool:
        """`expired`: also if its time has come."""
        found = await self._room.cluster.objects(policy).find(account, container, name, newest=True)
        if found is None:
            return False
        await found.close()
        return not found.facts.is_gone and (expired or not _is_expired(found.facts))

    def _opens_expired(self, request: Request) -> bool:
        return request.is_true("x-backend-open-expired") or (
            self._may_open_expired and request.is_true(OPEN_EXPIRED)
        )

    async def _post(self, request: Request, account: str, container: str, name: str) -> Response:
        info = await self._room.infos.container(account, container)
        await request.check(info.write_acl if info is not None else None)
        if info is None:
            raise Refusal(404)
        constraints.check_metadata(request.headers, "object", self._limits)
        delete_at = constraints.delete_at(request.headers)
        content_type = request.headers.get("content-type")
        if content_type:
            constraints.check_utf8(content_type, "Content-Type")
        if not await self._is_there(
            info.policy, account, container, name, expired=self._opens_expired(request)
        ):
            raise Refusal(404)

        async def post(at: Timestamp) -> Facts | None:
            revision = Revision(
                timestamp=at,
                headers={
                    one: _stored(value) for one, value in request.headers.items() if _is_changeable(one)
                },
                delete_at=delete_at,
                content_type=content_type or None,
                content_type_at=at if content_type else None,
            )
            return await self._room.cluster.objects(info.policy).post(account, container, name, revision)

        facts = await self._room.finishing(self._write(request, post))
        if facts is None:
            raise Refusal(404)
        kept = {one: value for one, value in facts.headers.items() if one.startswith("x-object-sysmeta-")}
        return Response(202, {"content-type": HTML, **kept})

    async def _delete(self, request: Request, account: str, container: str, name: str) -> Response:
        info = await self._room.infos.container(account, container)
        await request.check(info.write_acl if info is not None else None)
        if info is None:
            raise Refusal(404)
        objects = self._room.cluster.objects(info.policy)
        if (expected := request.headers.get("x-if-delete-at")) is not None:
            await self._check_expiry(info.policy, account, container, name, expected)

        async def delete() -> Facts | None:
            before = await _written(request, lambda at: objects.delete(account, container, name, at))
            gone = Facts(path=f"/{account}/{container}/{name}", timestamp=request.moment(), is_gone=True)
            await self._tell(account, container, name, gone)
            return before

        before = await self._room.finishing(delete())
        if before is None or before.is_gone or (_is_expired(before) and expected is None):
            raise Refusal(404)
        return Response(204, {"content-type": HTML})

    async def _check_expiry(
        self, policy: int, account: str, container: str, name: str, expected: str
    ) -> None:
        if not (expected.isascii() and expected.isdigit()):
            raise Refusal(400, "Bad X-If-Delete-At header value")
        found = await self._room.cluster.objects(policy).find(account, container, name, newest=True)
        if found is None:
            raise Refusal(404)
        await found.close()
        if found.facts.is_gone:
            raise Refusal(404)
        if str(found.facts.delete_at) != expected:
            raise Refusal(412)

    async def _tell(self, account: str, container: str, name: str, facts: Facts) -> None:
        await self._room.cluster.containers.hear(account, container, [told(name, facts)])
        if facts.delete_at is not None and not facts.is_gone:
            await self._room.expiry.note(facts.delete_at, account, container, name)


class ObjectEntity:
    """See `Entity`: an object that is being read."""

    __slots__ = ("_found", "data", "size")

    def __init__(self, found: OpenObject) -> None:
        self._found = found
        self.size: int = found.facts.size
        self.data: bytes | None = found.data

    def stream(self, start: int, end: int) -> AsyncIterator[bytes]:
        return self._found.stream(start, end)

    async def close(self) -> None:
        await self._found.close()


async def _written(request: Request, write: Callable[[Timestamp], Awaitable[T]]) -> T:
    """Write at the request's time, or later, when that is what it takes to be the newest.

    Raises `Refusal` 409 when the time is not to be moved, 503 when others are always faster.
    """
    for _ in range(ATTEMPTS):
        try:
            return await write(request.moment())
        except Superseded as newer:
            if not request.move_behind(newer.timestamp):
                raise Refusal(409, None, {"x-backend-timestamp": timestamp.write(newer.timestamp)}) from None
    raise Refusal(503)


def _headers(facts: Facts) -> dict[str, str]:
    headers = {
        "content-type": facts.content_type,
        "etag": facts.etag,
        "last-modified": constraints.last_modified(facts.timestamp),
        "x-timestamp": timestamp.write(facts.timestamp),
        "accept-ranges": "bytes",
        **facts.headers,
    }
    if facts.delete_at is not None:
        headers["x-delete-at"] = str(facts.delete_at)
    for name, value in facts.headers.items():
        if value.startswith(OTHER_BYTES):
            headers[name] = value[1:].encode("latin-1").decode("utf-8", "surrogateescape")
    return headers


def _stored(value: str) -> str:
    """Metadata of objects need not be UTF-8. What is kept must be: other bytes are kept as so many characters."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return OTHER_BYTES + value.encode("utf-8", "surrogateescape").decode("latin-1")
    return value


def _is_kept(name: str) -> bool:
    return name.startswith(OWN) or name in KEPT or name in WRITTEN_ONCE


def _is_changeable(name: str) -> bool:
    return name.startswith(("x-object-meta-", "x-object-transient-sysmeta-")) or name in KEPT


def _is_expired(facts: Facts) -> bool:
    return facts.delete_at is not None and facts.delete_at <= time.time()
