"""The composition root: which rooms, drivers and transports run in this process. Nothing imports it but the CLI.

`open_house` puts one process together; `run` serves it until it is told to stop; `run_host` is the other kind of
process, next to the hardware, without a database.
"""

import asyncio
import contextlib
import importlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import structlog
import uvicorn
from sqlalchemy import MetaData

from aerostat.kernel import model as kernel_model
from aerostat.kernel import operation
from aerostat.kernel.bus import Bus, open_local_bus, open_local_hub, open_memory_bus
from aerostat.kernel.config import Config
from aerostat.kernel.db import Seal, Store, create_schema, open_store
from aerostat.kernel.house import House
from aerostat.kernel.http.app import Application
from aerostat.kernel.policy import Rules
from aerostat.kernel.service import Service
from aerostat.kernel.work import Engine, Sweeper, forward_nudges, trim_flows, working_in

log = structlog.get_logger(__name__)

# A room imports the clients of rooms to its left only.
ROOMS = ("identity", "placement", "image", "network", "compute", "orchestration", "operations")
RECORDS_KEPT = timedelta(days=30)
FLOWS_KEPT = timedelta(days=2)
MOST_RECORDS = 1_000_000
CLOSE_LIMIT_S = 10.0

Ready = Callable[..., None]


def rooms() -> list[Service]:
    """The doors of all rooms, in order."""
    modules = [importlib.import_module(f"aerostat.services.{name}") for name in ROOMS]
    return [module.SERVICE for module in modules]


@asynccontextmanager
async def open_house(config: Config, roles: set[str] | frozenset[str]) -> AsyncIterator[House]:
    """A process of the control plane: store, bus, rooms and engine, started; closed again at the end."""
    secrets = config.folder.ensure_secrets()
    store = await open_store(config.kernel.database_url, Seal(secrets.sealing_key))
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        await create_schema(store, _tables(rooms()))
        own = stack.enter_context(working_in(config.folder.database.parent, config.kernel.host_name))
        taken = await own.take_over(store)
        if taken:
            log.info("engine.took_over", dead=own.dead, pieces=taken)
        bus = await _open_bus(config, hub=True)
        stack.push_async_callback(bus.close)
        yield await stack.enter_async_context(assembled(config, roles, store, bus, name=own.name))


@asynccontextmanager
async def assembled(
    config: Config,
    roles: set[str] | frozenset[str],
    store: Store,
    bus: Bus,
    *,
    name: str,
    state: Mapping[str, Any] | None = None,
) -> AsyncIterator[House]:
    """Rooms and engine over a store and a bus that are open. `name` is the engine's own.

    `state` is there before the rooms start: `network.driver`, say, a world that outlives this process.
    """
    doors = rooms()
    async with contextlib.AsyncExitStack() as stack:
        rules = Rules(config.state / "policy.yaml")
        house = House(config, store, bus, rules, config.kernel.public_url, frozenset(roles))
        house.state.update(state or {})
        house.state["secrets"] = msgspec.structs.asdict(config.folder.ensure_secrets())
        for door in doors:
            house.add(door)
        application = Application(house)
        stack.push_async_callback(application.journal.close)
        house.engine = Engine(
            store,
            bus,
            house,
            flows=[flow for door in doors for flow in door.flows],
            reconcilers=[one for door in doors for one in door.reconcilers],
            sweepers=[*(one for door in doors for one in door.sweepers), _trimmer()],
            name=name,
        )
        for door in doors:
            if door.start is not None:
                await door.start(house)
            if door.stop is not None:
                stack.push_async_callback(door.stop, house)
        for door in doors:
            if door.bootstrap is not None:
                await door.bootstrap(house)
        if "engine" in roles:
            await stack.enter_async_context(_running(house.engine.run()))
        else:
            stack.callback(forward_nudges(store, bus))
        yield house


async def run(config: Config, roles: set[str], *, fake: bool, ready: Ready | None = None) -> None:
    """Serve the control plane's roles until cancelled. `ready` is called when requests are answered."""
    listener = _listen(config.kernel.listen_address, config.kernel.port)
    async with (
        open_house(config, roles) as house,
        serving(house.dispatch, listener),
        _doors_for_guests(house, fake),
    ):
        if not fake:
            await _ensure_first_image(house)
        if ready is not None:
            ready(url=house.public_url)
        log.info("serving", url=house.public_url, roles=sorted(roles))
        await asyncio.Event().wait()


async def _ensure_first_image(house: House) -> None:
    """A real image to boot, built once on a machine and kept for its other clouds.

    A cloud without one is still a cloud.
    """
    from aerostat.guest import GuestBuildError, cached_test_image
    from aerostat.services.image.config import ImageConfig
    from aerostat.services.image.trial_image import ensure_test_image

    if not house.config.section(ImageConfig).test_image:
        return
    try:
        await ensure_test_image(house, lambda: cached_test_image(progress=_log_progress))
    except (GuestBuildError, OSError) as error:  # OSError: there is no place to keep it
        log.warning("there is no test image", reason=str(error))


def _log_progress(line: str) -> None:
    log.info("test image", stage=line)


async def migrate(config: Config) -> None:
    """Bring the database to the shape that the rooms declare, and serve nothing."""
    store = await open_store(config.kernel.database_url)
    try:
        await create_schema(store, _tables(rooms()))
    finally:
        await store.close()


async def run_host(config: Config, *, ready: Ready | None = None) -> None:
    """Serve the host role until cancelled: the drivers next to the hardware, reached over the bus."""
    from aerostat import app_host  # libvirt and netlink: nothing that the control process needs

    bus = await _open_bus(config, hub=False)
    try:
        await app_host.run_host(config, bus, ready)
    finally:
        await bus.close()


@asynccontextmanager
async def _doors_for_guests(house: House, fake: bool) -> AsyncIterator[None]:
    """With fakes there are no namespaces to listen in."""
    if fake or "api" not in house.roles:
        yield
        return
    from aerostat import app_guests
    from aerostat.services.compute.metadata_service import metadata_app

    doors = app_guests.GuestDoors(house, serving, metadata_app(house))
    async with doors.open():
        yield


@asynccontextmanager
async def serving(application: Any, *listeners: socket.socket) -> AsyncIterator[None]:
    """Answer HTTP and WebSockets on these listening sockets while the block runs."""
    settings = uvicorn.Config(
        application,
        loop="none",
        http="httptools",
        ws="aerostat.kernel.http.upgrade:WebSocketProtocol",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=5,
        timeout_keep_alive=75,
    )
    server = _Server(settings)
    task = asyncio.ensure_future(server.serve(sockets=list(listeners)))
    try:
        while not server.started:
            if task.done():
                task.result()
                raise RuntimeError("the HTTP server ended before it began")
            await asyncio.sleep(0.002)
        yield
    finally:
        server.should_exit = True
        done, _ = await asyncio.wait([task], timeout=CLOSE_LIMIT_S)
        if not done:
            task.cancel()


class _Server(uvicorn.Server):
    """uvicorn, leaving signals to those who started it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def _running(work: Any) -> AsyncIterator[None]:
    """A task beside the block, cancelled at its end. If it breaks the block is left, with the error that broke it."""
    owner = asyncio.current_task()
    assert owner is not None
    task = asyncio.ensure_future(work)

    def leave(task: "asyncio.Future[Any]") -> None:
        if not task.cancelled() and task.exception() is not None:
            owner.cancel()

    task.add_done_callback(leave)
    try:
        yield
    finally:
        task.remove_done_callback(leave)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _open_bus(config: Config, *, hub: bool) -> Bus:
    url = config.kernel.bus_url
    if url == "memory:":
        return await open_memory_bus()
    if url.startswith("unix:"):
        path = Path(url.removeprefix("unix:"))
        return await (open_local_hub(path) if hub else open_local_bus(path, config.folder.control_user[0]))
    from aerostat.kernel.bus.amqp import open_amqp_bus

    return await open_amqp_bus(url)


def _tables(doors: list[Service]) -> list[MetaData]:
    return [kernel_model.metadata, *(door.tables for door in doors if door.tables is not None)]


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
    except OSError:
        listener.close()
        raise
    listener.listen(1024)
    listener.setblocking(False)
    return listener


def _trimmer() -> Sweeper:
    async def sweep(house: House) -> int:
        ended = await trim_flows(house.store, FLOWS_KEPT)
        return ended + await operation.trim(house.store, RECORDS_KEPT, MOST_RECORDS)

    return Sweeper("kernel.history", every=timedelta(hours=1), sweep=sweep)
