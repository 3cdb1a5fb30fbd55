"""The pieces of a static large object, whose segments may be static large objects themselves.

Manifests below are read when a range reaches into them, so a tree of a million segments costs the manifests on the way
from its root to where the reader is.
"""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable

from ..http.request import is_true
from ..http.response import Refusal, Response
from . import manifest
from .concatenation import Piece, refuse
from .manifest import Manifest, Segment

DEEPEST = 10
MOST_BYTES = 64 << 20
"""Of a manifest that is read: far more than may be written."""
MOST_KNOWN = 2 * DEEPEST
ETAG, SIZE = "x-object-sysmeta-slo-etag", "x-object-sysmeta-slo-size"
SLO = "x-static-large-object"

Fetch = Callable[[str], Awaitable[Response]]
"""GET of `container/object`, manifests as they are."""


def is_manifest(response: Response) -> bool:
    return SLO in response.headers and is_true(response.headers[SLO])


async def load(response: Response) -> Manifest:
    """The manifest that an answer brings. Raises `Refusal` 500 when it is none."""
    try:
        return manifest.read(await response.read(MOST_BYTES))
    except ValueError:
        raise Refusal(500, "Unable to load SLO manifest") from None


class Tree:
    """`path` of the large object, `account` its path up to the container: `/v1/ACCOUNT`. `root` is the answer that
    brings the manifest; it is read when it is needed.
    """

    def __init__(
        self, path: str, account: str, root: Callable[[], Awaitable[Manifest]], fetch: Fetch
    ) -> None:
        self._path = path
        self._account = account
        self._root = root
        self._fetch = fetch
        self._known: OrderedDict[tuple[str, object], Manifest] = OrderedDict()

    async def pieces(self, start: int, end: int) -> AsyncGenerator[Piece, None]:
        """See `Pieces`."""
        async for piece in self._walk(await self._root(), start, end, 1):
            yield piece

    async def _walk(self, whole: Manifest, start: int, end: int, depth: int) -> AsyncGenerator[Piece, None]:
        for index in range(whole.first_at(start), len(whole.segments)):
            begins, ends = whole.bounds(index)
            if begins >= end:
                return
            if begins == ends:
                continue
            one = whole.segments[index]
            offset = one.span[0] - begins
            first, last = max(start, begins) + offset, min(end, ends) + offset
            if (data := one.inline) is not None:
                yield Piece(first, last, data=data)
            elif one.sub_slo is True:
                async for piece in self._walk(await self._below(one, depth), first, last, depth + 1):
                    yield piece
            else:
                path = f"{self._account}/{one.path}"
                yield Piece(first, last, path=path, size=int(one.size or 0), etag=str(one.etag))

    async def _below(self, one: Segment, depth: int) -> Manifest:
        """Raises `Refusal` when it is another than it was, or lies too deep."""
        if depth >= DEEPEST:
            refuse(self._path, one.path, 409)
        key = one.path, one.etag
        if (known := self._known.get(key)) is not None:
            self._known.move_to_end(key)
            return known
        response = await self._fetch(one.path)
        if response.status != 200 or not is_manifest(response) or response.headers.get(ETAG) != one.etag:
            await response.close()
            refuse(self._path, one.path, 409 if response.status == 200 else response.status)
        self._known[key] = found = await load(response)
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        return found
