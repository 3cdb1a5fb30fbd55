"""A real cloud for a test: started, stopped and asked by the same commands that a user types.

What is left in the world is looked for without asking the cloud: processes in /proc, devices in the cloud's
namespaces, rows of OVN by OVN's own tool, rows of the database in its file.
"""

import contextlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aerostat
from aerostat.kernel.state_folder import StateFolder
from tests.contracts.hypervisor_worlds import why_no_libvirt
from tests.metal.ovn_cloud import missing_for_ovn

OURS = str(Path(aerostat.__file__).resolve().parents[1])
START_LIMIT_S = 180.0
STOP_LIMIT_S = 120.0


def why_no_real_cloud() -> str:
    """Why a real cloud cannot run here; empty when it can."""
    missing = [word for word in ("ssh", "qemu-system-x86_64", "ovn-nbctl") if shutil.which(word) is None]
    return (
        missing_for_ovn() or why_no_libvirt() or (f"not installed: {', '.join(missing)}" if missing else "")
    )


@dataclass
class Left:
    """What the world holds of servers: everything empty when there are none."""

    domains: set[str] = field(default_factory=set)
    taps: set[str] = field(default_factory=set)
    switch_ports: set[str] = field(default_factory=set)
    allocations: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)


@contextlib.contextmanager
def real_cloud(prefix: str, settings: str = "") -> Iterator["RealCloud"]:
    """A real cloud that is up within the block, and gone without a trace after it."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
    cloud = RealCloud(folder / "s", home=folder)
    if settings:
        cloud.folder.create()
        cloud.folder.settings.write_text(settings)
    try:
        cloud.up()
        yield cloud
    finally:
        RealCloud.purge_folder(folder / "s", folder)
        shutil.rmtree(folder)


class RealCloud:
    """`up`, `down` and everything between, on a state folder of a test's own."""

    def __init__(self, path: Path, home: Path) -> None:
        self.folder = StateFolder(path)
        self._home = home
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def up(self, *words: str) -> None:
        self.run("up", "--detach", "--yes", "--port", str(self.port), *words, limit_s=START_LIMIT_S)

    def down(self) -> None:
        self.run("down", limit_s=STOP_LIMIT_S)

    def purge(self) -> None:
        self.run("down", "--purge", "--yes", limit_s=STOP_LIMIT_S)

    @classmethod
    def purge_folder(cls, path: Path, home: Path) -> None:
        """Whatever is there of a cloud, even one that did not start."""
        if path.exists():
            cls(path, home).purge()

    def run(self, verb: str, *words: str, limit_s: float = 60.0, check: bool = True) -> str:
        """What `aerostat VERB --state … WORDS` prints; an AssertionError with its words if it fails."""
        done = subprocess.run(
            [sys.executable, "-m", "aerostat", verb, "--state", str(self.folder.path), *words],
            env={**os.environ, "HOME": str(self._home), "PYTHONPATH": OURS, "XDG_CONFIG_HOME": ""},
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )
        assert not check or done.returncode == 0, f"aerostat {verb}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def process_ids(self) -> dict[str, int]:
        """By name, the pids of what runs under the supervisor, and `supervisor`."""
        status = self.status()
        found = {process["name"]: process["pid"] for process in status["processes"] if process["pid"]}
        return {**found, "supervisor": status["supervisor_pid"]}

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.run("status", "-o", "json", check=False)))

    def connect(self, user: str = "demo") -> Any:
        """An openstacksdk connection by the clouds.yaml that `up` wrote."""
        from openstack.config import OpenStackConfig
        from openstack.connection import Connection

        config = OpenStackConfig(config_files=[str(self.folder.clouds)], load_envvars=False)
        name = "aerostat" if user == "admin" else f"aerostat-{user}"
        return Connection(config=config.get_one(cloud=name))

    # The world

    def pids(self) -> dict[int, list[str]]:
        """Command lines of all processes that name our state folder or namespaces."""
        found = {}
        marks = (str(self.folder.path).encode(), self.folder.prefix.encode())
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if int(entry.name) != os.getpid() and any(mark in words for mark in marks):
                found[int(entry.name)] = words.decode(errors="replace").split("\0")
        return found

    def namespaces(self) -> set[str]:
        return {path.name for path in Path("/run/netns").glob(f"{self.folder.prefix}-*")}

    def domains(self) -> set[str]:
        """Names of the QEMU processes that run now."""
        names = set()
        for words in self.pids().values():
            if words[0].endswith("qemu-system-x86_64") and "-name" in words:
                name = words[words.index("-name") + 1]
                names.add(name.removeprefix("guest=").split(",")[0])
        return names

    def guest_ids(self) -> list[int]:
        """Pids of the QEMU processes."""
        return [pid for pid, words in self.pids().items() if words[0].endswith("qemu-system-x86_64")]

    def taps(self, namespace: str = "") -> set[str]:
        """Those of one host, by its namespace; of the first if none is named."""
        space = namespace or f"{self.folder.prefix}-host"
        listed = subprocess.run(["ip", "-n", space, "-j", "link"], capture_output=True, check=True)
        return {link["ifname"] for link in json.loads(listed.stdout) if link["ifname"].startswith("tap")}

    def guest_ports(self) -> set[str]:
        """Logical switch ports that belong to guests: those that carry addresses and no type."""
        rows = self.northbound("Logical_Switch_Port", "name,type")
        return {name for name, kind in rows if not kind}

    def logical_things(self) -> set[tuple[str, str]]:
        """Every switch, router, port, address translation and group that OVN was told of."""
        found = set()
        tables = ("Logical_Switch", "Logical_Switch_Port", "Logical_Router", "Logical_Router_Port")
        for table in (*tables, "NAT", "Port_Group", "ACL", "DHCP_Options"):
            found |= {(table, uuid[1]) for (uuid,) in self.northbound(table, "_uuid")}
        return found

    def northbound(self, table: str, columns: str) -> list[list[Any]]:
        """These columns of every row of a table of OVN's northbound database."""
        database = f"--db=unix:{self.folder.ovn}/nb.sock"
        words = ["--timeout=20", "--format=json", f"--columns={columns}", "list", table]
        listed = subprocess.run(["ovn-nbctl", database, *words], capture_output=True, check=True)
        return list(json.loads(listed.stdout)["data"])

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with sqlite3.connect(f"file:{self.folder.database}?mode=ro", uri=True, timeout=20) as database:
            return database.execute(query).fetchall()

    def left(self) -> Left:
        instances = self.folder.instances / "instances"
        return Left(
            domains=self.domains(),
            taps=self.taps(),
            switch_ports=self.guest_ports(),
            allocations={str(row[0]) for row in self.rows("select consumer_id from placement_allocations")},
            folders={path.name for path in instances.iterdir()} if instances.is_dir() else set(),
        )
