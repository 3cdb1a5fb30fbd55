"""A machine of its own for a test: Open vSwitch, OVN's controller and libvirt started as Debian starts them.

It is a network namespace, with a wire to the tunnels' network and one to the outside of a cloud of several hosts, and a
mount namespace in which the places where the daemons keep their things are its own. To the message queue, which is on
the loopback device of whoever tests, leads a relay.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from aerostat.kernel.namespaces import list_processes, run_inside
from aerostat.services.network.drivers.ovn.daemons import OvnHost, remove_everything
from tests.metal.real_cloud import OURS, RealCloud
from tests.waiting import eventually

NUMBER = 9
TUNNEL_ADDRESS = f"172.31.254.{NUMBER}"
SWITCH = "unix:/run/openvswitch/db.sock"
# What the daemons write: empty in the machine, as after their packages were installed.
PLACES = (
    *(
        "/run",
        "/etc/openvswitch",
        "/var/lib/openvswitch",
        "/var/log/openvswitch",
        "/var/lib/ovn",
        "/var/log/ovn",
    ),
    *("/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt"),
)
START_LIMIT_S = 60.0

_ENTER = """\
set -e
hostname "$1"
mount --bind "$2" /etc/libvirt
shift 2
for place in "$@"; do mount -t tmpfs tmpfs "$place"; done
mkdir -p /run/lock
# As udev leaves it. With one that its own user cannot open, libvirt looks QEMU over again at each call.
if [ -e /dev/kvm ]; then
    mknod -m 660 /run/kvm c 10 232
    chgrp kvm /run/kvm
    mount --bind /run/kvm /dev/kvm
fi
echo ready
exec sleep infinity
"""


class JoinedMachine:
    """One machine, called `box` by its distribution, at the wires of `cloud`."""

    def __init__(self, cloud: RealCloud, path: Path, queue_port: int) -> None:
        self.state = path / "m"
        self._path = path
        self._queue_port = queue_port
        self._wires = OvnHost(
            state_dir=path / "wires",
            prefix=f"{cloud.folder.prefix}-{NUMBER}",
            host_name="box",
            number=NUMBER,
            cloud_prefix=cloud.folder.prefix,
            central_dir=cloud.folder.path,
            tunnel_address=f"{TUNNEL_ADDRESS}/24",
        )
        self._children: list[subprocess.Popen[bytes]] = []
        self._relay: Relay | None = None
        self.namespace = self._wires.host_namespace

    def power_on(self) -> None:
        """Cables and mounts; no daemon runs yet."""
        asyncio.run(self._wires.ensure_namespaces())
        etc = self._path / "etc-libvirt"
        # Without the network that the package starts: a name server for guests that nobody asked for.
        shutil.copytree("/etc/libvirt", etc, ignore=shutil.ignore_patterns("autostart"))
        words = ["nsenter", f"--net=/run/netns/{self.namespace}", "--"]
        words += ["unshare", "--mount", "--uts", "--propagation", "private", "--"]
        words += ["sh", "-c", _ENTER, "machine", "box", str(etc), *filter(os.path.isdir, PLACES)]
        holder = subprocess.Popen(words, stdout=subprocess.PIPE)
        self._children.append(holder)
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        self._relay = Relay(self.namespace, self._queue_port)

    def start_daemons(self) -> None:
        """As the units of Debian's packages do. The switch stays out of the kernel, as everywhere in tests."""
        switch = "/usr/share/openvswitch/scripts/ovs-ctl"
        self.run(
            switch, "--no-ovs-vswitchd", "--no-monitor", "--system-id=random", "--no-record-hostname", "start"
        )
        self.run(switch, "record-hostname-if-not-set")
        self.run("ovs-vswitchd", "--disable-system", "--detach", "--pidfile", "--log-file", "-vconsole:off")
        # What an administrator has set up before: a switch in userspace, where tunnels and the outside go out.
        words = ["--", "set", "Open_vSwitch", ".", "external_ids:ovn-bridge-datapath-type=netdev"]
        for bridge, wire in (("br-ex", "public-br"), ("br-phy", "underlay")):
            words += ["--", "add-br", bridge, "--", "set", "Bridge", bridge, "datapath_type=netdev"]
            words += ["--", "add-port", bridge, wire]
        self.run("ovs-vsctl", "--timeout=20", *words[1:])
        self.run("ip", "address", "add", f"{TUNNEL_ADDRESS}/24", "dev", "br-phy")
        self.run("ip", "link", "set", "br-phy", "up")
        self.run(
            "/usr/share/ovn/scripts/ovn-ctl", "start_controller", "--ovn-manage-ovsdb=no", "--no-monitor"
        )
        self._spawn("virtlogd")
        self._spawn("libvirtd")
        eventually(
            lambda: self.succeeds("test", "-S", "/run/libvirt/libvirt-sock"), START_LIMIT_S, why="libvirtd"
        )

    def power_off(self) -> None:
        """Everything in it ends; namespaces and wires go."""
        if self._relay is not None:
            self._relay.close()
        if Path(f"/run/netns/{self.namespace}").exists():
            for pid in list_processes(self.namespace):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            asyncio.run(remove_everything(self._wires.prefix))
        for child in self._children:
            child.kill()
            child.wait()

    # Commands in it

    def run(self, *words: str, limit_s: float = 60.0, **more: Any) -> str:
        done = self.command(*words, limit_s=limit_s, **more)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def succeeds(self, *words: str) -> bool:
        return self.command(*words).returncode == 0

    def command(self, *words: str, limit_s: float = 60.0, **more: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._inside(), *words], capture_output=True, text=True, timeout=limit_s, check=False,
            env=self._environment(), **more,
        )  # fmt: skip

    def aerostat(self, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return self.command(sys.executable, "-m", "aerostat", *words, "--state", str(self.state), **more)

    def serve(self) -> None:
        """The host role, until the machine is switched off."""
        self._spawn(sys.executable, "-m", "aerostat", "serve", "--role", "host", "--state", str(self.state))
        ready = self.state / "run" / "host.ready"
        eventually(ready.exists, START_LIMIT_S, why=f"the host serves: {self.printed('serve')}")

    def printed(self, name: str) -> str:
        file = self._path / f"{name}.printed"
        return file.read_text()[-3000:] if file.exists() else ""

    def ids(self) -> dict[str, str]:
        """What stands in the switch's `external_ids`."""
        printed = self.run("ovs-vsctl", "--timeout=10", "get", "Open_vSwitch", ".", "external_ids")
        pairs = (pair.split("=", 1) for pair in printed.strip("{}\n").split(", "))
        return {key.strip('"'): value.strip('"') for key, value in pairs}

    def _spawn(self, *words: str) -> None:
        name = "serve" if "serve" in words else Path(words[0]).name
        with (self._path / f"{name}.printed").open("ab") as output:
            self._children.append(
                subprocess.Popen(
                    [*self._inside(), *words],
                    env=self._environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )
            )

    def _inside(self) -> list[str]:
        holder = self._children[0].pid
        return ["nsenter", "--target", str(holder), "--net", "--mount", "--uts", "--"]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": OURS, "HOME": str(self._path), "XDG_CONFIG_HOME": ""}


class Relay:
    """A port of the loopback device inside a namespace that leads to the same port outside."""

    def __init__(self, namespace: str, port: int) -> None:
        self._port = port
        self._listener = asyncio.run(run_inside(namespace, self._listen))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _listen(self) -> socket.socket:
        return socket.create_server(("127.0.0.1", self._port))

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                inner, _ = self._listener.accept()
                try:
                    outer = socket.create_connection(("127.0.0.1", self._port))
                except OSError:
                    inner.close()
                    continue
                for one, other in ((inner, outer), (outer, inner)):
                    threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    @staticmethod
    def _carry(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                sink.sendall(chunk)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
