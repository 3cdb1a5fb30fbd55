"""Many operations in one request: deletions by a list of names, uploads by an archive.

    POST or DELETE ?bulk-delete                          names, one a line, quoted
    PUT ?extract-archive=tar | tar.gz | tar.bz2          an archive, whose files become objects

https://docs.openstack.org/swift/latest/middleware.html#module-swift.common.middleware.bulk. Each operation goes through
the whole pipeline as if the client had asked for it. The answer is 200 whatever comes of them; what came of them is in
its body (`http/report.py`).
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import structlog

from ...http import report
from ...http.request import Request
from ...http.response import Refusal, Response
from ...pipeline import Handler
from .deletion import Deletion
from .extraction import Extraction
from .outcome import Outcome

ARCHIVES = {"tar": "", "tar.gz": "gz", "tar.bz2": "bz2"}

log = structlog.get_logger(__name__)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[object.middleware.bulk]`"""

    enabled: bool = True
    max_containers_per_extraction: int = 10_000
    max_failed_extractions: int = 1000
    max_deletes_per_request: int = 10_000
    max_failed_deletes: int = 1000
    yield_frequency: float = report.INTERVAL_S
    """Seconds between the blanks that tell a client that the work goes on."""
    delete_concurrency: int = 2


class Middleware:
    """See the module."""

    def __init__(self, room: Any, next: Handler) -> None:
        self._room = room
        self._next = next
        self._settings = msgspec.convert(room.settings.middleware.get("bulk", {}), Settings)

    async def __call__(self, request: Request) -> Response:
        query = request.query
        if not query or request.account is None:
            return await self._next(request)
        limits = self._room.settings.limits
        if "bulk-delete" in query and request.method in ("POST", "DELETE"):
            deletion = Deletion(self._next, request, limits, self._settings)
            return await self._answer(request, deletion.outcome, "delete", deletion.run)
        if request.method == "PUT" and (kind := query.get("extract-archive")) is not None:
            packing = ARCHIVES.get(kind.lower().strip("."))
            if packing is None:
                raise Refusal(400, "Unsupported archive format")
            extraction = Extraction(self._next, request, packing, limits, self._settings)
            return await self._answer(request, extraction.outcome, "extract", extraction.run)
        return await self._next(request)

    async def _answer(
        self, request: Request, outcome: Outcome, root: str, run: Callable[[], Awaitable[None]]
    ) -> Response:
        kind = report.best_kind(request.headers.get("accept"))
        known = kind or report.KINDS[0]

        async def work() -> bytes:
            try:
                if kind is None:
                    raise Refusal(406)
                await run()
            except Refusal as refused:
                outcome.refuse(refused)
            except Exception:
                log.exception("unexpected error", path=request.path, trans_id=request.trans_id)
                outcome.refuse(Refusal(500))
            return report.write(known, outcome.facts(), outcome.errors, root)

        interval_s = self._settings.yield_frequency
        return await report.answer(work(), known, 200, at_once=False, interval_s=interval_s)

    def info(self) -> Mapping[str, Any]:
        settings = self._settings
        return {
            "bulk_upload": {
                "max_containers_per_extraction": settings.max_containers_per_extraction,
                "max_failed_extractions": settings.max_failed_extractions,
            },
            "bulk_delete": {
                "max_deletes_per_request": settings.max_deletes_per_request,
                "max_failed_deletes": settings.max_failed_deletes,
            },
        }
