"""The way to libvirt: its event loop, its threads, its errors.

libvirt blocks and wants an event loop of its own kind. So calls run in a few threads, each with a limit,
and libvirt's loop runs in one more, which must be there before the first connection is made. Both embedded
libvirt and its loop are things of the process: they start once and end with it.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import libvirt
import structlog

from aerostat.kernel.errors import DriverError

from .daemon import QEMU_CONF
from .settings import LibvirtSettings

log = structlog.get_logger(__name__)

T = TypeVar("T")
CALL_LIMIT_S = 30.0
OPEN_LIMIT_S = 60.0  # the first look at a fresh QEMU takes several seconds, more on a busy machine
THREADS = 4

_RETRY_CODES = {
    libvirt.VIR_ERR_OPERATION_TIMEOUT,
    libvirt.VIR_ERR_AGENT_UNRESPONSIVE,
    libvirt.VIR_ERR_RESOURCE_BUSY,
    libvirt.VIR_ERR_RPC,
    libvirt.VIR_ERR_NO_CONNECT,
    libvirt.VIR_ERR_SYSTEM_ERROR,
}
_of_the_process = threading.Lock()
_event_loop: threading.Thread | None = None
_embedded: dict[str, Any] = {}
"""Embedded libvirt by its URI. Kept: it registers its drivers at each opening, and has room for few."""


class Connection:
    """One connection. `register` is called with each new one, in a thread; it asks for events."""

    def __init__(self, settings: LibvirtSettings, register: Callable[[Any], list[int]]) -> None:
        self._settings = settings
        self._register = register
        self._threads: ThreadPoolExecutor | None = None
        self._connecting = threading.Lock()
        self._libvirt: Any = None
        self._callbacks: list[int] = []

    async def open(self) -> None:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="libvirt")
            await self.call("The hypervisor cannot be reached.", lambda _: None, limit_s=OPEN_LIMIT_S)

    async def close(self) -> None:
        if self._threads is not None:
            threads, self._threads = self._threads, None
            await asyncio.get_running_loop().run_in_executor(threads, self._disconnect)
            threads.shutdown(wait=False)

    async def call(self, complaint: str, work: Callable[[Any], T], *, limit_s: float = CALL_LIMIT_S) -> T:
        """Run `work(connection)` in a thread. What goes wrong is a `DriverError` that says `complaint`.

        After `limit_s` the caller is told so; the thread stays with libvirt until libvirt lets it go.
        """
        if self._threads is None:
            raise DriverError("The hypervisor's driver is not open.")
        job = asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(self._connected()))
        try:
            return await asyncio.wait_for(job, limit_s)
        except libvirt.libvirtError as failed:
            raise translated(complaint, failed) from failed
        except TimeoutError as late:
            raise DriverError(complaint, detail=f"no answer in {limit_s:.0f} s", retry=True) from late

    async def call_long(self, complaint: str, work: Callable[[Any], T]) -> T:
        """The same for what takes minutes: in a thread of its own, without a limit."""
        try:
            return await asyncio.to_thread(lambda: work(self._connected()))
        except libvirt.libvirtError as failed:
            raise translated(complaint, failed) from failed

    def _connected(self) -> Any:
        """The connection; a new one if libvirt's daemon went away."""
        with self._connecting:
            if self._libvirt is not None and not self._libvirt.isAlive():
                self._disconnect()
            if self._libvirt is None:
                start_event_loop()
                open_it = _open_embedded if self._settings.embedded else libvirt.open
                self._libvirt = open_it(self._uri())
                self._callbacks = self._register(self._libvirt)
            return self._libvirt

    def _disconnect(self) -> None:
        connection, self._libvirt = self._libvirt, None
        if connection is not None:
            try:
                for callback in self._callbacks:
                    connection.domainEventDeregisterAny(callback)
                if not self._settings.embedded:
                    connection.close()
            except libvirt.libvirtError as failed:
                log.info("closing a lost connection to libvirt failed", error=str(failed))

    def _uri(self) -> str:
        if not self._settings.embedded:
            return self._settings.uri
        root = self._settings.libvirt_root.absolute()
        conf = root / "etc" / "qemu.conf"
        conf.parent.mkdir(parents=True, exist_ok=True)
        conf.write_text(QEMU_CONF)
        return f"qemu:///embed?root={root}"


def _open_embedded(uri: str) -> Any:
    with _of_the_process:
        if uri not in _embedded:
            _embedded[uri] = libvirt.open(uri)
        return _embedded[uri]


def translated(complaint: str, failed: libvirt.libvirtError) -> DriverError:
    """libvirt's error as ours. Its own text names paths and commands: that is for the log."""
    text = str(failed)
    if "cannot allocate memory" in text.lower() or "cannot set up guest memory" in text.lower():
        return DriverError("The host has not enough memory.", detail=text, retry=True)
    return DriverError(complaint, detail=text, retry=failed.get_error_code() in _RETRY_CODES)


def start_event_loop() -> None:
    """Run libvirt's event loop in a thread of this process. A repeat does nothing."""
    global _event_loop
    with _of_the_process:
        if _event_loop is None:
            libvirt.registerErrorHandler(lambda *_: None, None)  # errors are raised; no second copy on stderr
            libvirt.virEventRegisterDefaultImpl()
            _event_loop = threading.Thread(target=_run_event_loop, name="libvirt-events", daemon=True)
            _event_loop.start()


def _run_event_loop() -> None:
    while True:
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError:
            log.exception("libvirt's event loop failed once")
