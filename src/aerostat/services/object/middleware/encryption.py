"""Objects that are unreadable on the disk. https://docs.openstack.org/swift/latest/overview_encryption.html

It lies innermost: whatever is above sees plain bytes. Encrypted are an object's bytes, with a key of its own; its ETag;
its users' metadata; and its ETag in the container's listing. Names, sizes, types and all other headers are not. The
key of an object is kept with it, sealed with the key of its path (`crypto/keymaster.py`).

The ETag in the file is that of the bytes as they lie there, for the auditor. Conditions are worked out above, with the
plain ETag. What cannot be decrypted is refused: neither ciphertext nor what a wrong key makes of it is served, also
where no secrets are told.
"""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from ..config import ObjectConfig, options_of
from ..crypto.keymaster import Keymaster, SecretError, UnknownSecret
from ..crypto.sealed import Unreadable, is_sealed, seal, secret_id_of, unseal
from ..crypto.stream import BodyKey
from ..http import constraints
from ..http.listing import ObjectRow, tell_etag
from ..http.request import Body, Handler, Request
from ..http.response import Entity, Refusal, Response
from ..stores.told import OVERRIDE

if TYPE_CHECKING:
    from ..room import ObjectStore

CRYPTO = "x-object-sysmeta-crypto-"
BODY_KEY, ETAG = CRYPTO + "body", CRYPTO + "etag"
LISTED = OVERRIDE + "etag"
META = "x-object-transient-sysmeta-crypto-meta-"
PLAIN_META = "x-object-meta-"
UNKNOWN = "<unknown>"
"""An ETag in a listing for which the key is missing."""
REFUSED = "Error decrypting object"

log = structlog.get_logger(__name__)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[object.middleware.encryption]`"""

    root_secrets: dict[str, str] = {}
    """By id: 32 bytes or more, in base64."""
    active_root_secret_id: str | None = None
    """The one to write with; may be left out where there is one."""
    root_secrets_file: str = ""
    """A TOML file with them instead (`crypto/keymaster.py`), which may change while the store runs."""
    disable_encryption: bool = False
    """Read what is encrypted, write plain bytes."""


def check(settings: ObjectConfig) -> None:
    """Who asks for encryption gets it, or is told why not. Raises `SecretError`."""
    options = options_of(settings, "encryption", Settings)
    if _keymaster(options) is None and not options.disable_encryption:
        raise SecretError(
            "[object.middleware.encryption]: without root_secrets or a root_secrets_file nothing would be encrypted; "
            "to store plain bytes leave the section out"
        )


class Middleware:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        settings = options_of(room.settings, "encryption", Settings)
        self._next = next
        self._limits = room.settings.limits
        self._keys = _keymaster(settings)
        self._is_writing = self._keys is not None and not settings.disable_encryption

    async def __call__(self, request: Request) -> Response:
        method = request.method
        if request.name is not None:
            if method in ("GET", "HEAD"):
                return await self._read(request)
            if self._is_writing and method in ("PUT", "POST"):
                return await (self._put(request) if method == "PUT" else self._post(request))
        elif method == "GET" and request.container is not None:
            response = await self._next(request)
            if response.listing is not None:
                self._read_listing(request, response.listing.told)
            return response
        return await self._next(request)

    # Writing

    async def _put(self, request: Request) -> Response:
        assert self._keys is not None
        writing = Writing(self._keys, request)
        before = request.headers
        request.headers = self._with_sealed_metadata(request, writing.secret_id)
        wanted = request.headers.pop("etag", "").strip().strip('"').lower()
        inner = request.state.get("footers")
        request.state["footers"] = lambda size, md5: writing.footers(size, request.headers, wanted, inner)
        request.body = Body(writing.encrypted(request.body), request.body.length)
        try:
            response = await self._next(request)
        finally:
            request.headers = before
            if inner is None:
                del request.state["footers"]
            else:
                request.state["footers"] = inner
        if response.status == 201:
            response.headers["etag"] = writing.md5.hexdigest()
        return response

    async def _post(self, request: Request) -> Response:
        assert self._keys is not None
        before = request.headers
        request.headers = self._with_sealed_metadata(request, self._keys.active_id())
        try:
            return await self._next(request)
        finally:
            request.headers = before

    def _with_sealed_metadata(self, request: Request, secret_id: str) -> dict[str, str]:
        """Raises `Refusal` 400 for metadata that would be too much as it is."""
        assert self._keys is not None
        constraints.check_metadata(request.headers, "object", self._limits)
        headers = {}
        key = b""
        for name, value in request.headers.items():
            if value and name.startswith(PLAIN_META):
                key = key or self._keys.key(secret_id, object_path(request))
                name = META + name[len(PLAIN_META) :]
                value = seal(key, secret_id, name, value.encode("utf-8", "surrogateescape"))
            headers[name] = value
        return headers

    # Reading

    async def _read(self, request: Request) -> Response:
        response = await self._next(request)
        headers = response.headers
        hidden = [name for name in headers if name.startswith((CRYPTO, META))]
        if not hidden and not is_sealed(headers.get(LISTED, "")):
            return response
        try:
            self._decrypt(request, response, hidden)
        except (UnknownSecret, Unreadable, ValueError) as error:
            await response.close()
            log.error(
                "object cannot be decrypted",
                path=object_path(request),
                trans_id=request.trans_id,
                secret_id=error.secret_id if isinstance(error, UnknownSecret) else None,
                reason="no such root secret is told" if isinstance(error, UnknownSecret) else str(error),
            )
            raise Refusal(500, REFUSED) from None
        return response

    def _decrypt(self, request: Request, response: Response, hidden: list[str]) -> None:
        headers, path = response.headers, object_path(request)
        shown = []
        for name in hidden:
            sealed = headers.pop(name)
            content = self._unsealed(path, name, sealed)
            if name.startswith(META):
                plain_name = PLAIN_META + name[len(META) :]
                headers[plain_name] = content.decode("utf-8", "surrogateescape")
                shown.append(plain_name)
            elif name == ETAG:
                headers["etag"] = content.decode()
            elif name == BODY_KEY and response.entity is not None:
                response.entity = Decrypted(response.entity, BodyKey(content))
        if is_sealed(listed := headers.get(LISTED, "")):
            headers[LISTED] = self._unsealed(container_path(request), LISTED, listed).decode()
        if shown and "access-control-expose-headers" in headers:
            headers["access-control-expose-headers"] += ", " + ", ".join(shown)

    def _read_listing(self, request: Request, rows: Sequence[ObjectRow]) -> None:
        path = container_path(request)
        missing: set[str] = set()
        for row in rows:
            if not is_sealed(row.hash):
                continue
            try:
                listed = self._unsealed(path, LISTED, row.hash).decode()
                tell_etag(row, listed, request.account or "")
            except UnknownSecret as error:
                row.hash = UNKNOWN
                if error.secret_id not in missing:
                    missing.add(error.secret_id)
                    log.error("listing cannot be decrypted", path=path, secret_id=error.secret_id)
            except Unreadable as error:
                row.hash = UNKNOWN
                log.error("listing cannot be decrypted", path=f"{path}/{row.name}", reason=str(error))

    def _unsealed(self, path: str, purpose: str, sealed: str) -> bytes:
        secret_id = secret_id_of(sealed)
        if self._keys is None:
            raise UnknownSecret(secret_id)
        return unseal(self._keys.key(secret_id, path), purpose, sealed)

    def info(self) -> Mapping[str, Any]:
        return {}


def _keymaster(settings: Settings) -> Keymaster | None:
    """None where no secret is told. Raises `SecretError`."""
    if settings.root_secrets_file:
        if settings.root_secrets:
            raise SecretError(
                "[object.middleware.encryption]: root_secrets and a root_secrets_file; one would be ignored"
            )
        try:
            return Keymaster({}, None, Path(settings.root_secrets_file))
        except OSError as error:
            raise SecretError(f"{settings.root_secrets_file} cannot be read: {error.strerror}") from None
    if settings.root_secrets:
        return Keymaster(settings.root_secrets, settings.active_root_secret_id)
    return None


class Writing:
    """One PUT: its keys, and what its bytes were before they were encrypted."""

    def __init__(self, keys: Keymaster, request: Request) -> None:
        self.secret_id = keys.active_id()
        self.md5 = hashlib.md5(usedforsecurity=False)
        self._key = keys.key(self.secret_id, object_path(request))
        self._container_key = keys.key(self.secret_id, container_path(request))
        self._body_key = BodyKey.new()

    async def encrypted(self, body: Body) -> AsyncIterator[bytes]:
        turning = self._body_key.at(0)
        async for chunk in body:
            self.md5.update(chunk)
            yield turning.update(chunk)

    def footers(self, size: int, headers: Mapping[str, str], wanted: str, inner: Any) -> Mapping[str, str]:
        """What is kept with the object now that its bytes are through. Raises `Refusal` 422."""
        md5 = self.md5.hexdigest()
        found = dict(inner(size, md5)) if inner is not None else {}
        wanted = found.pop("etag", wanted)
        if wanted and wanted != md5:
            raise Refusal(422)
        listed = found.get(LISTED, headers.get(LISTED))
        if size:
            found[BODY_KEY] = seal(self._key, self.secret_id, BODY_KEY, self._body_key.packed)
            found[ETAG] = seal(self._key, self.secret_id, ETAG, md5.encode())
            listed = md5 if listed is None else listed
        if listed:
            found[LISTED] = seal(self._container_key, self.secret_id, LISTED, listed.encode())
        return found


class Decrypted:
    """See `Entity`: the plain bytes of an encrypted one."""

    __slots__ = ("_data", "_entity", "_key", "size")

    def __init__(self, entity: Entity, key: BodyKey) -> None:
        self._entity, self._key = entity, key
        self.size = entity.size
        self._data: bytes | None = None

    @property
    def data(self) -> bytes | None:
        if self._data is None and (sealed := self._entity.data) is not None:
            self._data = self._key.at(0).update(sealed)
        return self._data

    async def stream(self, start: int, end: int) -> AsyncIterator[bytes]:
        turning = self._key.at(start)
        async for piece in self._entity.stream(start, end):
            yield turning.update(piece)

    async def close(self) -> None:
        await self._entity.close()


def object_path(request: Request) -> str:
    return f"/{request.account}/{request.container}/{request.name}"


def container_path(request: Request) -> str:
    return f"/{request.account}/{request.container}"
