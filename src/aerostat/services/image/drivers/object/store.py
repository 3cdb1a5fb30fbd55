"""Image bytes as objects: `CONTAINER/<id>` is a manifest over segments `CONTAINER_segments/<id>/<token>/<number>`.

https://docs.openstack.org/swift/latest/overview_large_objects.html#static-large-objects. Bytes go through as they come:
no segment is ever held in memory. An image cannot be read until its manifest is there, which is written last.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

import msgspec

from aerostat.kernel.errors import ApiError, DriverError

from ..protocol import NoRoom

IN_FLIGHT = 4
"""Chunks that wait for the object store at most."""
GROWS_AFTER = 200
"""Segments of one size: a manifest has 1,000 lines at most, so the next ones are twice as large."""


class ObjectVerbs(Protocol):
    """What is asked of the object store's client."""

    async def ensure_container(self, container: str) -> None: ...
    async def list_objects(self, container: str, **query: str) -> list[dict[str, Any]]: ...
    async def upload(
        self,
        container: str,
        name: str,
        data: bytes | AsyncIterator[bytes],
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> str: ...
    async def download(
        self, container: str, name: str, start: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]: ...
    async def remove_object(self, container: str, name: str) -> None: ...


class Segment(msgspec.Struct, frozen=True):
    """A line of a manifest."""

    path: str
    etag: str
    size_bytes: int


class ObjectStore:
    is_local = False

    def __init__(self, client: Callable[[], ObjectVerbs], container: str, segment_bytes: int) -> None:
        self._client = client
        self._container, self._segments = container, f"{container}_segments"
        self._segment_bytes = segment_bytes

    def url(self, image_id: str) -> str:
        return f"object://{self._container}/{image_id}"

    def properties(self) -> dict[str, Any]:
        return {"container": self._container, "large_object_chunk_size": self._segment_bytes >> 20}

    async def begin(self, image_id: str, token: str) -> "ObjectUpload":
        client = self._client()
        with _told():
            await client.ensure_container(self._container)
            await client.ensure_container(self._segments)
        return ObjectUpload(
            client, self._container, self._segments, image_id, token, segment_bytes=self._segment_bytes
        )

    async def read(self, image_id: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        with _told():
            chunks = await self._client().download(self._container, image_id, start, length)
            async with contextlib.aclosing(chunks):  # type: ignore[type-var]
                async for chunk in chunks:
                    yield chunk

    async def remove_image(self, image_id: str) -> None:
        await self._remove(image_id, f"{image_id}/")

    async def remove_upload(self, image_id: str, token: str) -> None:
        await self._remove(image_id, f"{image_id}/{token}/")

    async def _remove(self, image_id: str, prefix: str) -> None:
        """The manifest first: an image is whole, or it is not there."""
        client = self._client()
        with _told():
            await _unless_absent(client.remove_object(self._container, image_id))
            await _remove_segments(client, self._segments, prefix)


class ObjectUpload:
    """One segment after the other."""

    def __init__(
        self,
        client: ObjectVerbs,
        container: str,
        segments: str,
        image_id: str,
        token: str,
        *,
        segment_bytes: int,
    ) -> None:
        self._client = client
        self._container, self._into = container, segments
        self._image_id, self._prefix = image_id, f"{image_id}/{token}/"
        self._segment_bytes = segment_bytes
        self._done: list[Segment] = []
        self._now: _Sending | None = None

    async def write(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        with _told():
            while view:
                if self._now is None:
                    size = self._segment_bytes << (len(self._done) // GROWS_AFTER)
                    name = f"{self._prefix}{len(self._done):08}"
                    self._now = _Sending(self._client, self._into, name, size)
                taken = view[: self._now.room]
                await self._now.send(bytes(taken))
                view = view[len(taken) :]
                if not self._now.room:
                    await self._end_segment()

    async def keep(self) -> None:
        with _told():
            if self._now is not None:
                await self._end_segment()
            if not self._done:
                await self._client.upload(self._container, self._image_id, b"")
                return
            body = msgspec.json.encode(self._done)
            query = {"multipart-manifest": "put"}
            await self._client.upload(self._container, self._image_id, body, query=query)

    async def discard(self) -> None:
        if self._now is not None:
            sending, self._now = self._now, None
            await sending.stop()
        with _told():
            await _remove_segments(self._client, self._into, self._prefix)

    async def _end_segment(self) -> None:
        sending, self._now = self._now, None
        assert sending is not None
        self._done.append(await sending.end())


class _Sending:
    """One segment on its way: the chunks go through a short queue into the body of its request."""

    def __init__(self, client: ObjectVerbs, container: str, name: str, size: int) -> None:
        self.room = size
        self._container, self._name = container, name
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._bytes = 0
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(IN_FLIGHT)
        self._task = asyncio.create_task(client.upload(container, name, self._chunks()))

    async def send(self, chunk: bytes) -> None:
        await asyncio.to_thread(self._md5.update, chunk)
        self.room -= len(chunk)
        self._bytes += len(chunk)
        await self._put(chunk)

    async def end(self) -> Segment:
        await self._put(None)
        etag = (await self._task).strip('"')
        if etag != self._md5.hexdigest():
            raise DriverError("The object store has kept other bytes than were sent.", retry=True)
        return Segment(f"/{self._container}/{self._name}", etag, self._bytes)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _put(self, chunk: bytes | None) -> None:
        """Raises what the request ended with, should it be over already."""
        put = asyncio.ensure_future(self._queue.put(chunk))
        try:
            await asyncio.wait({put, self._task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not put.done():
                put.cancel()
        if self._task.done() and chunk is not None:
            self._task.result()
            raise DriverError("The object store ended the upload too early.", retry=True)

    async def _chunks(self) -> AsyncIterator[bytes]:
        while (chunk := await self._queue.get()) is not None:
            yield chunk


async def _remove_segments(client: ObjectVerbs, container: str, prefix: str) -> None:
    while True:
        listed = await _unless_absent(client.list_objects(container, prefix=prefix))
        if not listed:
            return
        for one in listed:
            await _unless_absent(client.remove_object(container, one["name"]))


async def _unless_absent(asking: Any) -> Any:
    try:
        return await asking
    except ApiError as error:
        if error.status == 404:
            return None
        raise


@contextlib.contextmanager
def _told() -> Any:
    """What the object store answers, in the words of a store of images."""
    try:
        yield
    except ApiError as error:
        if error.status == 404:
            raise DriverError("The image's data is not there.", detail=error.text) from error
        if error.status in (413, 507):
            raise NoRoom(error.text) from error
        raise DriverError(
            "The object store cannot be used.", detail=error.text, retry=error.status >= 500, away=error.away
        ) from error
