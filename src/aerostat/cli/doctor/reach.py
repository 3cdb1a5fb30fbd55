"""Checks of what a cloud stands on, and of what it can say of itself: database, queue, API, hosts, work that waits.

Each asks with a short limit and only looks. `status` asks them too, with one log-in for all it wants. A folder in which
no cloud runs and which says of no database or queue elsewhere has nothing to be asked.
"""

import asyncio
import datetime
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aerostat.cli import CommandError, typed
from aerostat.cli.doctor.finding import Check, Finding, bad, good, note
from aerostat.cli.doctor.settings import expects_api, find_settings, is_host
from aerostat.kernel import clock, ids
from aerostat.kernel.config import Config
from aerostat.kernel.state_folder import StateFolder, StateFolderError

if TYPE_CHECKING:
    from aerostat.cli.api import Api
    from aerostat.kernel.db import Row

LIMIT_S = 5.0
MOST_SKEW_S = 5.0
MOST_NAMED = 5
MOST_ROWS = 500
GOES_ON = "what was accepted waits and goes on by itself"


def look_at_postgres(url: str) -> Finding:
    """Whether the server at `url` answers, is ours, takes things in and has our time."""
    return asyncio.run(_look_at_postgres(url))


async def _look_at_postgres(url: str) -> Finding:
    from aerostat.kernel.db import StoreRefused, StoreUnavailable, WrongShape, name_of_database, open_store

    name = name_of_database(url)
    try:
        async with asyncio.timeout(LIMIT_S):
            store = await open_store(url)
    except StoreRefused as error:
        return bad(f"{name} refuses us: {error}", "correct kernel.database_url")
    except (StoreUnavailable, TimeoutError) as error:
        return bad(
            f"{name} does not answer: {_words(error)}", f"start it, or correct kernel.database_url; {GOES_ON}"
        )
    try:
        async with asyncio.timeout(LIMIT_S):
            ahead_s = await _try_to_write(store)
    except WrongShape:
        return bad(f"{name} has no tables of this version", f"{typed()} migrate, then bootstrap")
    except (StoreUnavailable, TimeoutError) as error:
        return bad(
            f"{name} takes nothing in: {_words(error)}", f"make room, or let it be written to; {GOES_ON}"
        )
    finally:
        await store.close()
    if abs(ahead_s) > MOST_SKEW_S:
        way = "ahead of" if ahead_s > 0 else "behind"
        return note(
            f"{name} answers; its clock is {abs(ahead_s):.0f} s {way} this machine's", "set the wrong one"
        )
    return good(f"{name} answers and takes things in")


class _EnoughSeen(Exception):
    """Ends a transaction that must leave nothing."""


async def _try_to_write(store: Any) -> float:
    """Write a row and take it back; answers how far the server's clock is ahead."""
    from sqlalchemy import func, select

    from aerostat.kernel.model import marks

    (row,) = await store.fetch(select(func.now().label("at")))
    ahead_s = (row.at.astimezone(datetime.UTC).replace(tzinfo=None) - clock.now()).total_seconds()
    try:
        async with store.transaction() as tx:
            await tx.insert(marks, name=f"doctor-{ids.short_id()}", at=clock.now())
            raise _EnoughSeen
    except _EnoughSeen:
        return float(ahead_s)


def check_queue(folder: StateFolder) -> Finding:
    """Whether the message queue answers, takes messages, and is listened to."""
    config = find_settings(folder)
    if config is None:
        return note("the settings cannot be read, so the queue was not looked at")
    kernel = config.kernel
    if not kernel.has_queue:
        return good("inside this machine")
    from aerostat.kernel.bus import BusAway, BusRefused
    from aerostat.kernel.bus.amqp import count_listeners

    try:
        listeners = asyncio.run(count_listeners(kernel.bus_url, _topics(config), limit_s=LIMIT_S))
    except BusRefused as error:
        next_step = (
            f"{typed()} host token --renew, host join" if is_host(config) else "correct kernel.bus_url"
        )
        return bad(error.message, next_step)
    except BusAway as error:
        return bad(error.message, f"start it, or correct kernel.bus_url; {GOES_ON}")
    if kernel.bus_admin_url and (trouble := _broker_trouble(kernel.bus_admin_url, kernel.bus_url)):
        return bad(f"the message queue takes nothing in: {trouble}", f"make room for it; {GOES_ON}")
    deaf = [topic for topic, count in listeners.items() if count == 0]
    if deaf:
        return bad(
            f"the message queue answers, and nobody listens to {', '.join(sorted(deaf))}",
            f"start {typed()} serve of that role, or look why it does not reach the queue ({typed()} logs)",
        )
    return good("the message queue answers, and is listened to")


def _topics(config: Config) -> list[str]:
    from aerostat.kernel.work.nudges import WAKE_TOPIC
    from aerostat.services.compute.host.orders import CONTROL_TOPIC, topic_of

    return [topic_of(config.kernel.host_name)] if is_host(config) else [WAKE_TOPIC, CONTROL_TOPIC]


def _broker_trouble(admin_url: str, bus_url: str) -> str:
    from aerostat.kernel.bus.broker import Broker, BrokerError

    try:
        with Broker(admin_url, bus_url, timeout_s=LIMIT_S) as broker:
            return broker.trouble()
    except BrokerError:
        return ""  # that is told by who needs it: `host token`, `host remove`


def check_welcome(folder: StateFolder) -> Finding:
    """On a compute host: whether the control plane takes it, and what it has to say."""
    config = find_settings(folder)
    if config is None or not is_host(config) or not config.kernel.has_queue:
        return good("not a compute host of another machine's cloud")
    from aerostat.cli.host.join import say_hello

    kernel = config.kernel
    try:
        warning = asyncio.run(say_hello(folder, kernel.host_name, kernel.bus_url))
    except CommandError as error:
        return bad(str(error), "see what the check of the queue says, and the log")
    if warning:
        return bad(f"the control plane says: {warning}", "set the clock, or look at the control plane")
    return good("the control plane takes this host")


def check_api(folder: StateFolder) -> Finding:
    """Whether the API answers at the address that users are told."""
    config = find_settings(folder)
    if config is None or not expects_api(folder, config):
        return good("no API is expected to answer here")
    import httpx

    url = config.kernel.public_url
    try:
        answer = httpx.get(f"{url}/healthcheck", timeout=LIMIT_S, trust_env=False)
        words = "" if answer.status_code == 200 else f"status {answer.status_code}"
    except httpx.TimeoutException:
        words = f"nothing within {LIMIT_S:g} s"
    except httpx.HTTPError as error:
        words = str(error)
    if words:
        return bad(f"the API at {url} does not answer: {words}", f"{typed()} status, {typed()} logs")
    return good(f"the API at {url} answers")


def check_hosts(folder: StateFolder) -> Finding:
    """What the API says of the hosts."""
    config = find_settings(folder)
    if config is None or not expects_api(folder, config):
        return good("no hosts are expected to be asked for here")
    from aerostat.cli.api import Api, ApiFailed

    try:
        with Api.as_admin(config, timeout_s=LIMIT_S) as api:
            return look_at_hosts(api)
    except (ApiFailed, StateFolderError) as error:
        return _not_asked(error)


def look_at_hosts(api: "Api") -> Finding:
    """Silent hosts and wrong clocks."""
    from aerostat.cli.api import ApiFailed
    from aerostat.cli.host.list import collect

    try:
        hosts = collect(api)
    except ApiFailed as error:
        return _not_asked(error)
    silent = [f"{one['host']} ({one['remark']})" for one in hosts if one["state"] != "up"]
    wrong = [f"{one['host']}: {one['remark']}" for one in hosts if "clock" in one["remark"]]
    if silent:
        return bad(
            f"{len(silent)} of {len(hosts)} hosts are down: {_few(silent)}",
            "look whether the machine runs, its host process (aerostat doctor there), and its way to the queue;"
            " its servers can be evacuated",
        )
    if wrong:
        return bad(_few(wrong), "set the clock there; until then it gets no new servers")
    return good(f"{len(hosts)} hosts are up")


def _not_asked(error: Exception) -> Finding:
    return note(f"the API could not be asked about the hosts: {error}")


def check_work(folder: StateFolder) -> Finding:
    """What waits, and what fails again and again, by the cloud's own record."""
    config = find_settings(folder)
    if config is None or is_host(config):
        return good("no work is kept here")
    url = config.kernel.database_url
    if config.kernel.embedded and not Path(url.removeprefix("sqlite:///")).exists():
        return good("nothing was recorded yet")
    from aerostat.kernel.db import StoreError

    try:
        waiting, failing = asyncio.run(_read_record(url))
    except (StoreError, TimeoutError) as error:
        return note(f"the record could not be read: {_words(error)}")
    reasons = Counter(re.sub(r" for \d+ s", "", row.reason or "no reason") for row in waiting)
    told = [f"{count} operations wait: {reason}" for reason, count in reasons.most_common(MOST_NAMED)]
    told += [
        f"{row.name} failed {row.failures} times in a row: {row.reason}"
        for row in failing
        if row.failures > 1
    ]
    if told:
        return bad("; ".join(told), f"mend what is named; {GOES_ON}")
    return good("nothing waits for something that is away")


async def _read_record(url: str) -> tuple[list["Row"], list["Row"]]:
    from aerostat.kernel import operation
    from aerostat.kernel.db import open_store

    async with asyncio.timeout(LIMIT_S):
        store = await open_store(url, only_read=True)
        try:
            return await operation.list_waiting(store, MOST_ROWS), await operation.list_failing(store)
        finally:
            await store.close()


def _few(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return "; ".join(names[:MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")


def _words(error: BaseException) -> str:
    return str(error) or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)


CHECKS: dict[str, Check] = {
    "queue": check_queue,
    "welcome": check_welcome,
    "api": check_api,
    "hosts": check_hosts,
    "work": check_work,
}
