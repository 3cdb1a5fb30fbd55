"""The object store of a cloud: it lies in the state folder, and the cloud's identity says who asks.

It is opened when somebody first asks for it, so that a cloud that stores no objects pays nothing for it; one that has
objects is opened soon after the start, because it has upkeep to do.
"""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from aerostat.kernel.errors import Unavailable
from aerostat.kernel.house import House

from .config import ObjectConfig, policies_of

if TYPE_CHECKING:
    from .http.request import Request
    from .http.response import Response
    from .room import ObjectStore

SOON_S = 1.0
FIRST_DEVICE = "d1"
HEALTH = "/healthcheck"
NOT_HERE = "The object store is not on this machine."

log = structlog.get_logger(__name__)


def check(settings: ObjectConfig) -> None:
    """What is wrong with them is told when the cloud starts, though the store is opened later. Raises `ConfigError`."""
    policies_of(settings)
    if settings.middleware:
        from .pipeline import check_options

        check_options(settings)


class Housed:
    """Opens the store of a house once, and closes it."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._folder = house.config.folder.object
        self._opening: asyncio.Task[ObjectStore] | None = None
        self._soon: asyncio.TimerHandle | None = None

    def start(self) -> None:
        if (self._folder / "secret").exists():
            self._soon = asyncio.get_running_loop().call_later(SOON_S, self._open)

    async def store(self) -> "ObjectStore":
        """Raises `Unavailable` where there is none, and what opening it raised."""
        return await asyncio.shield(self._open())

    async def close(self) -> None:
        if self._soon is not None:
            self._soon.cancel()
        if self._opening is not None:
            with contextlib.suppress(Exception):  # who asked for it was told why
                await (await self._opening).close()

    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        """An ASGI application: the store's, or 503. Whether the process answers is told without opening the store."""
        if scope["path"] == HEALTH:
            from .http.front import Front

            await Front(_is_well, self._house.config.section(ObjectConfig).limits)(scope, receive, send)
            return
        try:
            store = await self.store()
        except Unavailable as error:
            await _refuse(send, error)
            return
        await store.app(scope, receive, send)

    def _open(self) -> "asyncio.Task[ObjectStore]":
        failed = self._opening is not None and self._opening.done() and self._opening.exception() is not None
        if self._opening is None or failed:
            self._opening = asyncio.create_task(self._opened())
            self._opening.add_done_callback(_say)
        return self._opening

    async def _opened(self) -> "ObjectStore":
        from .places import Places
        from .room import ObjectStore
        from .stores.mark import OtherFormat

        config = self._house.config.section(ObjectConfig)
        places = Places(self._folder)
        if not places.is_founded:
            if not self._house.config.kernel.prepares:
                raise Unavailable(NOT_HERE)  # several machines that found one each would have several stores
            await asyncio.to_thread(places.found, config, [FIRST_DEVICE])
        middleware = {"keystone": {"enabled": True}, **config.middleware}
        settings = msgspec.structs.replace(config, middleware=middleware)
        try:
            store = ObjectStore(settings, places, self._house.authenticate)
        except OtherFormat as error:
            raise Unavailable(f"The object store cannot be opened: {error}.") from None
        store.start()
        return store


async def _is_well(request: "Request") -> "Response":
    from .http.response import Response

    return Response(200, {"content-type": "text/plain; charset=UTF-8"}, b"OK")


def _say(opening: "asyncio.Task[ObjectStore]") -> None:
    if not opening.cancelled() and (error := opening.exception()) is not None:
        log.error("the object store cannot be opened", error=str(error))


async def _refuse(send: Any, error: Unavailable) -> None:
    body = f"{error.text}\n".encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})
