"""An image's bytes, up and down. https://docs.openstack.org/api-ref/image/v2/#image-data"""

import re

from aerostat.kernel.errors import BadRequest, Forbidden, UnsupportedMediaType
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route

from .. import quotas
from ..config import ImageConfig
from ..errors import ImageTooLarge, RangeNotSatisfiable
from ..reading import open_bytes
from ..receiving import receive
from ..stores import stores_of
from .image import Image

MIB = 1 << 20
_RANGE = re.compile(r"bytes *= *([0-9]{0,18}) *- *([0-9]{0,18})", re.IGNORECASE)
# As if it were a request's header: what upstream has long understood, its old clients send.
_CONTENT_RANGE = re.compile(r"bytes +([0-9]{1,18})-([0-9]{1,18})/(?:[0-9]{1,18}|\*)")
SIZE_HEADER = "x-openstack-image-size"


class ImageData(Resource):
    @route("PUT", "/images/{image_id}/file", raw_body=True, status=204)
    async def upload(self, req: Request, image_id: str) -> None:
        check_is_bytes(req)
        kind = req.service.resource(Image)
        image = await kind.find(req, image_id)
        req.check("upload_image", kind.target(image))
        if image.disk_format is None or image.container_format is None:
            raise BadRequest("Properties disk_format, container_format must be set prior to saving data.")
        image_size = sent_bytes(req)
        stores = stores_of(req.house)
        store = req.headers.get("x-image-meta-store") or stores.default
        stores.check_writable(store)
        mib = image_size // MIB
        await quotas.check(req, image.owner, image_size_total=mib, image_count_uploading=1)
        await receive(req.house, image, store, req.stream(), declared_bytes(req))

    @route("GET", "/images/{image_id}/file")
    async def download(self, req: Request, image_id: str) -> Response:
        kind = req.service.resource(Image)
        image = await kind.find(req, image_id)
        req.check("download_image", kind.target(image))
        if image.status == "deactivated" and not req.context.is_admin:
            raise Forbidden("The requested image has been deactivated. Image data download is forbidden.")
        if image.status not in ("active", "deactivated"):
            return Response(None, 204)
        if image.size is None:  # it lies on a web server, and nobody has looked how large it is
            chunks = await open_bytes(req.house, image)
            return Response(chunks, 200, content_type="application/octet-stream")
        part = self._asked_range(req, image.size)
        start, end = part or (0, image.size)
        headers = {"Content-Length": str(end - start), "Accept-Ranges": "bytes"}
        status = 200
        if part is not None:
            status = 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{image.size}"
        elif image.checksum:
            headers["Content-MD5"] = image.checksum
        chunks = await open_bytes(req.house, image, start, end - start)
        return Response(chunks, status, headers, content_type="application/octet-stream")

    def _asked_range(self, req: Request, size: int) -> tuple[int, int] | None:
        """`bytes=a-b` as start and end (not included); None when all is asked for.

        Raises `BadRequest` for several ranges, `RangeNotSatisfiable` for what holds nothing or says nothing.
        """
        asked = req.headers.get("range", "").strip()
        if "," in asked:
            raise BadRequest("Requests with multiple ranges are not supported: ask for one after the other.")
        if asked:
            match = _RANGE.fullmatch(asked)
        elif asked := req.headers.get("content-range", "").strip():
            match = _CONTENT_RANGE.fullmatch(asked)
        else:
            return None
        start = end = 0
        if match is not None and match[1]:
            start, end = int(match[1]), min(size, int(match[2]) + 1 if match[2] else size)
        elif match is not None and match[2]:
            start, end = max(0, size - int(match[2])), size
        if start >= size or start >= end:
            error = RangeNotSatisfiable(size=size)
            error.headers = {"Content-Range": f"bytes */{size}"}
            raise error
        return start, end


def sent_bytes(req: Request) -> int:
    """How many bytes the client is about to send, as far as it says: else 0.

    Raises `BadRequest`, and `ImageTooLarge` before any of them is read.
    """
    text = req.headers.get(SIZE_HEADER) or req.headers.get("content-length") or "0"
    if not text.isdecimal() or len(text) > 18:
        raise BadRequest("Invalid or missing image size in request headers.")
    limit = req.house.config.section(ImageConfig).max_image_bytes
    if int(text) > limit:
        raise ImageTooLarge(limit=limit)
    return int(text)


def declared_bytes(req: Request) -> int | None:
    """What the client has said in so many words, and is held to."""
    return sent_bytes(req) if req.headers.get(SIZE_HEADER) else None


def check_is_bytes(req: Request) -> None:
    """Raises `UnsupportedMediaType`."""
    if req.headers.get("content-type", "").split(";")[0].strip() != "application/octet-stream":
        raise UnsupportedMediaType("Image data is sent as application/octet-stream.")
