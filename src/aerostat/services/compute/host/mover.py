"""The part of a compute host that lets guests go to other hosts, and fetches what is needed of those that come.

Sending takes minutes: it is a task of this process, and orders only begin it, ask after it, or steer it. What the
task found out is forgotten with the process; the flow that gave the order then looks where the guest is.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import structlog

from aerostat.kernel.errors import DriverError

from . import orders
from .orders import CHUNK_BYTES, CONTROL_TOPIC, LIST_LEAVING_VERB, READ_LEAVING_VERB, Sending
from .protocol import DomainFile, DomainMoves, Hypervisor, MovesDomains

log = structlog.get_logger(__name__)

WAIT_S = 2.0
"""How long an answer waits for the end, so that whoever asks need not ask often."""
ASK_LIMIT_S = 90.0

Verb = tuple[Any, Callable[[Any], Awaitable[Any]]]


class Mover:
    """The verbs of moving, beside the others of a `HostAgent`."""

    def __init__(self, name: str, bus: Any, hypervisor: Hypervisor) -> None:
        self._name = name
        self._bus = bus
        self._hypervisor = hypervisor
        self._sendings: dict[str, asyncio.Task[None]] = {}
        self._aborted: set[str] = set()
        self.verbs: dict[str, Verb] = {
            "find_owner": (orders.OfServer, self._find_owner),
            "send_guest": (orders.SendGuest, self._send_guest),
            "watch_sending": (orders.OfServer, self._watch_sending),
            "steer_sending": (orders.SteerSending, self._steer_sending),
            "fetch_files": (orders.FetchFiles, self._fetch_files),
            "list_files": (orders.OfServer, self._list_files),
            "read_file": (orders.ReadFile, self._read_file),
        }

    @property
    def moves(self) -> DomainMoves:
        """Raises `DriverError` when the hypervisor's domains stay where they are."""
        if not isinstance(self._hypervisor, MovesDomains):
            raise DriverError("The host's hypervisor cannot move servers.")
        return self._hypervisor.moves

    async def stop(self) -> None:
        """Forget what is under way: the hypervisor may well go on with it."""
        for task in self._sendings.values():
            task.cancel()
        await asyncio.gather(*self._sendings.values(), return_exceptions=True)
        self._sendings.clear()

    async def _find_owner(self, order: orders.OfServer) -> str | None:
        if not isinstance(self._hypervisor, MovesDomains):
            return None
        return await self._hypervisor.moves.find_owner(order.server_id)

    async def _send_guest(self, order: orders.SendGuest) -> Sending:
        task = self._sendings.get(order.server_id)
        if task is None or task.done():
            self._aborted.discard(order.server_id)
            work = self.moves.send(order.server_id, order.landing, copy_disks=order.copy_disks)
            task = asyncio.ensure_future(work)
            self._sendings[order.server_id] = task
        return await self._watch(order.server_id)

    async def _watch_sending(self, order: orders.OfServer) -> Sending:
        return await self._watch(order.server_id)

    async def _watch(self, server_id: str) -> Sending:
        task = self._sendings.get(server_id)
        if task is None:
            progress = await self.moves.find_progress(server_id)
            return Sending("none") if progress is None else Sending("running", progress=progress)
        done, _ = await asyncio.wait([task], timeout=WAIT_S)
        if not done:
            return Sending("running", progress=await self.moves.find_progress(server_id))
        self._sendings.pop(server_id, None)
        error = task.exception() if not task.cancelled() else DriverError("The host was stopped.", retry=True)
        if error is None:
            return Sending("done")
        if server_id in self._aborted:
            self._aborted.discard(server_id)
            return Sending("aborted", "The migration was broken off.")
        if not isinstance(error, DriverError):
            log.error("sending a guest broke", server_id=server_id, exc_info=error)
            return Sending("failed", f"Unexpected {type(error).__name__}.")
        log.warning(
            "a guest could not be sent", server_id=server_id, error=error.message, detail=error.detail
        )
        return Sending("failed", error.message)

    async def _steer_sending(self, order: orders.SteerSending) -> None:
        if order.wish == "hurry":
            await self.moves.hurry(order.server_id)
            return
        self._aborted.add(order.server_id)
        await self.moves.abort(order.server_id)

    async def _fetch_files(self, order: orders.FetchFiles) -> None:
        wanted = orders.Leaving(self._name, order.server_id, order.from_host)
        for file in await self._ask(LIST_LEAVING_VERB, wanted, list[DomainFile]):
            if file.live and not order.running:
                raise DriverError("The server runs, so its disk would not come whole.", retry=True)
            pieces = self._read_leaving(msgspec.structs.replace(wanted, name=file.name))
            await self.moves.ensure_file(order.server_id, file, pieces)

    async def _read_leaving(self, wanted: orders.Leaving) -> AsyncIterator[bytes]:
        offset = 0
        while piece := await self._ask(
            READ_LEAVING_VERB, msgspec.structs.replace(wanted, offset=offset), bytes
        ):
            offset += len(piece)
            yield piece

    async def _ask(self, verb: str, wanted: orders.Leaving, into: Any) -> Any:
        return await self._bus.call(CONTROL_TOPIC, verb, wanted, timeout_s=ASK_LIMIT_S, into=into)

    async def _list_files(self, order: orders.OfServer) -> list[DomainFile]:
        return await self.moves.list_files(order.server_id)

    async def _read_file(self, order: orders.ReadFile) -> bytes:
        return await self.moves.read_file(order.server_id, order.name, order.offset, CHUNK_BYTES)
