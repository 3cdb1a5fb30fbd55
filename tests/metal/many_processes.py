"""A cloud of many processes for tests: real PostgreSQL and RabbitMQ, roles in processes of their own, fake hosts.

Everything is started by the commands that an operator types. Nothing needs root.
"""

import contextlib
import json
import os
import secrets
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

import aerostat
from tests.servers import RABBITMQ, Postgres, Rabbitmq, free_port
from tests.waiting import eventually

OURS = str(Path(aerostat.__file__).resolve().parents[1])
START_LIMIT_S = 90.0
STOP_LIMIT_S = 40.0


def why_no_queue() -> str:
    """Why a cloud of many processes cannot run here; empty when it can."""
    return "" if RABBITMQ.exists() else "no RabbitMQ server here (Debian: apt install rabbitmq-server)"


class Role:
    """One `aerostat serve`, to be started, ended, killed and started again under the same name."""

    def __init__(
        self, cloud: "ManyProcesses", name: str, state: Path, config: Path | None, words: list[str]
    ) -> None:
        self.cloud = cloud
        self.name = name
        self.state = state
        self._config = config
        self._words = words
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def ready(self) -> bool:
        return (self.state / "run" / f"{self.name}.ready").exists()

    def start(self, *, wait: bool = True) -> None:
        (self.state / "run" / f"{self.name}.ready").unlink(missing_ok=True)  # a killed process left it
        words = ["serve", "--state", str(self.state), "--process", self.name, *self._words]
        if self._config is not None:
            words += ["--config", str(self._config)]
        with self.printed.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "aerostat", *words],
                env=self.cloud.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        def settled() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, f"{self.name} ended:\n{self.printed.read_text()[-3000:]}"
            return self.ready

        eventually(settled, START_LIMIT_S, every_s=0.05, why=f"{self.name} is ready")

    @property
    def printed(self) -> Path:
        return self.cloud.path / f"{self.name}.printed"

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it and wait; answers its exit code."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(how)
        try:
            code = self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"{self.name} did not end within {STOP_LIMIT_S} s") from None
        self._process = None
        return code


class ManyProcesses:
    """The cloud: `api` (two workers on one port), two engines, two hosts, a console."""

    def __init__(
        self,
        path: Path,
        postgres: Postgres,
        database_url: str,
        rabbitmq: Rabbitmq,
        bus_url: str | None = None,
    ) -> None:
        self.path = path
        self.bus_url = bus_url or rabbitmq.url
        self.postgres = postgres
        self.rabbitmq = rabbitmq
        self.database_url = database_url
        self.port, self.console_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {**os.environ, "PYTHONPATH": OURS, "HOME": str(path), "XDG_CONFIG_HOME": ""}
        self.control = path / "c"
        self.settings = path / "aerostat.toml"
        self.world = path / "world.sqlite"
        self.secrets = path / "secrets.toml"
        self.write_settings()
        control = {"state": self.control, "config": self.settings}
        self.api = Role(self, "api", words=["--role", "api", "--workers", "2"], **control)
        self.engines = [Role(self, f"engine-{n}", words=["--role", "engine"], **control) for n in (1, 2)]
        console_words = ["--role", "console", "--port", str(self.console_port)]
        self.console = Role(self, "console", words=console_words, **control)
        self.hosts = [
            Role(self, name, path / name, None, ["--role", "host"]) for name in ("node-1", "node-2")
        ]

    @property
    def roles(self) -> list[Role]:
        return [*self.engines, *self.hosts, self.api, self.console]

    def write_settings(self, **kernel: str) -> None:
        values = {
            "database_url": self.database_url,
            "bus_url": self.bus_url,
            "bus_admin_url": self.rabbitmq.admin_url,
            "public_url": self.url,
            "console_url": f"http://127.0.0.1:{self.console_port}",
            "secrets_file": str(self.secrets),
            **kernel,
        }
        lines = ["[kernel]", f"port = {self.port}", *(f'{key} = "{value}"' for key, value in values.items())]
        lines += ["[kernel.drivers]", 'compute = "fake"', 'network = "fake"']
        lines += ["[identity]", "bcrypt_rounds = 4"]
        lines += ["[network]", f'fake_world = "{self.world}"']
        lines += ["[image]", f'folder = "{self.path / "images"}"']
        lines += ["[compute]", "report_s = 1.0", "down_after_s = 8.0"]
        self.settings.write_text("\n".join(lines) + "\n")
        self.settings.chmod(0o600)

    # Commands

    def command(self, *words: str, state: Path | None = None, config: bool = True, **more: Any) -> Any:
        """Run `aerostat WORDS` as on a control machine, or with `state` alone; the finished process."""
        named = ["--state", str(state or self.control), *(["--config", str(self.settings)] if config else [])]
        return subprocess.run(
            [sys.executable, "-m", "aerostat", *words, *named],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=START_LIMIT_S,
            check=False,
            **more,
        )

    def run(self, *words: str, **more: Any) -> str:
        done = self.command(*words, **more)
        assert done.returncode == 0, f"aerostat {' '.join(words)}: {done.stdout}\n{done.stderr}"
        return str(done.stdout)

    def join(self, host: Role) -> None:
        """Let the host in, as an operator does: a token made here, used there, and its drivers set."""
        token = self.run("host", "token", host.name, "--renew")
        self.run("host", "join", state=host.state, config=False, input=token)
        self.choose_fakes(host)

    def choose_fakes(self, host: Role) -> None:
        with (host.state / "aerostat.toml").open("a") as settings:
            settings.write('\n[kernel.drivers]\ncompute = "fake"\nnetwork = "fake"\n')
            settings.write(f'\n[network]\nfake_world = "{self.world}"\n[compute]\nreport_s = 1.0\n')

    def up(self) -> None:
        """Everything from nothing."""
        self.run("migrate")
        self.run("bootstrap")
        for engine in self.engines:
            engine.start(wait=False)
        for engine in self.engines:
            engine.wait_ready()
        for host in self.hosts:
            self.join(host)
        for role in (*self.hosts, self.api, self.console):
            role.start(wait=False)
        for role in self.roles:
            role.wait_ready()

    def close(self) -> None:
        for role in self.roles:
            with contextlib.suppress(AssertionError):
                role.end(signal.SIGTERM)

    # Users

    def user(self, name: str = "admin", *, url: str | None = None) -> "User":
        return User(url or self.url, name, self.passwords[f"{name}_password"])

    @property
    def passwords(self) -> dict[str, str]:
        import tomllib

        return tomllib.loads(self.secrets.read_text())

    # The world

    def sql(self, statement: str) -> list[str]:
        """Rows of the cloud's database, columns parted by bars."""
        name = self.database_url.rpartition("/")[2]
        return self.postgres.sql(statement, database=name).splitlines()

    def guests(self) -> dict[str, str]:
        """What runs where: server id → host."""
        found = {}
        for host in self.hosts:
            file = host.state / "instances" / "fake-guests.json"
            if file.exists():
                for guest in json.loads(file.read_text())["guests"]:
                    assert guest["spec"]["id"] not in found, "a guest is on two hosts"
                    found[guest["spec"]["id"]] = host.name
        return found

    def plugged(self) -> set[str]:
        with sqlite3.connect(f"file:{self.world}?mode=ro", uri=True) as world:
            return {row[0] for row in world.execute("select port_id from plugged")}

    def at_rest(self) -> bool:
        return self.sql("select count(*) from kernel_flows where state = 'running'") == ["0"]

    def check_agreement(self, limit_s: float = 60.0) -> None:
        """That the world comes to be as the rows say."""
        ends_s = time.monotonic() + limit_s
        while differences := self.differences():
            assert time.monotonic() < ends_s, f"after {limit_s:.0f} s: {differences}"
            time.sleep(0.5)

    def check_all_goes(self, user: "User", limit_s: float = 60.0) -> None:
        """That the user can delete his servers, and nothing is left of them."""
        try:
            user.delete_servers()
        except AssertionError as error:
            columns = "name, step, attempts, lease_worker, wake_at, lease_until, superseded_by"
            stuck = self.sql(f"select {columns} from kernel_flows where state = 'running'")
            raise AssertionError(f"{error}\n" + "\n".join(stuck)) from None
        eventually(self.at_rest, limit_s, why="every flow has ended")
        self.check_agreement(limit_s)
        assert self.guests() == {}

    def differences(self) -> list[str]:
        """Where the world and the rows disagree; empty when they do not."""
        rows = [
            line.split("|")
            for line in self.sql("select id, host, state from compute_servers where state <> 'deleted'")
        ]
        placed = {id: host for id, host, state in rows if state == "active"}
        found = []
        if self.guests() != placed:
            found.append(f"guests {self.guests()} where rows say {placed}")
        claims = set(self.sql("select distinct consumer_id from placement_allocations"))
        if claims != set(placed):
            found.append(f"claims {claims ^ set(placed)}")
        ports = set(self.sql("select id from network_ports where device_owner like 'compute:%'"))
        if ports != self.plugged():
            found.append(f"ports {ports ^ self.plugged()}")
        return found


@contextlib.contextmanager
def many_processes(postgres: Postgres, *, tls: bool = False) -> Iterator[ManyProcesses]:
    """The cloud on a database and a queue of its own, not started yet; gone after the block. `tls`: to the queue."""
    name = f"many_{secrets.token_hex(4)}"
    postgres.sql(f"CREATE DATABASE {name} STRATEGY file_copy")
    # The session's PostgreSQL answers before it has written: killed, it would forget what it promised.
    postgres.sql(f"ALTER DATABASE {name} SET synchronous_commit = on")
    rabbitmq = Rabbitmq(managed=True)
    with tempfile.TemporaryDirectory(prefix="as-many-") as folder:
        url = postgres.database_url(name)
        cloud = ManyProcesses(Path(folder), postgres, url, rabbitmq, rabbitmq.tls_url if tls else None)
        try:
            yield cloud
        finally:
            cloud.close()
            rabbitmq.close()
            postgres.sql(f"DROP DATABASE {name} WITH (FORCE)")


class User:
    """A signed-in user who says what happened: each request on a connection of its own, nothing hidden."""

    def __init__(self, url: str, name: str, password: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=60, trust_env=False, headers={"connection": "close"})
        user = {"name": name, "domain": {"id": "default"}, "password": password}
        scope = {"project": {"name": name, "domain": {"id": "default"}}}
        self._ask = {
            "auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}
        }
        self.sign_in()

    def sign_in(self) -> str:
        answer = self.http.post("/identity/v3/auth/tokens", json=self._ask)
        assert answer.status_code == 201, answer.text
        token = str(answer.headers["x-subject-token"])
        self.http.headers["x-auth-token"] = token
        return token

    def get(self, path: str) -> Any:
        answer = self.http.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def create_server(self, name: str, **more: Any) -> httpx.Response:
        """Ask for a small server on the demo user's network; the answer as it came."""
        if not hasattr(self, "_image"):
            self._image = self.get("/image/v2/images?name=aerostat-test")["images"][0]["id"]
            networks = self.get("/networking/v2.0/networks?name=private")["networks"]
            self._network = networks[0]["id"]
        server = {
            "name": name,
            "imageRef": self._image,
            "flavorRef": "42",
            "networks": [{"uuid": self._network}],
            **more,
        }
        return self.http.post("/compute/v2.1/servers", json={"server": server})

    def servers(self) -> dict[str, dict[str, Any]]:
        return {one["id"]: one for one in self.get("/compute/v2.1/servers/detail")["servers"]}

    def wait_all(self, ids: set[str], status: str, limit_s: float = 180.0) -> None:
        def there() -> bool:
            found = self.servers()
            bad = [
                one.get("fault") for one in found.values() if one["id"] in ids and one["status"] == "ERROR"
            ]
            assert not bad, bad
            return all(found.get(id, {}).get("status") == status for id in ids)

        eventually(there, limit_s, every_s=0.3, why=f"{len(ids)} servers {status}")

    def delete_servers(self, limit_s: float = 180.0) -> None:
        for id in self.servers():
            assert self.http.delete(f"/compute/v2.1/servers/{id}").status_code in (204, 404)
        eventually(lambda: not self.servers(), limit_s, every_s=0.3, why="no server is left")


def created(answer: httpx.Response) -> str:
    """The id of the server whose making was accepted."""
    assert answer.status_code == 202, answer.text
    return str(answer.json()["server"]["id"])
