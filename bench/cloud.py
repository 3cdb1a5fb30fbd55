"""A cloud to measure: started here with fakes, and spoken to over its public API."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

from aerostat.kernel.config import load
from aerostat.kernel.state_folder import StateFolder

from .processes import Tree

START_LIMIT_S = 60.0
STOP_LIMIT_S = 20.0


class Refused(Exception):
    """An answer that the benchmark did not ask for."""


class Api:
    """One kept connection, one user. `token` is put on each request once there is one."""

    def __init__(self, port: int, user: str, password: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._login = {
            "auth": {
                "identity": {
                    "methods": ["password"],
                    "password": {"user": {"name": user, "password": password, "domain": {"id": "default"}}},
                },
                "scope": {"project": {"name": user, "domain": {"id": "default"}}},
            }
        }
        self.token: str | None = None
        self.project_id = ""
        self.rooms: set[str] = set()

    def sign_in(self) -> str:
        """A new token, used from now on."""
        self.token = None
        status, headers, body = self.send("POST", "/identity/v3/auth/tokens", self._login)
        if status != 201:
            raise Refused(f"no token: {status} {body}")
        self.token = headers["x-subject-token"]
        self.project_id = body["token"]["project"]["id"]
        self.rooms = {entry["type"] for entry in body["token"]["catalog"]}
        return self.token

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The decoded answer; raises `Refused` at 400 and above."""
        status, _, found = self.send(method, path, body, **headers)
        if status >= 400:
            raise Refused(f"{method} {path}: {status} {found}")
        return found

    def send(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, dict[str, str], Any]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token is not None:
            sent["X-Auth-Token"] = self.token
        raw = None
        if body is not None:
            raw, sent["Content-Type"] = json.dumps(body), "application/json"
        self._connection.request(method, path, raw, sent)
        answer = self._connection.getresponse()
        text = answer.read()
        found = json.loads(text) if text and "json" in answer.headers.get("content-type", "") else None
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, found


class FakeCloud:
    """`aerostat serve --fake` on a folder, as a process of its own. A context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.first_token_s = 0.0
        self.first_token_cpu_s = 0.0

    def __enter__(self) -> Self:
        words = ["serve", "--fake", "--state", str(self.folder), "--port", str(self.port)]
        began_s = time.monotonic()
        with (self.folder.parent / "output").open("a") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "aerostat", *words], stdout=output, stderr=output
            )
        self.tree = Tree(self._process.pid)
        self.api = self._first_token(began_s)
        self.first_token_s = time.monotonic() - began_s
        self.first_token_cpu_s = self.tree.cpu_s()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _first_token(self, began_s: float) -> Api:
        while True:
            if self._process.poll() is not None:
                raise RuntimeError(f"the cloud ended at once; see {self.folder.parent / 'output'}")
            if time.monotonic() - began_s > START_LIMIT_S:
                raise TimeoutError(f"no token within {START_LIMIT_S:.0f} s")
            if os.path.exists(self.folder / "secrets.toml"):
                password = load(StateFolder(self.folder), {}).folder.ensure_secrets().admin_password
                try:
                    api = Api(self.port, "admin", password)
                    api.sign_in()
                    return api
                except OSError:
                    pass
            time.sleep(0.005)
