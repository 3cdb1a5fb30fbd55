"""Containers that others follow: what changes in one is sent to the one that is named in its `X-Container-Sync-To`.

https://docs.openstack.org/swift/latest/overview_container_sync.html, the sending end; `middleware/container_sync.py` is
the other. How far a container's changes have been sent stands in the device's progress, for each of its files and each
place they go to.

A name belongs to one holder of the container, which sends it at once. Some time later every holder looks whether those
of the others have arrived, so that nothing waits for one that is away. Sending twice does no harm: the other end has
times too. What was deleted there stays deleted until it changes here. Shards of a container are sent as parts of it.
"""

import asyncio
import secrets
import time
import zlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from urllib.parse import quote, urlsplit

import httpx
import structlog

from .. import timestamp
from ..cluster.shards import root_in
from ..http.request import Handler, Request, path_of
from ..http.response import Response
from ..pipeline import guarded
from ..realms import KEY, TO, Realms, Target, signature
from ..stores.entries import Entry
from ..stores.held import CONTAINERS, DatabaseState
from ..stores.protocol import Place
from .pace import Pace
from .progress import Progress
from .shares import whose
from .station import Station
from .walking import Step, Walk

log = structlog.get_logger(__name__)

NAME = "container_sync"
VERSIONS = ("x-container-sysmeta-versions-container", "x-container-sysmeta-versions-enabled")
SENT = (
    "content-type", "content-encoding", "content-disposition", "content-language", "cache-control", "expires",
    "etag", "x-delete-at", "x-object-manifest", "x-static-large-object", "x-symlink-target",
    "x-symlink-target-account", "x-symlink-target-etag", "x-timestamp",
)  # fmt: skip
_DOTS = {".": "%2e", "..": "%2e%2e"}
"""Parts of names that HTTP clients would make something else of."""
PAGE = 100
AT_ONCE = 8
OTHERS_AFTER_S = 600.0
LIMIT_S = 60.0
"""For the other end to take the next bytes, or to answer."""


class NotSent(Exception):
    """The other end does not answer, or refuses; it is tried again."""


class ContainerSync:
    """`reading`: where objects are read as they are, manifests and links too, in plain bytes."""

    name = NAME

    def __init__(
        self,
        station: Station,
        reading: Handler,
        realms: Realms,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._station = station
        self._reading = guarded(reading)
        self._realms = realms
        self._transport = transport
        self._pace = Pace(station.settings.sync_per_s)
        self._walk = Walk(station, NAME, lambda store: store == CONTAINERS, self._work, ended=self._ended)
        self._client: httpx.AsyncClient
        self._seen: dict[str, set[str]] = {}

    async def pass_once(self) -> bool:
        limits = httpx.Limits(max_connections=AT_ONCE)
        async with httpx.AsyncClient(
            transport=self._transport, timeout=LIMIT_S, limits=limits, trust_env=False
        ) as self._client:
            return await self._walk.pass_once()

    async def _ended(self, key: str, _device: object, progress: Progress) -> None:
        """Forget how far containers were that are no longer here."""
        seen = self._seen.pop(key, set())
        progress.report.notes = {name: at for name, at in progress.report.notes.items() if name in seen}

    async def _work(self, step: Step) -> None:
        for state in await step.device.databases(CONTAINERS, step.part):
            if state.deleted_at > state.put_at:
                continue
            _, account, container = state.path.split("/", 2)
            root, said = (account, container), state.said
            if (whole := root_in(state.said)) is not None:  # a shard: what is said stands with the root
                found = await self._station.cluster.containers.status(*whole)
                root, said = whole, dict(found[1]) if found is not None else {}
            to, key = (said.get(name, ("", 0))[0] for name in (TO, KEY))
            if not to or not key:
                continue
            target = self._realms.target(to)
            if target is None or any(said.get(name, ("", 0))[0] for name in VERSIONS):
                step.progress.count("refused")
                continue
            await self._container(step, state, root, target, key)

    async def _container(
        self, step: Step, state: DatabaseState, root: tuple[str, str], target: Target, key: str
    ) -> None:
        """`root`: account and container as their owner calls them."""
        holders = [device.key for device in self._station.layout(CONTAINERS).ring.holders(step.part)]
        noted = f"{state.file_id} {zlib.crc32(target.url.encode()):08x}"
        until_s = time.monotonic() + self._station.settings.pass_s
        sending = Sending(self._client, self._reading, root, target, key, step.progress)

        def is_ours(entry: Entry) -> bool:
            return whose(entry.name, holders) == step.key

        def is_due(entry: Entry) -> bool:
            return _moment(entry) < self._station.moment(OTHERS_AFTER_S)

        await self._changes(step, state, noted, sending, is_ours, lambda entry: True, until_s)
        if len(holders) > 1:
            others = f"{noted} others"
            await self._changes(
                step, state, others, sending, lambda entry: not is_ours(entry), is_due, until_s
            )

    async def _changes(
        self,
        step: Step,
        state: DatabaseState,
        noted: str,
        sending: "Sending",
        is_wanted: Callable[[Entry], bool],
        is_due: Callable[[Entry], bool],
        until_s: float,
    ) -> None:
        """Send what is wanted from where we were, up to what is not due yet, and as far as all arrives."""
        self._seen.setdefault(step.key, set()).add(noted)
        place, notes = Place(step.part, state.hashed), step.progress.report.notes
        while time.monotonic() < until_s:
            page = await step.device.rows_since(CONTAINERS, place, int(notes.get(noted, 0)), PAGE)
            if page is None or not page.objects or not all(is_due(entry) for entry in page.objects):
                return
            limit = asyncio.Semaphore(AT_ONCE)

            async def send(entry: Entry, limit: asyncio.Semaphore = limit) -> None:
                async with limit:
                    await self._pace.spend()
                    await sending.send(entry)

            wanted = [send(entry) for entry in page.objects if is_wanted(entry)]
            failures = [
                one for one in await asyncio.gather(*wanted, return_exceptions=True) if one is not None
            ]
            for failure in failures:
                if not isinstance(failure, NotSent | httpx.HTTPError):
                    raise failure
                step.progress.fail(failure)
            if failures:
                log.warning("container_sync_failed", path=state.path, reason=str(failures[0])[:200])
                return
            notes[noted] = page.change
            await step.progress.save()


class Sending:
    """Of one container's objects to one place."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        reading: Handler,
        root: tuple[str, str],
        target: Target,
        key: str,
        progress: Progress,
    ) -> None:
        self._client, self._reading, self._target, self._key = client, reading, target, key
        self._account, self._container = root
        self._progress = progress

    async def send(self, entry: Entry) -> None:
        """One name, as it is now. Raises `NotSent`, httpx.HTTPError."""
        if entry.is_gone:
            at = timestamp.write(entry.timestamp)
            status, _ = await self._ask("DELETE", entry.name, {"x-timestamp": at})
            _check(status, (404, 409))
            self._progress.count("deletions")
            return
        status, found = await self._ask("HEAD", entry.name, {"x-timestamp": timestamp.write(0)})
        _check(status, (404,))
        if status < 300 and _sent_at(found) >= _moment(entry):
            return
        request = Request(
            "GET",
            path_of(self._account, self._container, entry.name),
            query_string="symlink=get",
            headers={"x-newest": "true"},
        )
        request.is_inner = request.is_owner = True
        response = await self._reading(request)
        try:
            if response.status != 404:  # gone since: the next change tells
                await self._put(entry.name, response)
        finally:
            await response.close()

    async def _put(self, name: str, response: Response) -> None:
        entity = response.entity
        if response.status != 200 or entity is None:
            raise NotSent(f"{name} cannot be read: {response.status}")
        headers = {
            header: value
            for header, value in response.headers.items()
            if header in SENT or header.startswith("x-object-meta-")
        }
        headers["content-length"] = str(entity.size)
        content = entity.data if entity.data is not None else entity.stream(0, entity.size)
        status, _ = await self._ask("PUT", name, headers, content)
        _check(status, (409,))
        self._progress.count("objects")
        self._progress.count("bytes", entity.size)

    async def _ask(
        self, method: str, name: str, headers: Mapping[str, str], content: bytes | AsyncIterator[bytes] = b""
    ) -> tuple[int, Mapping[str, str]]:
        quoted, nonce = quote(name), secrets.token_hex(16)
        path = f"{urlsplit(self._target.url).path}/{quoted}"
        signed = signature(method, path, headers["x-timestamp"], nonce, self._target.key, self._key)
        url = f"{self._target.url}/{'/'.join(_DOTS.get(part, part) for part in quoted.split('/'))}"
        sent = {**headers, "x-container-sync-auth": f"{self._target.realm} {nonce} {signed}"}
        raw = [(header.encode(), value.encode("utf-8", "surrogateescape")) for header, value in sent.items()]
        answer = await self._client.request(method, url, headers=raw, content=content)
        return answer.status_code, answer.headers


def _check(status: int, others: Sequence[int]) -> None:
    """Raises `NotSent` unless it went well, or did in a way that is as good."""
    if not 200 <= status < 300 and status not in others:
        raise NotSent(f"the other end answers {status}")


def _sent_at(headers: Mapping[str, str]) -> int:
    try:
        return timestamp.parse(headers.get("x-timestamp", ""))
    except ValueError:
        return -1


def _moment(entry: Entry) -> int:
    """When it changed last, by a PUT or by a POST."""
    return max(entry.timestamp, entry.type_at, entry.meta_at)
