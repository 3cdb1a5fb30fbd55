"""A guest without a hypervisor: a network namespace behind a tap that a host plugged.

What QEMU does with a tap is done here by a relay of a few lines: frames that come out of the host's tap go
into the guest's own, and back. The guest's kernel is this machine's, its DHCP client is below.
"""

import asyncio
import contextlib
import fcntl
import os
import random
import socket
import struct
from collections.abc import AsyncIterator
from functools import partial

from pyroute2 import IPRoute

from aerostat.kernel.namespaces import ensure_namespace, find_link, remove_namespace, run_inside

_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
_LINK = "eth0"


class NamespaceGuest:
    """Acts inside the guest. `dhcp()` answers the options it was given, by number."""

    def __init__(self, namespace: str, mac: str) -> None:
        self.namespace = namespace
        self.mac = mac

    async def dhcp(self) -> dict[int, bytes]:
        """Ask for an address, take it, set the routes: what a guest's init does."""
        address, options = await run_inside(self.namespace, partial(_ask_dhcp, self.mac))
        await run_inside(self.namespace, partial(_configure, address, options))
        self.address = address
        return options

    async def run(self, *command: str, timeout_s: float = 20.0) -> tuple[int, str]:
        """Run a command in the guest; exit code and output."""
        process = await asyncio.create_subprocess_exec(
            "nsenter",
            f"--net=/run/netns/{self.namespace}",
            "--",
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), timeout_s)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
        return process.returncode or 0, output.decode(errors="replace")

    async def pings(self, address: str) -> bool:
        code, _ = await self.run("ping", "-c", "1", "-W", "2", address)
        return code == 0

    async def fetch(self, address: str, port: int, timeout_s: float = 3.0) -> bytes | None:
        """What a TCP server at `address` says first; None when it cannot be reached."""

        def ask() -> bytes | None:
            try:
                with socket.create_connection((address, port), timeout_s) as connection:
                    connection.settimeout(timeout_s)
                    return connection.recv(1000)
            except OSError:
                return None

        return await run_inside(self.namespace, ask)

    async def resolve(self, server: str, name: str) -> str | None:
        """The IPv4 address DNS gives for `name`, asked at `server`; None without an answer."""
        return await run_inside(self.namespace, partial(_ask_dns, server, name))

    @contextlib.asynccontextmanager
    async def serving(self, port: int, address: str = "0.0.0.0") -> AsyncIterator[list[str]]:
        """A TCP server inside the guest that greets each caller with its address; gives the callers so far."""
        callers: list[str] = []

        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            callers.append(writer.get_extra_info("peername")[0])
            writer.write(f"{self.namespace} greets {callers[-1]}".encode())
            await writer.drain()
            writer.close()

        listener = await run_inside(self.namespace, partial(socket.create_server, (address, port)))
        server = await asyncio.start_server(greet, sock=listener)
        try:
            yield callers
        finally:
            server.close()


@contextlib.asynccontextmanager
async def namespace_guest(prefix: str, name: str, tap: str, mac: str) -> AsyncIterator[NamespaceGuest]:
    """A guest on `tap` of the host `<prefix>-host`."""
    namespace = f"{prefix}-guest-{name}"
    await ensure_namespace(namespace)
    outer = await run_inside(f"{prefix}-host", partial(_open_tap, tap))
    inner = await run_inside(namespace, partial(_open_tap, _LINK, mac))
    loop = asyncio.get_running_loop()
    loop.add_reader(outer, _relay, outer, inner)
    loop.add_reader(inner, _relay, inner, outer)
    try:
        yield NamespaceGuest(namespace, mac)
    finally:
        for descriptor in (outer, inner):
            loop.remove_reader(descriptor)
            os.close(descriptor)
        await remove_namespace(namespace)


def _relay(source: int, target: int) -> None:
    with contextlib.suppress(BlockingIOError, OSError):
        os.write(target, os.read(source, 65535))


def _open_tap(name: str, mac: str | None = None) -> int:
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI))
    if mac is not None:
        with IPRoute() as ip:
            ip.link("set", index=find_link(ip, name), address=mac, mtu=1442, state="up")
    return descriptor


def _ask_dhcp(mac: str) -> tuple[str, dict[int, bytes]]:
    """DISCOVER, OFFER, REQUEST, ACK (RFC 2131) over a packet socket."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)) as raw:
        raw.bind((_LINK, 0x0800))
        raw.settimeout(1.0)
        transaction = random.randbytes(4)
        offered = _exchange(raw, mac, transaction, bytes([53, 1, 1, 55, 7, 1, 3, 6, 15, 26, 121, 51]))
        address, options = offered
        request = bytes([53, 1, 3, 50, 4]) + socket.inet_aton(address) + bytes([54, 4]) + options[54]
        address, options = _exchange(
            raw, mac, transaction, request + bytes([55, 7, 1, 3, 6, 15, 26, 121, 51])
        )
        assert options[53] == b"\x05", "the server did not acknowledge"
        return address, options


def _exchange(
    raw: socket.socket, mac: str, transaction: bytes, options: bytes
) -> tuple[str, dict[int, bytes]]:
    hardware = bytes.fromhex(mac.replace(":", ""))
    bootp = struct.pack("!BBBB4sHH16s16s192x", 1, 1, 6, 0, transaction, 0, 0x8000, b"", hardware)
    payload = bootp + b"\x63\x82\x53\x63" + options + b"\xff"
    udp = struct.pack("!HHHH", 68, 67, 8 + len(payload), 0) + payload
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, b"\0" * 4, b"\xff" * 4)
    header = header[:10] + struct.pack("!H", _checksum(header)) + header[12:]
    for _ in range(8):
        raw.send(b"\xff" * 6 + hardware + b"\x08\x00" + header + udp)
        with contextlib.suppress(TimeoutError):
            while True:
                frame = raw.recv(2000)
                if frame[23] == 17 and frame[36:38] == b"\x00\x44" and frame[46:50] == transaction:
                    return socket.inet_ntoa(frame[58:62]), _options(frame[42 + 240 :])
    raise TimeoutError("no DHCP answer")


def _options(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while data and data[0] != 255:
        if data[0] == 0:
            data = data[1:]
            continue
        found[data[0]] = data[2 : 2 + data[1]]
        data = data[2 + data[1] :]
    return found


def _checksum(header: bytes) -> int:
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def _configure(address: str, options: dict[int, bytes]) -> None:
    prefix_length = bin(int.from_bytes(options[1], "big")).count("1")
    with IPRoute() as ip:
        index = find_link(ip, _LINK)
        ip.addr("replace", index=index, address=address, prefixlen=prefix_length)
        routes = options.get(121, b"")
        while routes:
            length, octets = routes[0], (routes[0] + 7) // 8
            destination = socket.inet_ntoa(routes[1 : 1 + octets].ljust(4, b"\0"))
            gateway = socket.inet_ntoa(routes[1 + octets : 5 + octets])
            ip.route("replace", dst=f"{destination}/{length}", gateway=gateway)
            routes = routes[5 + octets :]


def _ask_dns(server: str, name: str) -> str | None:
    question = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
    query = random.randbytes(2) + struct.pack("!HHHHH", 0x0100, 1, 0, 0, 0) + question + b"\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(2.0)
        try:
            asker.sendto(query, (server, 53))
            answer = asker.recv(1000)
        except OSError:
            return None
    return socket.inet_ntoa(answer[-4:]) if answer[6:8] != b"\0\0" else None
