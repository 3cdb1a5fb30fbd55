"""`host token NAME`: a user of the queue for one host, and the token that carries its credentials there.

Whoever has the token is that host, as far as the queue goes; it is no key to anything else: not to the database, the
API, other hosts' queues or the cloud's events.
"""

import argparse
import base64
import re
import sys
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit, urlunsplit

import msgspec

from aerostat.cli import CommandError
from aerostat.cli.settings import settings_of
from aerostat.kernel.bus.broker import Broker, BrokerError
from aerostat.kernel.config import Config

MARK = "aerostat-host-1."
NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?", re.IGNORECASE)


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """What a host needs to know of the cloud. `queue_ca` is the certificate of who signed the queue's, in PEM."""

    name: str
    bus_url: str
    queue_ca: str = ""
    southbound: str = ""

    def pack(self) -> str:
        return MARK + base64.urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")

    @classmethod
    def unpack(cls, text: str) -> "Token":
        """Raises `CommandError` for anything else."""
        packed = text.strip()
        if not packed.startswith(MARK):
            raise CommandError(
                "that is no token of `aerostat host token`" if packed else "no token on standard input"
            )
        try:
            raw = base64.urlsafe_b64decode(
                packed.removeprefix(MARK) + "=" * (-len(packed.removeprefix(MARK)) % 4)
            )
            return msgspec.json.decode(raw, type=cls)
        except (ValueError, msgspec.MsgspecError):
            raise CommandError("the token is not whole: was it cut when it was copied?") from None


def run(args: argparse.Namespace) -> int:
    config = settings_of(args)
    name = checked_name(args.name)
    with open_broker(config) as broker:
        try:
            if broker.has_user(user_of(name)) and not args.renew:
                raise CommandError(
                    f"{name} has a token already; --renew makes a new one, and the host must join again with it"
                )
            password = broker.ensure_user(user_of(name), **rights_of(name))
        except BrokerError as error:
            raise CommandError(str(error)) from None
    print(_token(config, name, password).pack())
    print("Keep it as you keep a key. On the new machine: aerostat host join < FILE", file=sys.stderr)
    return 0


def checked_name(name: str) -> str:
    if NAME.fullmatch(name) is None:
        raise CommandError(f"{name!r} can be no host's name: letters, digits, dots and dashes, at most 63")
    return name


def user_of(name: str) -> str:
    from aerostat.services.compute.hosts import HOST_USER

    return HOST_USER + name


def rights_of(name: str) -> dict[str, list[str]]:
    """What a host serves, whom it may ask, and of what it may tell."""
    from aerostat.services.compute.host.orders import CONTROL_TOPIC, GUEST_EVENT, topic_of
    from aerostat.services.network.host.protocol import network_topic

    return {
        "serves": [topic_of(name), network_topic(name)],
        "calls": [CONTROL_TOPIC],
        "publishes": [GUEST_EVENT],
    }


def open_broker(config: Config) -> Broker:
    if not config.kernel.has_queue:
        raise CommandError(
            "this cloud is on one machine and has no queue for others: see docs/howto/many-hosts.md"
        )
    if not config.kernel.bus_admin_url:
        raise CommandError(
            "kernel.bus_admin_url is not set: hosts' users are made by RabbitMQ's management API (rabbitmq-plugins"
            ' enable rabbitmq_management), bus_admin_url = "http://admin:password@127.0.0.1:15672"'
        )
    return Broker(config.kernel.bus_admin_url, config.kernel.bus_url)


def _token(config: Config, name: str, password: str) -> Token:
    from aerostat.services.network.config import NetworkConfig

    at = urlsplit(config.kernel.bus_url)
    asked = {key: values[-1] for key, values in parse_qs(at.query).items()}
    authority = Path(asked.pop("cafile")).read_text() if "cafile" in asked else ""
    for own in ("certfile", "keyfile"):  # ours, not the host's
        asked.pop(own, None)
    where = f"{at.hostname}:{at.port}" if at.port else f"{at.hostname}"
    netloc = f"{quote(user_of(name))}:{quote(password)}@{where}"
    url = urlunsplit((at.scheme, netloc, quote(unquote(at.path), safe="/%"), urlencode(asked), ""))
    return Token(
        name=name, bus_url=url, queue_ca=authority, southbound=config.section(NetworkConfig).southbound
    )
