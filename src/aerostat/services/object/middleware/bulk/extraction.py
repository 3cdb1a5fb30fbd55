"""An archive, unpacked into objects while it comes: no more of it is held than a piece."""

from typing import TYPE_CHECKING

from ...config import Limits
from ...http.constraints import size_of
from ...http.request import Body, Handler, Request, path_of
from ...http.response import Refusal
from . import tar
from .outcome import Outcome, as_client, is_nameable

if TYPE_CHECKING:
    from . import Settings

CREATED = "Number Files Created"
XATTRS = ("SCHILY.xattr.user.", "LIBARCHIVE.xattr.user.")
"""How GNU's and BSD's tar write extended attributes down."""
META = "x-object-meta-"


class Extraction:
    """See the module."""

    def __init__(
        self, next: Handler, request: Request, packing: str, limits: Limits, settings: "Settings"
    ) -> None:
        self.outcome = Outcome(201, CREATED)
        self._next = next
        self._request = request
        self._limits = limits
        self._settings = settings
        self._archive = tar.Archive(tar.unpacked(request.body.__aiter__(), packing))
        self._seen: set[str] = set()
        self._made = 0

    async def run(self) -> None:
        """Raises `Refusal` 400, 401, 411."""
        headers = self._request.headers
        if "content-length" not in headers and "transfer-encoding" not in headers:
            raise Refusal(411)
        parts = (self._request.container or "", self._request.name or "")
        base = "/".join(part for part in parts if part).rstrip("/")
        try:
            async for member in self._archive:
                name = member.name.removeprefix("./").lstrip("/")
                name = f"{base}/{name}" if base else name
                if member.is_file and "/" in name:
                    await self._extract(member, name)
                    if len(self.outcome.errors) >= self._settings.max_failed_extractions:
                        break
        except tar.BadArchive as bad:
            raise Refusal(400, f"Invalid Tar File: {bad}") from None
        self.outcome.end("Invalid Tar File: No Valid Files")

    async def _extract(self, member: tar.Member, name: str) -> None:
        outcome = self.outcome
        shown = name[: self._limits.max_object_name_length + self._limits.max_container_name_length + 2]
        headers = self._headers(member)
        if not is_nameable(name):
            outcome.fail(shown, 412)
        elif member.size > self._limits.max_file_size:
            outcome.fail(shown, 413)
        elif headers is None or member.is_sparse:
            outcome.fail(shown, 400)
        else:
            container = name.partition("/")[0]
            if size_of(container) > self._limits.max_container_name_length:
                outcome.fail(shown, 400)
                return
            trouble = await self._ensure_container(container)
            path = path_of(self._request.account or "", name)
            body = Body(self._archive.read(), member.size)
            response = await self._next(self._as_client("PUT", path, headers, body))
            if response.is_ok:
                outcome.counts[CREATED] += 1
                self._archive.is_welcome = True
                return
            if trouble is not None:
                outcome.fail(path_of(self._request.account or "", container), trouble)
            outcome.fail(shown, response.status)
            if response.status == 401:
                raise Refusal(401)

    async def _ensure_container(self, container: str) -> int | None:
        """Answers a status when it cannot be made: ACLs may let the object be written all the same.

        Raises `Refusal` 400, 401.
        """
        if container in self._seen:
            return None
        path = path_of(self._request.account or "", container)
        response = await self._next(self._as_client("HEAD", path))
        if response.status == 404:
            if self._made >= (most := self._settings.max_containers_per_extraction):
                raise Refusal(400, f"More than {most} containers to create from tar.")
            response = await self._next(self._as_client("PUT", path))
            self._made += response.is_ok
        if response.status == 401:
            raise Refusal(401)
        self._seen.add(container)
        return None if response.is_ok else response.status

    def _headers(self, member: tar.Member) -> dict[str, str] | None:
        """Of an object; None when they cannot be sent."""
        headers = {
            name: value
            for name, value in self._request.headers.items()
            if name in ("x-delete-at", "x-delete-after") or name.startswith(META)
        }
        headers["content-length"] = str(member.size)
        for key, value in member.attributes.items():
            for prefix in XATTRS:
                if not key.startswith(prefix):
                    continue
                name = key[len(prefix) :].lower()
                if name == "mime_type":
                    headers["content-type"] = value
                elif name.startswith("meta."):
                    headers[META + name.removeprefix("meta.")] = value
        is_fit = not any(char in text for pair in headers.items() for text in pair for char in "\r\n\0")
        return headers if is_fit else None

    def _as_client(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: Body | None = None
    ) -> Request:
        return as_client(self._request, self._request.sub(method, path, headers=headers, body=body))
