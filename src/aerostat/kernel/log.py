"""The structured log: one JSON object a line, one stream per process, one request id through all rooms.

    log = get_logger(__name__)
    with bound(request_id=req.id, project_id=req.project_id):
        log.info("server.created", host=host)

What is bound stands on every line that is written inside, in awaited calls and tasks too. Values whose key
names a secret never reach a line. On a terminal the same events are rendered for people. Other libraries'
`logging` calls take the same way out.
"""

import logging
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import msgspec

from aerostat.kernel.clock import now


@contextmanager
def _without(module: str) -> Iterator[None]:
    """Make `import module` fail inside, if it was not imported before."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]


# structlog loads rich when it can, for tracebacks that we do not use: 120 ms and 10 MiB in each of our
# processes.
with _without("rich"):
    import structlog

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
HIDDEN = "***"

# Compared without case, dashes and underscores: adminPass, admin_pass and Admin-Pass are one word.
SECRET_WORDS = (
    "password",
    "passwd",
    "adminpass",
    "token",
    "secret",
    "privatekey",
    "authorization",
    "cookie",
    "credential",
)
# Words that contain one of these and are no secrets.
NOT_SECRET = {"tokenid", "tokens", "secretid", "passwordexpiresat", "credentialid"}

Event = MutableMapping[str, Any]

_is_seen = True  # whether lines reach who started this process; what was not configured is no process of ours

_encoder = msgspec.json.Encoder(enc_hook=str)


def get_logger(name: str = "") -> Any:
    """A logger whose level methods take an event name and keyword values: `log.warning("host.lost", host=…)`.

    Loggers made at import time follow a later `configure`.
    """
    return structlog.get_logger(source=name) if name else structlog.get_logger()


@contextmanager
def bound(**values: Any) -> Iterator[None]:
    """Put `values` (request_id, project_id, resource_id …) on each line written inside."""
    with structlog.contextvars.bound_contextvars(**values):
        yield


def bound_values() -> dict[str, Any]:
    """What is bound now; sent along with bus messages, so that the other side binds the same."""
    return structlog.contextvars.get_contextvars()


class LogFile:
    """An appended file of lines that moves itself aside once when it has grown past `limit_bytes`.

    A disk that is full costs lines, not the work that wrote them; how many is said when there is room again.
    """

    def __init__(self, path: Path, limit_bytes: int) -> None:
        self._path = path
        self._limit_bytes = limit_bytes
        self._lost_lines = 0
        self._open()

    def _open(self) -> None:
        # The folder is shared by users: a link that stands there is not ours to follow.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._handle = os.open(self._path, flags, 0o600)
        self._written_bytes = os.fstat(self._handle).st_size

    def write(self, line: bytes) -> None:
        if self._written_bytes > self._limit_bytes:
            self._move_aside()
        if self._lost_lines:
            line = _encoder.encode({"event": "log.lines_lost", "lines": self._lost_lines}) + b"\n" + line
        try:
            # One write per line: with O_APPEND lines of several threads or processes never mix.
            self._written_bytes += os.write(self._handle, line)
        except OSError:
            self._lost_lines += 1
        else:
            self._lost_lines = 0

    def _move_aside(self) -> None:
        old = self._handle
        try:
            os.replace(self._path, self._path.with_suffix(f".1{self._path.suffix}"))
            self._open()
        except OSError:
            self._written_bytes = 0  # no room for another: this one is written on, and tried again later
        else:
            os.close(old)

    def close(self) -> None:
        os.close(self._handle)


class Terminal:
    """Lines for people: time, level, event, values; colours only where they can be seen."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._render = structlog.dev.ConsoleRenderer(colors=stream.isatty(), pad_event_to=28)

    def write_event(self, event: Event) -> None:
        shown = {key: value for key, value in event.items() if key not in ("process", "pid")}
        shown["timestamp"] = str(shown.pop("at", ""))[11:23]
        self._stream.write(str(self._render(None, "", shown)) + "\n")


def configure(
    process: str,
    *,
    level: str = "info",
    file: Path | None = None,
    stream: TextIO | None = None,
    only_file: bool = False,
    limit_bytes: int = 64 << 20,
) -> None:
    """Set up this process's log, at start or again.

    `process` names it on each line. Lines go to `file` if given; to `stream` (default: standard error, unless
    there is a file and no terminal, or `only_file`), as JSON or, on a terminal, for people.
    """
    global _is_seen
    if stream is None and not only_file and (file is None or sys.stderr.isatty()):
        stream = sys.stderr
    _is_seen = stream is not None
    log_file = LogFile(file, limit_bytes) if file else None
    terminal = Terminal(stream) if stream is not None and stream.isatty() else None
    stamp = {"process": process, "pid": os.getpid()}

    def write(event: Event) -> None:
        if log_file or not terminal:
            line = _encoder.encode(event) + b"\n"
            if log_file:
                log_file.write(line)
            if stream and not terminal:
                stream.write(line.decode())
                stream.flush()
        if terminal:
            terminal.write_event(event)

    def finish(_logger: Any, method: str, event: Event) -> Event:
        """Last processor: give the line its fixed order, and write it."""
        write(
            {
                "at": now().isoformat(timespec="microseconds") + "Z",
                "level": method,
                "event": event.pop("event", ""),
                **stamp,
                **filter_secrets(_explain_exception(event)),
            }
        )
        raise structlog.DropEvent

    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, finish],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    _take_over_logging(level)


def say(words: str, **values: Any) -> None:
    """A line (warning) that whoever started this process must see: on standard error too, where lines do not go."""
    get_logger("aerostat").warning(words, **values)
    if not _is_seen:
        print(f"aerostat: {words}", file=sys.stderr, flush=True)


def hand_over(level: str = "warning") -> None:
    """Give our lines to the standard library's `logging`, as `aerostat`: where we are a guest in somebody's process.

    What that process has configured already stands.
    """
    if structlog.is_configured():
        return
    host = logging.getLogger("aerostat")

    def finish(_logger: Any, method: str, event: Event) -> Event:
        number = logging.ERROR if method == "exception" else LEVELS.get(method, logging.ERROR)
        if host.isEnabledFor(number):
            name = event.pop("event", "")
            host.log(number, "%s %s", name, filter_secrets(_explain_exception(event)))
        raise structlog.DropEvent

    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, finish],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=False,
    )


def filter_secrets(values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy in which the values of keys that name secrets are hidden, in nested mappings and lists too."""
    return {key: HIDDEN if is_secret(key) else _filter_value(value) for key, value in values.items()}


def is_secret(key: object) -> bool:
    if not isinstance(key, str):
        return False
    word = key.lower().replace("_", "").replace("-", "")
    return word not in NOT_SECRET and any(secret in word for secret in SECRET_WORDS)


def _filter_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return filter_secrets(value)
    if isinstance(value, (list, tuple)):
        return [_filter_value(item) for item in value]
    if isinstance(value, msgspec.Struct):
        return filter_secrets(msgspec.structs.asdict(value))
    return value


def _explain_exception(event: Event) -> Event:
    """`exc_info=True` or an exception in it become a text under `exception`."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    elif isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        event["exception"] = "".join(traceback.format_exception(error))
    return event


class _FromLogging(logging.Handler):
    """Hands records of the standard library's `logging` on to ours."""

    def emit(self, record: logging.LogRecord) -> None:
        values: dict[str, Any] = {"source": record.name}
        if record.exc_info and record.levelno >= logging.ERROR:
            values["exc_info"] = record.exc_info
        elif record.exc_info and (met := record.exc_info[1]) is not None:
            values["error"] = f"{type(met).__name__}: {met}"  # a library that goes on: what it met is enough
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            # A caller's wrong format must not cost the line, nor break the caller.
            message = f"{record.msg} {record.args}"
        method = "error" if record.levelno >= logging.ERROR else record.levelname.lower()
        getattr(structlog.get_logger(), method if method in LEVELS else "info")(message, **values)


# Talkative at levels that mean something else to us.
_QUIETER = {"httpx": "warning", "httpcore": "warning", "aiormq": "warning", "aio_pika": "warning"}


def _take_over_logging(level: str) -> None:
    root = logging.getLogger()
    root.handlers[:] = [_FromLogging()]
    root.setLevel(LEVELS[level])
    for name, least in _QUIETER.items():
        logging.getLogger(name).setLevel(max(LEVELS[level], LEVELS[least]))
