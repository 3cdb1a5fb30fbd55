"""An image's bytes, up and down. https://docs.openstack.org/api-ref/image/v2/#image-data"""

import re
from collections.abc import AsyncIterator
from typing import Any

from aerostat.kernel.errors import ApiError, BadRequest, Forbidden, UnsupportedMediaType
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route

from ..config import ImageConfig
from ..receiving import receive
from .image import Image

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


class RangeNotSatisfiable(ApiError):
    status = 416
    message = "The requested range cannot be satisfied: the image has %(size)s bytes."


class ImageData(Resource):
    @route("PUT", "/images/{image_id}/file", raw_body=True, status=204)
    async def upload(self, req: Request, image_id: str) -> None:
        if req.headers.get("content-type", "").split(";")[0].strip() != "application/octet-stream":
            raise UnsupportedMediaType("Image data is sent as application/octet-stream.")
        kind = req.service.resource(Image)
        image = await kind.find(req, image_id)
        req.check("upload_image", kind.target(image))
        if image.disk_format is None or image.container_format is None:
            raise BadRequest("Properties disk_format, container_format must be set prior to saving data.")
        state: dict[str, Any] = req.house.state["image"]
        await receive(req.db, state["store"], req.house.config.section(ImageConfig), image, req.stream())

    @route("GET", "/images/{image_id}/file")
    async def download(self, req: Request, image_id: str) -> Response:
        kind = req.service.resource(Image)
        image = await kind.find(req, image_id)
        req.check("download_image", kind.target(image))
        if image.status == "deactivated" and not req.context.is_admin:
            raise Forbidden("The requested image has been deactivated. Image data download is forbidden.")
        if image.status not in ("active", "deactivated"):
            return Response(None, 204)
        part = self._asked_range(req, image.size)
        start, end = part or (0, image.size)
        headers = {"Content-Length": str(end - start), "Accept-Ranges": "bytes"}
        status = 200
        if part is not None:
            status = 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{image.size}"
        elif image.checksum:
            headers["Content-MD5"] = image.checksum
        store = req.house.state["image"]["store"]
        chunks = await _begun(store.read(image.id, start, end - start))
        return Response(chunks, status, headers, content_type="application/octet-stream")

    def _asked_range(self, req: Request, size: int) -> tuple[int, int] | None:
        """`bytes=a-b` as start and end (not included). None for several ranges, or none that we read: everything."""
        match = _RANGE.fullmatch(req.headers.get("range", "").strip())
        if match is None or not (match[1] or match[2]):
            return None
        if not match[1]:
            start, end = max(0, size - int(match[2])), size
        else:
            start, end = int(match[1]), min(size, int(match[2]) + 1 if match[2] else size)
        if start >= size or start >= end:
            error = RangeNotSatisfiable(size=size)
            error.headers = {"Content-Range": f"bytes */{size}"}
            raise error
        return start, end


async def _begun(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same chunks, the first of them read: data that is not there is refused before the answer starts."""
    first = await anext(chunks, None)

    async def replayed() -> AsyncIterator[bytes]:
        if first is not None:
            yield first
            async for chunk in chunks:
                yield chunk

    return replayed()
