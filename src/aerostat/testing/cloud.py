"""`Cloud`: a fake cloud in a thread of its own, so that tests written without asyncio can use it."""

import asyncio
import contextlib
import gc
import shutil
import socket
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from aerostat.kernel.config import Config, load
from aerostat.kernel.house import House
from aerostat.kernel.state_folder import StateFolder

from .faults import Faults

T = TypeVar("T")

START_LIMIT_S = 30.0
CALL_LIMIT_S = 60.0
_QUICK = {"AEROSTAT_IDENTITY_BCRYPT_ROUNDS": "4"}


class Cloud:
    """A cloud with fake hypervisor and network behind the real API, engine and database.

    `settings` are kernel settings (`log_level="debug"`); `environ` sets any other (`AEROSTAT_COMPUTE_…`). `state` keeps
    the cloud in a folder of yours, so that a second `Cloud` on it finds the first one's things; otherwise it is
    thrown away. Use as a context manager, or call `start` and `stop`. Its log goes to `logging`, as `aerostat`:
    warnings, unless `log_level` says otherwise.
    """

    def __init__(
        self, *, state: str | Path | None = None, environ: dict[str, str] | None = None, **settings: Any
    ) -> None:
        self._own_folder = state is None
        self._path = Path(state) if state is not None else Path(tempfile.mkdtemp(prefix="aerostat-"))
        self._environ = {**_QUICK, **(environ or {})}
        self._settings = settings
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._problem: BaseException | None = None
        self._connections: dict[str, Any] = {}
        self.house: House
        self.url = ""

    def start(self) -> Self:
        """Start and wait until requests are answered. Raises what went wrong."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        listener.setblocking(False)
        port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._thread = threading.Thread(
            target=self._run, args=(listener, port), name=f"cloud-{port}", daemon=True
        )
        self._thread.start()
        if not self._ready.wait(START_LIMIT_S):
            raise TimeoutError(f"the cloud did not start within {START_LIMIT_S:.0f} s")
        if self._problem is not None:
            self._thread.join()
            raise self._problem
        return self

    def stop(self) -> None:
        """Stop, and throw the cloud away unless it has a folder of yours."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not None:
            self._thread.join(START_LIMIT_S)
        if self._own_folder:
            shutil.rmtree(self._path, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def auth(self) -> dict[str, str]:
        """What openstacksdk, keystoneauth and others call `auth`, for the administrator."""
        return self.auth_of("admin")

    def auth_of(self, user: str, project: str | None = None) -> dict[str, str]:
        """The same for `admin` or `demo`, on their own project or another."""
        secrets = self.house.state["secrets"]
        return {
            "auth_url": f"{self.url}/identity/v3",
            "username": user,
            "password": secrets[f"{user}_password"],
            "project_name": project or user,
            "user_domain_id": "default",
            "project_domain_id": "default",
        }

    @property
    def environment(self) -> dict[str, str]:
        """`OS_…` variables for a command line client."""
        auth = self.auth
        return {f"OS_{key.upper()}": value for key, value in auth.items()} | {
            "OS_REGION_NAME": self.house.config.kernel.region,
            "OS_IDENTITY_API_VERSION": "3",
        }

    @property
    def connection(self) -> Any:
        """An openstacksdk connection as the administrator (openstacksdk must be installed)."""
        return self.connect("admin")

    def connect(self, user: str, project: str | None = None) -> Any:
        """An openstacksdk connection as `user`; kept and closed with the cloud."""
        key = f"{user}@{project}"
        if key not in self._connections:
            import openstack

            self._connections[key] = openstack.connect(
                auth=self.auth_of(user, project),
                region_name=self.house.config.kernel.region,
                identity_api_version="3",
                load_yaml_config=False,
                load_envvars=False,
            )
        return self._connections[key]

    @property
    def faults(self) -> Faults:
        """Ways to make things go wrong."""
        return Faults(self)

    def call(self, work: Coroutine[Any, Any, T], limit_s: float = CALL_LIMIT_S) -> T:
        """Run a coroutine inside the cloud's own loop and answer what it answers."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(limit_s)

    def _run(self, listener: socket.socket, port: int) -> None:
        import uvloop

        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve(listener, port))
        except BaseException as problem:
            self._problem = problem
        finally:
            listener.close()
            self._ready.set()

    async def _serve(self, listener: socket.socket, port: int) -> None:
        with _no_collection():
            from aerostat import app, app_http
            from aerostat.kernel import log

            app.rooms()
        log.hand_over(self._settings.get("log_level", "warning"))
        from aerostat.kernel.config import ROLES

        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        config = self._config(port)
        async with app.open_house(config, set(ROLES)) as house, app_http.serving(house.dispatch, listener):
            self.house = house
            self._ready.set()
            await self._stop.wait()

    def _config(self, port: int) -> Config:
        from aerostat import app

        folder = StateFolder(self._path)
        folder.create()
        folder.ensure_secrets()
        settings = dict(self._settings)
        settings.setdefault("database_url", f"sqlite:///{folder.database}?synchronous=off")
        sections = {door.name: door.config for door in app.rooms() if door.config is not None}
        return load(folder, sections, environ=self._environ, fake=True, port=port, **settings)


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Loading makes no garbage; looking for it is a tenth of a start."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
