"""Private servers for tests: a PostgreSQL and a RabbitMQ from Debian's packages, once per session.

They listen on free loopback ports and in temporary folders only, run as the package's unprivileged user when
the tests run as root, and end with the session, also when it is killed. Where a package is missing the tests
that ask for its server are skipped, and the reason names the package.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.certificates import make_certificates

START_LIMIT_S = 90
STOP_LIMIT_S = 20


class Server:
    """A child process in a folder of its own, as another user when we are root."""

    def __init__(self, name: str, user: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"aerostat-{name}-"))
        self.log = self.folder / f"{name}.log"
        self.name = name
        self._process: subprocess.Popen[bytes] | None = None
        self._drop: list[str] = []
        if os.geteuid() == 0:
            self._drop = [f"--reuid={user}", f"--regid={user}", "--clear-groups"]
            shutil.chown(self.folder, user, user)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} does not run"
        return self._process.pid

    def command(self, *words: str | Path) -> list[str]:
        """`words` to be run as the server's user, and to die with us."""
        return ["setpriv", "--pdeathsig", "KILL", *self._drop, "--", *map(str, words)]

    def run(self, *words: str | Path) -> str:
        """Run a command to its end as the server's user; its output, or an error that shows it."""
        done = subprocess.run(
            self.command(*words),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=START_LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, f"{words[0]}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(
        self, *words: str | Path, ready: Callable[[], bool], environment: dict[str, str] | None = None
    ) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(*words),
                cwd=self.folder,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        limit_at = time.monotonic() + START_LIMIT_S
        while not ready():
            if not self.is_running or time.monotonic() > limit_at:
                self.stop(signal.SIGKILL)
                raise AssertionError(
                    f"{self.name} did not start:\n{self.log.read_text(errors='replace')[-4000:]}"
                )
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the process by its id, politely and then not."""
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def clean(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def answers(port: int, hello: bytes = b"") -> bool:
    """Whether something listens on the loopback port, and says something to `hello` if one is given."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            if not hello:
                return True
            connection.sendall(hello)
            return len(connection.recv(1)) == 1
    except OSError:
        return False


# --- PostgreSQL ---------------------------------------------------------------------------------------------

POSTGRES_VERSIONS = Path("/usr/lib/postgresql")


class Postgres(Server):
    """A PostgreSQL that forgets to fsync. `url` is its maintenance database."""

    def __init__(self, programs: Path) -> None:
        super().__init__("postgres", user="postgres")
        self.port = free_port()
        self._programs = programs
        self._password = secrets.token_hex(8)
        secret = self.folder / "password"
        secret.write_text(self._password)
        secret.chmod(0o644)  # the folder keeps others out
        self.run(
            programs / "initdb", "--pgdata", self.folder / "data", "--username=aerostat",
            f"--pwfile={secret}", "--auth-local=trust", "--auth-host=scram-sha-256",
            "--encoding=UTF8", "--locale=C", "--no-sync",
        )  # fmt: skip
        self.launch()

    def launch(self) -> None:
        """Start the server; `stop` and `launch` take turns."""
        settings = {
            "listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": self.folder,
            "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off",
            "shared_buffers": "32MB", "max_connections": 100, "wal_level": "minimal", "max_wal_senders": 0,
        }  # fmt: skip
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        self.start(self._programs / "postgres", "-D", self.folder / "data", *options, ready=self._is_ready)

    @property
    def url(self) -> str:
        return self.database_url("postgres")

    def database_url(self, name: str) -> str:
        return f"postgresql://aerostat:{self._password}@127.0.0.1:{self.port}/{name}"

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run one statement as the owner, outside of any transaction; what psql prints without any ornament."""
        return self.run(
            self._programs / "psql", "-h", self.folder, "-p", str(self.port), "-U", "aerostat",
            "-d", database, "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", statement,
        )  # fmt: skip

    def _is_ready(self) -> bool:
        if not answers(self.port):
            return False
        probe = self.command(self._programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port))
        return subprocess.run(probe, check=False).returncode == 0


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The session's PostgreSQL."""
    found = sorted(POSTGRES_VERSIONS.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if not found:
        pytest.skip("no PostgreSQL server here (Debian: apt install postgresql)")
    server = Postgres(found[-1].parent)
    yield server
    server.stop(signal.SIGINT)  # "fast": does not wait for clients
    server.clean()


@pytest.fixture(scope="session")
def postgres_url(postgres: Postgres) -> str:
    """URL of the session's PostgreSQL (its maintenance database; make others from it)."""
    return postgres.url


@pytest.fixture
def fresh_postgres_url(postgres: Postgres) -> Iterator[str]:
    """URL of an empty database that lives as long as the test."""
    name = f"test_{secrets.token_hex(6)}"
    postgres.sql(f"CREATE DATABASE {name} STRATEGY file_copy")
    yield postgres.database_url(name)
    postgres.sql(f"DROP DATABASE {name} WITH (FORCE)")


# --- RabbitMQ -----------------------------------------------------------------------------------------------

RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
AMQP_HELLO = b"AMQP\x00\x00\x09\x01"


class Rabbitmq(Server):
    """A RabbitMQ node with an epmd of its own. `stop` and `launch` take turns: it keeps its data.

    `managed`: with the management API at `admin_url`, and TLS at `tls_url` with a certificate signed by `authority`.
    """

    def __init__(self, *, managed: bool = False) -> None:
        super().__init__("rabbitmq", user="rabbitmq")
        self.port = free_port()
        self.admin_port = free_port() if managed else 0
        self.tls_port = free_port() if managed else 0
        self.admin_url = f"http://guest:guest@127.0.0.1:{self.admin_port}"
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}/"
        self._epmd_port, self._dist_port = free_port(), free_port()
        self._node = f"aerostat-{secrets.token_hex(4)}@localhost"
        self._epmd = subprocess.Popen(
            self.command("epmd", "-address", "127.0.0.1", "-port", str(self._epmd_port)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        (self.folder / "rabbitmq.conf").write_text(
            "total_memory_available_override_value = 1GB\n"
            "disk_free_limit.absolute = 10MB\n"
            "log.console = true\nlog.console.level = warning\nlog.file = false\n"
            + (self._managed() if managed else "")
        )
        (self.folder / "enabled_plugins").write_text("[rabbitmq_management].\n" if managed else "[].\n")
        (self.folder / "environment").write_text("")
        self.launch()

    @property
    def tls_url(self) -> str:
        return f"amqps://guest:guest@127.0.0.1:{self.tls_port}/?cafile={self.authority}"

    def _managed(self) -> str:
        self.authority, certificate, key = make_certificates(self.folder)
        for file in (certificate, key):
            file.chmod(0o644)  # the folder keeps others out
        self.folder.chmod(0o711)  # but the authority is for those who connect
        key.chmod(0o600)
        if os.geteuid() == 0:
            shutil.chown(key, "rabbitmq", "rabbitmq")
        lines = [
            "management.tcp.ip = 127.0.0.1",
            f"management.tcp.port = {self.admin_port}",
            f"listeners.ssl.default = 127.0.0.1:{self.tls_port}",
            f"ssl_options.cacertfile = {self.authority}",
            f"ssl_options.certfile = {certificate}",
            f"ssl_options.keyfile = {key}",
        ]
        return "".join(f"{line}\n" for line in lines)

    def launch(self) -> None:
        """Start the node and wait until it speaks AMQP."""
        arguments = "+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}"
        environment = {
            "HOME": self.folder,
            "RABBITMQ_CONF_ENV_FILE": self.folder / "environment",
            "RABBITMQ_CONFIG_FILE": self.folder / "rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": self.folder / "enabled_plugins",
            "RABBITMQ_MNESIA_BASE": self.folder / "mnesia",
            "RABBITMQ_LOG_BASE": self.folder / "log",
            "RABBITMQ_PID_FILE": self.folder / "pid",
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": self.port,
            "RABBITMQ_DIST_PORT": self._dist_port,
            "RABBITMQ_ALLOW_INPUT": "1",  # no shell between: the process we hold is the node
            "RABBITMQ_SERVER_START_ARGS": "-noinput",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": arguments,
            "ERL_EPMD_PORT": self._epmd_port,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
        self.start(
            RABBITMQ,
            ready=lambda: answers(self.port, AMQP_HELLO),
            environment={key: str(value) for key, value in environment.items()},
        )

    def close(self) -> None:
        self.stop()
        self._epmd.kill()
        self._epmd.wait()
        self.clean()


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[Rabbitmq]:
    """The session's RabbitMQ. A test that stops it must start it again."""
    if not RABBITMQ.exists():
        pytest.skip("no RabbitMQ server here (Debian: apt install rabbitmq-server)")
    server = Rabbitmq()
    yield server
    server.close()


@pytest.fixture(scope="session")
def rabbitmq_url(rabbitmq: Rabbitmq) -> str:
    """AMQP URL of the session's RabbitMQ. Take a prefix of your own for names: it is shared by all tests."""
    return rabbitmq.url
