"""Uploads by a browser's form, signed with a key of the account or the container.

https://docs.openstack.org/swift/latest/api/form_post_middleware.html

    signature = HMAC(key, "PATH\\nREDIRECT\\nMAX_FILE_SIZE\\nMAX_FILE_COUNT\\nEXPIRES")
"""

import hmac
import time
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from ..config import options_of
from ..http import constraints, multipart
from ..http.reasons import REASONS
from ..http.request import Body, Handler, Request
from ..http.response import Refusal, Response
from ..proxy import access, signatures

if TYPE_CHECKING:
    from ..room import ObjectStore

LONGEST_FIELD = 4096
MOST_FIELDS = 100
PLAIN = "text/plain; charset=UTF-8"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[object.middleware.formpost]`"""

    allowed_digests: tuple[str, ...] = signatures.DIGESTS


class Middleware:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        """Raises `ConfigError` for settings that make no sense."""
        self._room = room
        self._next = next
        self._digests = options_of(room.settings, "formpost", Settings).allowed_digests

    def info(self) -> Mapping[str, Any]:
        old = [name for name in self._digests if name in signatures.OLD_DIGESTS]
        told = {"allowed_digests": list(self._digests), **({"deprecated_digests": old} if old else {})}
        return {"formpost": told}

    async def __call__(self, request: Request) -> Response:
        if request.method != "POST" or not request.headers.get("content-type", "").startswith("multipart/"):
            return await self._next(request)
        kind, options = multipart.parameters(request.headers["content-type"])
        if kind != "multipart/form-data" or not options.get("boundary"):
            return await self._next(request)
        return _answer(*await self._take(request, options["boundary"]))

    async def _take(self, request: Request, boundary: str) -> tuple[Response, str]:
        """The answer to the last file that was tried, and where the browser is sent: a form that nobody signed sends it
        nowhere.
        """
        fields: dict[str, str] = {}
        redirect = ""
        keys = (
            await signatures.keys(self._room, request.account, request.container)
            if request.account and request.container
            else []
        )
        files = 0
        answer: Response | None = None
        async for part in multipart.Form(aiter(request.body), boundary).parts():
            _, said = multipart.parameters(part.headers.get("content-disposition", ""))
            if not said.get("filename"):
                raw = await part.read(LONGEST_FIELD)
                if "name" in said:
                    if len(fields) >= MOST_FIELDS:
                        raise Refusal(400, "FormPost: too many fields")
                    fields[said["name"].lower()] = raw.decode("utf-8", "replace").rstrip("\r\n-")
                continue
            files += 1
            if files > _number(fields, "max_file_count"):
                return _said("max file count exceeded"), redirect
            self._check(request, fields, [key for key, _ in keys])
            redirect = fields.get("redirect", "")
            answer = await self._put(request, said["filename"], fields, part)
            if not answer.is_ok:
                break
        return answer if answer is not None else _said("no files to process"), redirect

    def _check(self, request: Request, fields: Mapping[str, str], keys: list[bytes]) -> None:
        """Raises `Refusal` 401 unless it is signed for what it says, and has not expired."""
        if _number(fields, "expires") < time.time():
            raise _unauthorized(request, "Form Expired")
        names = ("redirect", "max_file_size", "max_file_count", "expires")
        values = [fields.get(name) or ("" if name == "redirect" else "0") for name in names]
        text = "\n".join([request.path, *values]).encode("utf-8", "surrogateescape")
        try:
            digest, signature = signatures.read(fields.get("signature", ""))
        except ValueError:
            raise _unauthorized(request, "Invalid Signature") from None
        good = digest in self._digests and any(
            hmac.compare_digest(hmac.digest(key, text, digest).hex(), signature) for key in keys
        )
        if not good:
            raise _unauthorized(request, "Invalid Signature")

    async def _put(
        self, request: Request, filename: str, fields: Mapping[str, str], part: multipart.Part
    ) -> Response:
        constraints.check_utf8(filename, "A file's name")
        if "\0" in filename:
            raise Refusal(412, "Invalid UTF8 or contains NULL")
        headers = {"transfer-encoding": "chunked"}
        for name in ("x_delete_at", "x_delete_after"):
            if name in fields:
                headers[name.replace("_", "-")] = str(_number(fields, name))
        for name in ("content-type", "content-encoding"):
            if value := fields.get(name) or part.headers.get(name):
                headers[name] = value
        if "origin" in request.headers:
            headers["origin"] = request.headers["origin"]
        slash = "" if request.path.endswith("/") or request.name is not None else "/"
        body = _Capped(part, _number(fields, "max_file_size"))
        sub = request.sub(
            "PUT",
            f"{request.path}{slash}{filename}",
            headers=headers,
            body=Body(body.chunks()),
            is_allowed=True,
        )
        answer = await self._next(sub)
        if body.is_over:
            raise Refusal(400, "FormPost: max_file_size exceeded")
        return answer


class _Capped:
    """The bytes of a part, as long as they are not too many."""

    def __init__(self, part: multipart.Part, most: int) -> None:
        self._part = part
        self._most = most
        self.is_over = False

    async def chunks(self) -> AsyncIterator[bytes]:
        size = 0
        async for piece in self._part:
            size += len(piece)
            if size > self._most:
                self.is_over = True
                raise Refusal(413)
            yield piece


def _number(fields: Mapping[str, str], name: str) -> int:
    """Raises `Refusal` 400."""
    try:
        return int(fields.get(name) or 0)
    except ValueError:
        raise Refusal(400, f"FormPost: {name} not an integer") from None


def _said(message: str) -> Response:
    return Response(400, {"content-type": PLAIN}, message.encode())


def _unauthorized(request: Request, message: str) -> Refusal:
    return Refusal(401, f"FormPost: {message}", access.unauthorized(request.account).headers)


def _answer(answer: Response, redirect: str) -> Response:
    """What the browser is told, or where it is sent."""
    headers = {name: value for name, value in answer.headers.items() if name.startswith("access-control")}
    message = answer.body.decode(errors="replace") if answer.status == 400 and answer.body else ""
    if not redirect:
        title = REASONS.get(answer.status, ("",))[0]
        text = f"{answer.status} {title}".strip()
        if message:
            text += f"\r\nFormPost: {message.title()}"
        return Response(answer.status, {**headers, "content-type": PLAIN}, text.encode())
    mark = "&" if "?" in redirect else "?"
    where = f"{redirect}{mark}status={answer.status}&message={quote(message)}"
    shown = where.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    page = f'<html><body><p><a href="{shown}">Click to continue...</a></p></body></html>'
    return Response(
        303, {**headers, "location": where, "content-type": "text/html; charset=UTF-8"}, page.encode()
    )
