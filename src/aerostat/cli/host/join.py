"""`host join`: settings for a compute host from a token, tried out before they are written.

Nothing is written unless the queue lets us in and no engine objects: a token that was replaced, a name that another
machine serves under, a version that the cloud does not understand are told now.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from aerostat.cli import CommandError, typed
from aerostat.cli.host.token import Token
from aerostat.cli.settings import folder_of
from aerostat.kernel import clock, log
from aerostat.kernel.bus import BusError, BusGone, BusNobody, BusRefused, BusTimeout
from aerostat.kernel.config import load
from aerostat.kernel.state_folder import StateFolder, write_private

ANSWER_LIMIT_S = 10.0


def run(args: argparse.Namespace) -> int:
    text = Path(args.token_file).read_text() if args.token_file else sys.stdin.read()
    token = Token.unpack(text)
    if args.name not in (None, token.name):
        raise CommandError(f"the token is for {token.name}, not for {args.name}")
    folder = folder_of(args)
    known = _known(folder, token)
    with folder.created():
        log.configure("join", file=folder.log / "join.jsonl", only_file=True)
        url = _url(folder, token)
        try:
            note = asyncio.run(say_hello(folder, token.name, url))
        except BaseException:
            if not known:
                _ca_file(folder).unlink(missing_ok=True)
            raise
    if known == url:
        print(f"{token.name} has joined before; nothing changed.")
    else:
        _write(folder, token, url)
        print(f"This machine is {token.name} now." if not known else f"{token.name} has new credentials.")
    if note:
        print(f"note: {note}")
    option = "" if folder.path == StateFolder.chosen().path else f" --state {folder.path}"
    print(f"Start it with: {typed()} serve --role host{option}")
    return 0


def _known(folder: StateFolder, token: Token) -> str:
    """The queue's address that this folder has already, empty for a new one. Raises if it is another host's."""
    if not folder.settings.exists():
        if folder.database.exists():
            raise CommandError(f"{folder.path} is a cloud of its own; a host needs another --state")
        return ""
    kernel = load(folder).kernel
    if kernel.host_name != token.name or not kernel.has_queue:
        raise CommandError(
            f"{folder.settings} belongs to {kernel.host_name}; to join as {token.name}, choose another --state"
        )
    return kernel.bus_url


def _ca_file(folder: StateFolder) -> Path:
    return folder.path / "queue-ca.pem"


def _url(folder: StateFolder, token: Token) -> str:
    if not token.queue_ca:
        return token.bus_url
    write_private(_ca_file(folder), token.queue_ca)
    sign = "&" if "?" in token.bus_url else "?"
    return f"{token.bus_url}{sign}cafile={_ca_file(folder)}"


async def say_hello(folder: StateFolder, name: str, url: str) -> str:
    """Say hello as the host would; answers what the person should know. Raises `CommandError`."""
    import aerostat
    from aerostat.kernel.bus.amqp import open_amqp_bus
    from aerostat.services.compute.host.orders import CONTROL_TOPIC, HELLO_VERB, Hello, Welcome

    hello = Hello(name=name, machine_id=folder.machine_id(), at=clock.now(), version=aerostat.__version__)
    try:
        bus = await open_amqp_bus(url, founds=False)
    except BusRefused as error:
        raise CommandError(
            f"{error.message}: the token was replaced by a newer one, or the host was removed"
        ) from None
    try:
        welcome = await bus.call(CONTROL_TOPIC, HELLO_VERB, hello, timeout_s=ANSWER_LIMIT_S, into=Welcome)
    except (BusNobody, BusTimeout):
        return "no engine answers at present; the host will wait for one"
    except BusGone as error:
        raise CommandError(f"cannot join: {error.message}") from None
    except BusError as error:
        raise CommandError(f"the cloud did not answer: {error.message}") from None
    finally:
        await bus.close()
    if welcome.refusal:
        raise CommandError(f"the cloud does not take this host: {welcome.refusal}")
    return welcome.warning


def _write(folder: StateFolder, token: Token, url: str) -> None:
    if folder.settings.exists():
        old = load(folder).kernel.bus_url
        write_private(folder.settings, folder.settings.read_text().replace(old, url))
        return
    lines = [
        "# A compute host; made by `aerostat host join`. See docs/howto/many-hosts.md",
        "[kernel]",
        'roles = ["host"]',
        f'host_name = "{token.name}"',
        f'bus_url = "{url}"',
    ]
    if token.southbound:
        lines += ["", "[network]", f'southbound = "{token.southbound}"']
    write_private(folder.settings, "\n".join(lines) + "\n")
