"""Settings: one TOML file, the environment on top, every section a typed struct.

The file is `STATE/aerostat.toml`, or the one that `--config` or $AEROSTAT_CONFIG names. A section is named for who
reads it: `[kernel]`, `[compute]` …; its keys are the fields of a `msgspec.Struct` that lives with its reader
(`services/<room>/config.py`, `KernelConfig` here). `AEROSTAT_<SECTION>_<KEY>` wins over the file. A key that nobody
reads is an error which names it and the nearest one known: a misspelt setting must not be silently without effect.
"""

import difflib
import os
import socket
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import parse_qs, urlsplit

import msgspec

from aerostat.kernel.state_folder import StateFolder

DEFAULT_PORT = 8780
ROLES = ("api", "engine", "console", "object", "host")
"""What a whole cloud has."""
APART_ROLES = ("object-proxy", "object-storage")
"""Of processes without the cloud's database, on machines of their own."""
ENVIRONMENT_PREFIX = "AEROSTAT_"

SectionT = TypeVar("SectionT", bound=msgspec.Struct)


class ConfigError(Exception):
    """A setting that cannot be used; the message names file or variable, section and key."""


class KernelConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What every process of ours needs to know. Empty texts are filled in by `load`."""

    database_url: str = ""
    """`sqlite:///absolute/path` or `postgresql://…`; empty: the SQLite file in the state folder."""
    bus_url: str = ""
    """`memory:`, `unix:/absolute/path`, `amqp://user:password@host/vhost` or `amqps://…?cafile=/path`; empty: the
    socket in the state folder."""
    bus_admin_url: str = ""
    """RabbitMQ's management API, `https://admin:password@host:15671`: only for commands that make hosts' users."""
    secrets_file: Path | None = None
    """Where the cloud's secrets are, the same on every machine of the control plane; empty: in the state folder."""
    listen_address: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = DEFAULT_PORT
    most_connections: Annotated[int, msgspec.Meta(ge=0)] = 0
    """To one process at once; beyond that, those that wait give way to new ones. 0: 8,192, or as many as the limit of
    open files leaves room for."""
    public_url: str = ""
    """Base address that users' clients get in the catalog; empty: address and port listened on."""
    console_url: str = ""
    """Base address of the processes with the console role; empty: where the API was asked."""
    guest_url: str = ""
    """Base address by which guests reach the API: wait conditions, signals, user data."""
    roles: tuple[str, ...] = ROLES
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_bytes: int = 64 << 20
    """A log file past this size is moved aside to `….1.jsonl`, over the one before."""
    drivers: dict[str, str] = {}
    """Driver by room (`compute = "libvirt"`); a room that is not named takes its own default."""
    enforce_scope: bool = True
    """Whether a rule refuses tokens of a scope for which it is not meant. Off, only its text counts."""
    region: str = "RegionOne"
    host_name: str = ""
    """Name of this machine as a compute host; empty: the machine's own."""
    hosts: int = 1
    """Compute hosts that `up` makes on this machine; those after the first are named `<host_name>-2` and on."""

    whole: bool = False
    """This process is all of the control plane, on the machine of its hosts; `up` says so to its own. It makes tables
    and first things in a shared database too, and listens for guests where they are."""

    @property
    def has_queue(self) -> bool:
        """Whether processes reach each other over a message queue, from other machines too."""
        return self.bus_url.startswith("amqp")

    @property
    def prepares(self) -> bool:
        return self.embedded or self.whole

    @property
    def embedded(self) -> bool:
        """Whether the database is one process's own: made and filled at its start, where a shared one waits for
        `aerostat migrate` and `aerostat bootstrap`.
        """
        return self.database_url.startswith("sqlite:")


class Config:
    """All sections of one process, and the state folder that they belong to.

    >>> config.kernel.port, config.section(ComputeConfig).cpu_ratio
    """

    def __init__(self, folder: StateFolder, sections: Mapping[str, msgspec.Struct]) -> None:
        self.folder = folder
        self._sections = dict(sections)
        self._by_type = {type(section): section for section in sections.values()}

    @property
    def kernel(self) -> KernelConfig:
        return self.section(KernelConfig)

    @property
    def state(self) -> Path:
        return self.folder.path

    def section(self, kind: type[SectionT]) -> SectionT:
        """The section that `kind` describes; one that was not asked for at `load` has its defaults."""
        found = self._by_type.get(kind)
        return found if isinstance(found, kind) else kind()

    def __iter__(self) -> Iterator[tuple[str, msgspec.Struct]]:
        return iter(self._sections.items())

    def driver(self, room: str, default: str) -> str:
        """Which driver `room` shall use."""
        return self.kernel.drivers.get(room, default)


def load(
    folder: StateFolder,
    rooms: Mapping[str, type[msgspec.Struct]] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    fake: bool = False,
    file: Path | None = None,
    **overrides: Any,
) -> Config:
    """Read `file`, or the state folder's, put the environment and then `overrides` (kernel keys) on top.

    `rooms` maps section names to the structs that read them; None: only the kernel's section is wanted, and
    others are let be. With `fake`, everything lives in one process with fake drivers, whatever the file says.
    Raises `ConfigError`.
    """
    kinds: dict[str, type[msgspec.Struct]] = {"kernel": KernelConfig, **(rooms or {})}
    if file is not None:
        choose_file(folder, file)
    origin = str(folder.settings)
    tables = _read_file(folder.settings)
    for name, table in tables.items():
        if name not in kinds and rooms is None:
            continue
        if name not in kinds:
            raise ConfigError(f"{origin}: unknown section [{name}]{_nearest(name, kinds)}")
        if not isinstance(table, dict):
            raise ConfigError(
                f"{origin}: {name} stands outside of a section; settings belong under [kernel] …"
            )
    given = _read_environment(os.environ if environ is None else environ, kinds)
    sections: dict[str, msgspec.Struct] = {}
    for name, kind in kinds.items():
        values = {**tables.get(name, {}), **given.get(name, {})}
        if name == "kernel":
            values.update({key: value for key, value in overrides.items() if value is not None})
        sections[name] = _convert(origin, name, kind, values)
    kernel = sections["kernel"]
    assert isinstance(kernel, KernelConfig)
    kernel = sections["kernel"] = _fill_in(kernel, folder, fake)
    if kernel.secrets_file is not None:
        folder.secrets_file = kernel.secrets_file
    return Config(folder, sections)


def choose_file(folder: StateFolder, file: Path) -> None:
    """Let `file` be the settings of `folder`. Raises `ConfigError` where no file can be seen."""
    try:
        if not file.is_file():
            raise ConfigError(f"there is no settings file {file}")
    except PermissionError as error:  # a folder above it is closed to us
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    folder.settings = file.absolute()


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None


def _read_environment(
    environ: Mapping[str, str], kinds: Mapping[str, type[msgspec.Struct]]
) -> dict[str, dict[str, Any]]:
    """`AEROSTAT_<SECTION>_<KEY>` by section; variables whose first word is no section of ours are let be."""
    given: dict[str, dict[str, Any]] = {}
    for variable, text in environ.items():
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        name, _, key = variable.removeprefix(ENVIRONMENT_PREFIX).lower().partition("_")
        if name not in kinds or not key:
            continue
        known = _fields(kinds[name])
        if key not in known:
            raise ConfigError(f"environment: unknown setting {variable}{_nearest(key, known)}")
        given.setdefault(name, {})[key] = _parse(text, known[key])
    return given


def _parse(text: str, kind: Any) -> Any:
    """A variable's text in the shape that its field wants: `a,b` for lists, `a=b,c=d` for tables."""
    shape = getattr(kind, "__origin__", kind)
    if shape in (list, tuple):
        return [word.strip() for word in text.split(",") if word.strip()]
    if shape is dict:
        return dict(word.strip().partition("=")[::2] for word in text.split(",") if word.strip())
    return text


def _convert(origin: str, name: str, kind: type[msgspec.Struct], values: dict[str, Any]) -> msgspec.Struct:
    known = _fields(kind)
    for key in values:
        if key not in known:
            raise ConfigError(f"{origin}: unknown setting {name}.{key}{_nearest(key, known)}")
    try:
        return msgspec.convert(values, kind, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{origin} or environment, section [{name}]: {error}") from None


def _decode(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value).expanduser()
    raise NotImplementedError(f"no setting can be of type {kind}")


def _fields(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {field.encode_name: field.type for field in msgspec.structs.fields(kind)}


def _nearest(word: str, known: Mapping[str, Any]) -> str:
    match = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    if match:
        return f"; did you mean {match[0]}?"
    return f"; known are {', '.join(sorted(known))}"


def _fill_in(kernel: KernelConfig, folder: StateFolder, fake: bool) -> KernelConfig:
    """Values that follow from others."""
    known = dict.fromkeys((*ROLES, *APART_ROLES))
    unknown = [role for role in kernel.roles if role not in known]
    if unknown:
        raise ConfigError(f"unknown role {unknown[0]}{_nearest(unknown[0], known)}")
    host = f"[{kernel.listen_address}]" if ":" in kernel.listen_address else kernel.listen_address
    reachable = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)
    public_url = kernel.public_url or f"http://{reachable}:{kernel.port}"
    _check_url("database_url", kernel.database_url, ("sqlite", "postgresql", "postgres"))
    _check_url("bus_url", kernel.bus_url, ("memory", "unix", "amqp", "amqps"))
    _check_url("bus_admin_url", kernel.bus_admin_url, ("http", "https"))
    changes: dict[str, Any] = {
        "console_url": kernel.console_url.rstrip("/"),
        "database_url": kernel.database_url or f"sqlite:///{folder.database}",
        "bus_url": kernel.bus_url or f"unix:{folder.run / 'bus.sock'}",
        "public_url": public_url.rstrip("/"),
        "host_name": kernel.host_name or socket.gethostname(),
        "guest_url": (kernel.guest_url or f"http://172.24.4.1:{kernel.port}").rstrip("/"),
    }
    if fake:
        changes |= {
            "bus_url": "memory:",
            "console_url": "",
            "guest_url": kernel.guest_url or changes["public_url"],
            "drivers": {"compute": "fake", "network": "fake"},
            "roles": ROLES,
        }
    return msgspec.structs.replace(kernel, **changes)


def _check_url(key: str, url: str, schemes: tuple[str, ...]) -> None:
    """Raise `ConfigError` for what can be no address of that kind; never shows what may hold a password."""
    if not url:
        return
    try:
        at = urlsplit(url)
        lacks_host = at.scheme not in ("sqlite", "memory", "unix") and not at.hostname
        _ = at.port
    except ValueError as error:
        raise ConfigError(f"kernel.{key} is no address: {error}") from None
    if at.scheme not in schemes:
        known = ", ".join(f"{scheme}:" for scheme in schemes)
        raise ConfigError(f"kernel.{key} starts with {at.scheme or 'no scheme'}:, it can start with {known}")
    for part in ("cafile", "certfile", "keyfile"):
        for file in parse_qs(at.query).get(part, ()):
            if not Path(file).is_file():
                raise ConfigError(f"kernel.{key}: {part} names {file}, which is no file")
    if lacks_host:
        raise ConfigError(f"kernel.{key} names no host: {at.scheme}://user:password@HOST…")
