"""RabbitMQ as its administrator sees it: users of the queue that may do what one machine needs, and nothing else.

A user may declare, hear and leave only its own queues; say only what is listed, on the exchanges of `amqp.py`; and
answer whoever asked it. It cannot speak as another, hear another's calls or the cloud's events, or ask other hosts.

Upstream: https://www.rabbitmq.com/docs/access-control, https://www.rabbitmq.com/docs/management#http-api
"""

import re
import secrets
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit

import httpx

PREFIX = "aerostat"
TIMEOUT_S = 20.0
NOTHING = "^$"


class BrokerError(Exception):
    """The management API is not there or refused; the message says why."""


class BrokerRefused(BrokerError):
    """The management API is there and answered with an error."""

    def __init__(self, message: str, status: int, reason: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class Broker:
    """The management API at `admin_url`, for the virtual host of `bus_url`."""

    def __init__(self, admin_url: str, bus_url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        at = urlsplit(admin_url)
        port = f":{at.port}" if at.port else ""
        self._base = f"{at.scheme}://{at.hostname}{port}"
        self._vhost = unquote(urlsplit(bus_url).path[1:]) or "/"
        self._http = httpx.Client(
            auth=(unquote(at.username or "guest"), unquote(at.password or "guest")),
            timeout=timeout_s,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def has_user(self, name: str) -> bool:
        return self._ask("GET", "users", name, may_lack=True) is not None

    def ensure_user(
        self, name: str, *, serves: Sequence[str], calls: Sequence[str], publishes: Sequence[str]
    ) -> str:
        """Make the user with a new password, which is answered.

        It serves the topics `serves`, calls the topics `calls` and publishes the events `publishes`. A repeat
        gives it another password. Rights come last: until then it can do nothing.
        """
        password = secrets.token_urlsafe(24)
        inbox = rf"inbox\.{re.escape(name)}\.[0-9a-f]{{32}}"
        own = "|".join([*map(re.escape, serves), inbox])
        prefix = re.escape(PREFIX)
        self._ask("PUT", "users", name, body={"password": password, "tags": ""})
        topics = {
            "calls": {"write": rf"^({_any_of(calls)}|inbox\..+)$", "read": f"^({own})$"},
            "events": {"write": f"^({_any_of(publishes)})$", "read": NOTHING},
        }
        for exchange, rights in topics.items():
            body = {"exchange": f"{PREFIX}.{exchange}", **rights}
            self._ask("PUT", "topic-permissions", self._vhost, name, body=body)
        rights = {
            "configure": rf"^{prefix}\.({own})$",
            "write": rf"^{prefix}\.(calls|events|{own})$",
            "read": rf"^{prefix}\.(calls|{own})$",
        }
        self._ask("PUT", "permissions", self._vhost, name, body=rights)
        return password

    def remove_user(self, name: str, *, serves: Sequence[str]) -> None:
        """Take away the user, its connections and its queues. Absent is success."""
        self._ask("DELETE", "users", name, may_lack=True)
        for connection in self._ask("GET", "connections") or ():
            if connection.get("user") == name:
                self._ask("DELETE", "connections", connection["name"], may_lack=True)
        for topic in serves:
            self._ask("DELETE", "queues", self._vhost, f"{PREFIX}.{topic}", may_lack=True)

    def trouble(self) -> str:
        """What keeps the server from taking messages, in its own words; empty if nothing does."""
        try:
            self._ask("GET", "health", "checks", "alarms")
        except BrokerRefused as error:
            if error.status != 503:
                raise
            return error.reason
        return ""

    def _ask(self, method: str, *path: str, body: Any = None, may_lack: bool = False) -> Any:
        url = "/".join([f"{self._base}/api", *(quote(word, safe="") for word in path)])
        try:
            answer = self._http.request(method, url, json=body)
        except httpx.HTTPError as error:
            raise BrokerError(f"RabbitMQ's management API at {self._base} does not answer: {error}") from None
        if answer.status_code == 401:
            raise BrokerError(f"RabbitMQ's management API at {self._base} refuses this user or password")
        if answer.status_code == 404 and may_lack:
            return None
        if answer.is_error:
            words = f"{answer.status_code} {answer.text[:200]}"
            raise BrokerRefused(
                f"RabbitMQ's management API refuses to {method} {path[0]}: {words}",
                answer.status_code,
                _reason_in(answer),
            )
        return answer.json() if answer.content else {}


def _reason_in(answer: httpx.Response) -> str:
    try:
        found = answer.json()
        alarms = [f"{one['resource']} alarm on {one['node']}" for one in found.get("alarms", ())]
        return ", ".join(alarms) or str(found.get("reason", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return answer.text[:200]


def _any_of(words: Sequence[str]) -> str:
    return "|".join(map(re.escape, words))
