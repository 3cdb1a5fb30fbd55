"""The composition root: which rooms, drivers and transports run in this process. Nothing imports it but the CLI.

`open_house` puts one process together; `run` serves it until it is told to stop; `run_host` is the other kind of
process, next to the hardware, without a database. `migrate` and `bootstrap` prepare a database that processes share.
"""

import asyncio
import contextlib
import importlib
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import structlog
from sqlalchemy import MetaData

from aerostat.app_http import for_roles, listen, serving
from aerostat.kernel import clock, ids, operation
from aerostat.kernel import model as kernel_model
from aerostat.kernel.bus import Bus, open_local_bus, open_local_hub, open_memory_bus
from aerostat.kernel.config import Config, ConfigError
from aerostat.kernel.db import (
    Seal,
    Store,
    StoreRefused,
    StoreUnavailable,
    check_schema,
    create_schema,
    name_of_database,
    open_store,
)
from aerostat.kernel.house import House
from aerostat.kernel.http.app import Application
from aerostat.kernel.log import say
from aerostat.kernel.policy import Rules
from aerostat.kernel.service import Service
from aerostat.kernel.work import Engine, Sweeper, forward_nudges, holding, trim_flows, working_in

log = structlog.get_logger(__name__)

# A room imports the clients of rooms to its left only.
ROOMS = ("identity", "placement", "object", "image", "network", "compute", "orchestration", "operations")
RECORDS_KEPT = timedelta(days=30)
FLOWS_KEPT = timedelta(days=2)
MOST_RECORDS = 1_000_000
DATABASE_WAIT_S = 60.0
"""How long a start waits for a database that does not answer: machines of a cloud start in any order."""

BOOTSTRAPPED = "bootstrapped"
BOOTSTRAP_LEASE = "kernel.bootstrap"

Ready = Callable[..., None]


def rooms() -> list[Service]:
    """The doors of all rooms, in order."""
    modules = [importlib.import_module(f"aerostat.services.{name}") for name in ROOMS]
    return [module.SERVICE for module in modules]


@asynccontextmanager
async def open_house(
    config: Config, roles: set[str] | frozenset[str], *, process: str = "control", prepare: bool = True
) -> AsyncIterator[House]:
    """A process of the control plane: store, bus, rooms and engine, started; closed again at the end.

    `prepare`: make the tables and the first things if they are not there, which is for a database of our own.
    `process` is unique among those that share a state folder.
    """
    secrets = config.folder.ensure_secrets() if prepare else config.folder.secrets()
    if not secrets.sealing_key:
        raise ConfigError(
            f"{config.folder.secrets_file} has no sealing_key: it is not the one that bootstrap made"
        )
    store = await open_store(config.kernel.database_url, Seal(secrets.sealing_key))
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        if prepare:
            await create_schema(store, _tables(rooms()))
        else:
            await _check_prepared(store, rooms())
        own = stack.enter_context(working_in(config.folder.database.parent, config.kernel.host_name))
        taken = await own.take_over(store)
        if taken:
            log.info("engine.took_over", dead=own.dead, pieces=taken)
        bus = await _open_bus(config, hub=True)
        stack.push_async_callback(bus.close)
        house = await stack.enter_async_context(
            assembled(config, roles, store, bus, name=own.name, prepare=prepare)
        )
        yield house


@asynccontextmanager
async def assembled(
    config: Config,
    roles: set[str] | frozenset[str],
    store: Store,
    bus: Bus,
    *,
    name: str,
    prepare: bool = True,
    state: Mapping[str, Any] | None = None,
) -> AsyncIterator[House]:
    """Rooms and engine over a store and a bus that are open. `name` is the engine's own, `prepare` as above.

    `state` is there before the rooms start: `network.driver`, say, a world that outlives this process.
    """
    doors = rooms()
    async with contextlib.AsyncExitStack() as stack:
        rules = Rules(config.state / "policy.yaml", enforce_scope=config.kernel.enforce_scope)
        house = House(config, store, bus, rules, config.kernel.public_url, frozenset(roles))
        house.state.update(state or {})
        secrets = config.folder.ensure_secrets() if prepare else config.folder.secrets()
        house.state["secrets"] = msgspec.structs.asdict(secrets)
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
        if prepare:
            await _make_first_things(house)
        if "engine" in roles:
            await stack.enter_async_context(_running(house.engine.run()))
        else:
            stack.callback(forward_nudges(store, bus))
        yield house


async def _make_first_things(house: House) -> None:
    for door in house.services.values():
        if door.bootstrap is not None:
            await door.bootstrap(house)


async def run(
    config: Config,
    roles: set[str],
    *,
    fake: bool,
    process: str = "control",
    listener: socket.socket | None = None,
    ready: Ready | None = None,
) -> None:
    """Serve the control plane's roles until cancelled. `ready` is called when requests are answered.

    `listener`: a socket that listens already and may be other processes' as well.
    """
    answers = bool(roles & {"api", "console", "object"})
    if answers and listener is None:
        listener = listen(config.kernel.listen_address, config.kernel.port)
    if not config.kernel.embedded:
        await _wait_for_database(config)
    async with contextlib.AsyncExitStack() as stack:
        prepares = config.kernel.prepares
        house = await stack.enter_async_context(open_house(config, roles, process=process, prepare=prepares))
        if listener is not None:
            await stack.enter_async_context(
                serving(
                    for_roles(house.dispatch, house.roles),
                    listener,
                    most_connections=config.kernel.most_connections,
                )
            )
        await stack.enter_async_context(_doors_for_guests(house, fake))
        if prepares and not fake:
            await _ensure_first_image(house)
        if ready is not None:
            ready(url=house.public_url, roles=sorted(roles))
        log.info("serving", url=house.public_url if answers else None, roles=sorted(roles))
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
    await _wait_for_database(config)
    store = await open_store(config.kernel.database_url)
    try:
        await create_schema(store, _tables(rooms()))
    finally:
        await store.close()


async def bootstrap(config: Config) -> bool:
    """Make the first things of a cloud whose processes share a database; False if they were there already.

    What is missing is made, and the catalog follows the public URL. Two at once do it one after the other.
    """
    await _wait_for_database(config)
    store = await open_store(config.kernel.database_url)
    try:
        await check_schema(store, _tables(rooms()))
        async with holding(store, BOOTSTRAP_LEASE, f"bootstrap.{ids.new_id()}"):
            done_before = await store.find(kernel_model.marks, name=BOOTSTRAPPED) is not None
            if done_before:
                config.folder.secrets()  # new ones would open nothing of what is there
            async with open_house(config, {"bootstrap"}, process="bootstrap") as house:
                if config.driver("compute", "libvirt") != "fake":
                    await _ensure_first_image(house)
            if not done_before:
                await store.insert(kernel_model.marks, name=BOOTSTRAPPED, at=clock.now())
    finally:
        await store.close()
    return not done_before


async def _check_prepared(store: Store, doors: list[Service]) -> None:
    await check_schema(store, _tables(doors))
    if await store.find(kernel_model.marks, name=BOOTSTRAPPED) is None:
        raise ConfigError(
            "the database is there and empty: aerostat bootstrap makes the first user and networks"
        )


async def _wait_for_database(config: Config) -> None:
    """Return when it answers. Raises `StoreRefused` at once, `StoreUnavailable` when it has not come in time."""
    give_up_at = asyncio.get_running_loop().time() + DATABASE_WAIT_S
    pause_s, said = 0.2, False
    while True:
        try:
            store = await open_store(config.kernel.database_url)
        except StoreRefused:
            raise
        except StoreUnavailable as error:
            if asyncio.get_running_loop().time() + pause_s > give_up_at:
                raise
            if not said:
                name = name_of_database(config.kernel.database_url)
                say(
                    f"{name} does not answer; it is waited for, up to {DATABASE_WAIT_S:.0f} s",
                    reason=str(error),
                )
                said = True
            log.warning("database.awaited", reason=str(error), again_in_s=pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, 5.0)
        else:
            return await store.close()


async def run_host(config: Config, number: int | None = None, *, ready: Ready | None = None) -> None:
    """Serve the host role until cancelled: the drivers next to the hardware, reached over the bus."""
    bus = await _open_bus(config, hub=False)
    try:
        if config.driver("compute", "libvirt") == "fake":
            from aerostat import app_fake_host

            await app_fake_host.run_host(config, bus, ready)
        else:
            from aerostat import app_host  # libvirt and netlink: nothing that the control process needs

            await app_host.run_host(config, number, bus, ready)
    finally:
        await bus.close()


@asynccontextmanager
async def _doors_for_guests(house: House, fake: bool) -> AsyncIterator[None]:
    """With fakes there are no namespaces to listen in; on many machines they are not on this one."""
    alone = house.config.kernel.whole or house.config.kernel.bus_url.startswith("unix:")
    if fake or not alone or "api" not in house.roles:
        yield
        return
    from aerostat import app_guests
    from aerostat.services.compute.metadata_service import metadata_app

    doors = app_guests.GuestDoors(house, serving, metadata_app(house))
    async with doors.open():
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
    from aerostat.kernel.bus.amqp import name_of_queue, open_amqp_bus

    bus = await open_amqp_bus(url, founds=hub)
    if not bus.is_connected:
        say(f"{name_of_queue(url)} does not answer; it is waited for, as long as it takes")
    return bus


def _tables(doors: list[Service]) -> list[MetaData]:
    return [kernel_model.metadata, *(door.tables for door in doors if door.tables is not None)]


def _trimmer() -> Sweeper:
    async def sweep(house: House) -> int:
        ended = await trim_flows(house.store, FLOWS_KEPT)
        return ended + await operation.trim(house.store, RECORDS_KEPT, MOST_RECORDS)

    return Sweeper("kernel.history", every=timedelta(hours=1), sweep=sweep)
