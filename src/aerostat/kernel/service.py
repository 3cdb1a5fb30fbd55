"""The door of a room: everything the kernel needs to know about it, as data."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import MetaData

from .context import Context
from .errors import BadRequest
from .http import envelopes, paging
from .http.router import Router
from .http.versions import Versions
from .policy import Rule
from .quota import Quotas
from .resource import Resource

if TYPE_CHECKING:
    from .config import Config
    from .house import House

Hook = Callable[["House"], Awaitable[None]]
OWN_PROJECT = "own_project_id"  # the parameter of a base that holds the caller's project


def iso_z(moment: datetime) -> str:
    """`2026-11-22T21:38:44Z`"""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_micro(moment: datetime) -> str:
    """`2026-11-22T21:38:44.000000`"""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")


def iso_micro_z(moment: datetime) -> str:
    """`2026-11-22T21:38:44.000000Z`"""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Service:
    """One room, as `app.py` takes it in.

    `bases` are the paths below which the resources stand: `"/v2.1"`, and `"/v2.1/{own_project_id}"` for clients that
    still send it; a token of another project is refused there, in the words of `foreign_project`. `catalog` is the
    path that the catalog shows, with `%(project_id)s` where it belongs.
    `flows`, `reconcilers`, `sweepers` are what the engine runs. `request_id_header` is a second header in which the
    room's clients look for the request id. `start` runs once when the process is up, before the first request.
    What is no API of resources is answered by `own_app`, an ASGI application that is also given the house: all that is
    below the `own_paths` (`"/v1"`) or asked of the `own_hosts`, in processes with the role `own_role`. Of a host that
    begins with a dot these are all paths, of others those that no room has.
    `base_url` answers where the room is reached when that is not where the API is.
    """

    def __init__(
        self,
        name: str,
        *,
        type: str,
        project: str,
        prefix: str,
        catalog: str | None,
        versions: Versions,
        envelope: envelopes.Envelope,
        resources: Sequence[type[Resource]],
        tables: MetaData | None = None,
        bases: Sequence[str] = ("",),
        client: Any = None,
        paging: paging.Paging = paging.UNPAGED,
        update_method: str = "PUT",
        time_format: Callable[[datetime], str] = iso_z,
        lenient: bool = False,
        invalid: str = "Invalid input for field/attribute %(path)s. Value: %(value)s. %(reason)s",
        forbidden: str = "Policy doesn't allow %(rule)s to be performed.",
        foreign_project: str = "Malformed request url",
        request_id_header: str | None = None,
        max_body_bytes: int = 1 << 20,
        rules: Sequence[Rule] = (),
        flows: Sequence[Any] = (),
        reconcilers: Sequence[Any] = (),
        sweepers: Sequence[Any] = (),
        quotas: Sequence[Quotas] = (),
        config: Any = None,
        start: Hook | None = None,
        stop: Hook | None = None,
        bootstrap: Hook | None = None,
        websockets: Mapping[str, Callable[..., Awaitable[None]]] | None = None,
        own_paths: Sequence[str] = (),
        own_hosts: Callable[["Config"], Sequence[str]] | None = None,
        own_app: Callable[..., Awaitable[None]] | None = None,
        own_role: str = "api",
        base_url: Callable[["Config"], str] | None = None,
        description: str = "",
    ) -> None:
        self.name = name
        self.type = type
        self.project = project
        self.prefix = prefix
        self.catalog = catalog
        self.versions = versions
        self.envelope = envelope
        self.tables = tables
        self.client = client
        self.paging = paging
        self.update_method = update_method
        self.time_format = time_format
        self.lenient = lenient
        self.invalid = invalid
        self.forbidden = forbidden
        self.foreign_project = foreign_project
        self.request_id_header = request_id_header
        self.max_body_bytes = max_body_bytes
        self.flows = flows
        self.reconcilers = reconcilers
        self.sweepers = sweepers
        self.quotas = quotas
        self.config = config
        self.start = start
        self.stop = stop
        self.bootstrap = bootstrap
        self.websockets = dict(websockets or {})
        self.own_paths = own_paths
        self.own_hosts = own_hosts
        self.own_app = own_app
        self.own_role = own_role
        self.base_url = base_url
        self.description = description
        self.resources: dict[str, Resource] = {}
        self.router = Router()
        self.rules: list[Rule] = list(rules)
        for kind in resources:
            resource = kind(self)
            self.resources[kind.__name__] = resource
            self.rules.extend(resource.rules())
            for base in bases if kind.below_bases else ("",):
                for endpoint in resource.endpoints(base):
                    self.router.add(endpoint)

    def check_project(self, params: Mapping[str, str], context: Context) -> None:
        """Raises `BadRequest` when the path names a project as the caller's own that is not."""
        asked = params.get(OWN_PROJECT)
        if asked is not None and asked != context.project_id:
            raise BadRequest(self.foreign_project % {"asked": asked, "own": context.project_id})

    def resource(self, kind: type[Any]) -> Any:
        """This room's instance of a resource class."""
        return self.resources[kind.__name__]
