"""Answers about versions, as the client is to see them."""

from urllib.parse import quote

from ...http.request import Request, path_of
from ...http.response import Refusal, Response
from .link import LINK
from .names import MARKER_TYPE, NULL

VERSION = "x-object-version-id"


def as_version(request: Request, response: Response, version: str) -> Response:
    """Of a version, under the name of its object."""
    if response.is_ok:
        path = path_of(request.account or "", request.container, request.name)
        response.headers["content-location"] = f"{quote(path, errors='surrogateescape')}?version-id={version}"
        response.headers[VERSION] = version
    return response


async def marker_gone(response: Response, version: str) -> Response:
    """A version that says that the object was deleted is not there, and says why."""
    if response.headers.get("content-type") != MARKER_TYPE:
        return response
    await response.close()
    raise Refusal(404, None, {VERSION: version, "content-type": MARKER_TYPE})


async def null_only(response: Response) -> Response:
    """What is current, if it has no version."""
    if LINK in response.headers:
        await response.close()
        raise Refusal(404)
    if response.is_ok:
        response.headers[VERSION] = NULL
    return response
