"""An object as it was read, to be written elsewhere: for middlewares that keep what is about to be overwritten."""

from ..http.request import Body
from ..http.response import Response

OF_ONE_WRITE = ("etag", "last-modified", "x-timestamp", "accept-ranges", "content-length", "content-location")


def as_upload(source: Response) -> tuple[dict[str, str], Body | bytes]:
    """Headers and bytes of a PUT. The caller closes `source`, afterwards. Raises ValueError when it has no bytes."""
    entity = source.entity
    if entity is None:
        raise ValueError(f"{source.status} is no object")
    headers = {
        name: value
        for name, value in source.headers.items()
        if name not in OF_ONE_WRITE and not name.startswith(("x-backend-", "x-conditional-"))
    }
    if entity.data is not None:
        return headers, entity.data
    return headers, Body(entity.stream(0, entity.size), entity.size)
