"""What a process has at hand: the store, the bus, the rules, the rooms. Handed to requests, flows and sweepers."""

from typing import TYPE_CHECKING, Any, Protocol

from .client import Caller
from .config import Config
from .context import Context
from .db import Store
from .policy import Rules
from .service import Service

if TYPE_CHECKING:
    from .bus import Bus


class Authenticator(Protocol):
    """Who a token stands for. Raises `Unauthorized`.

    `allow_expired`: a service vouches for the user, so the token may have ended a while ago.
    """

    async def __call__(self, token: str, *, allow_expired: bool = False) -> Context: ...


class House:
    """One process's floor. Rooms put what they share with their own flows and resources into `state[room]`.

    The room that issues tokens sets `authenticate`, and `sign_in_path`, where those who come without one are sent.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        bus: "Bus",
        rules: Rules,
        public_url: str,
        roles: frozenset[str] = frozenset(),
    ) -> None:
        self.roles = roles
        # A house without roles is a test's, and does everything.
        self.runs_engine = not roles or "engine" in roles
        self.config = config
        self.store = store
        self.bus = bus
        self.rules = rules
        self.public_url = public_url.rstrip("/")
        self.guest_url = (config.kernel.guest_url or public_url).rstrip("/")
        self.services: dict[str, Service] = {}
        self.state: dict[str, Any] = {}
        self.engine: Any = None
        self.authenticate: Authenticator | None = None
        self.sign_in_path = ""
        self.dispatch: Any = None  # the HTTP application, for calls from one room to another

    def add(self, service: Service) -> None:
        """Take in a room: its rules, its place in the catalog."""
        self.services[service.name] = service
        self.rules.declare(service.rules)

    def client(self, room: str, context: Context) -> Any:
        """The typed client of another room, acting for `context`."""
        service = self.services[room]
        return service.client(Caller(self, service, context))

    def nudge(self, name: str) -> None:
        """Tell a reconciler or sweeper that something may have changed. Never what: it looks for itself."""
        self.store.nudge(name)

    def url(self, room: str, *, guest: bool = False) -> str:
        """The base URL of a room, as users or guests reach it."""
        service = self.services[room]
        return (self.guest_url if guest else self.base_url(service)) + service.prefix

    def base_url(self, service: Service) -> str:
        """Where users reach a room: where the API is, unless its settings say otherwise."""
        own = service.base_url(self.config) if service.base_url is not None else ""
        return own.rstrip("/") or self.public_url
