"""`python -m bench.images`: what images cost: CPU ms per GiB on the way up and down, beside hashing them alone; lists.

A cloud of fakes is started on --folder (on a real disk: an upload is flushed) and asked over HTTP.
"""

import argparse
import hashlib
import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from .cloud import FakeCloud

MIB, GIB = 1 << 20, 1 << 30
BLOCK = os.urandom(MIB)
MANY = 1000
# From a socket into a file that is flushed: what an upload costs without anything that is done with it.
BYTES_ALONE = """
import os, resource, socket, sys
with socket.create_server(("127.0.0.1", 0)) as server, open(sys.argv[1], "wb", buffering=0) as file:
    print(server.getsockname()[1], flush=True)
    connection, _ = server.accept()
    while piece := connection.recv(256 << 10):
        file.write(piece)
    os.fsync(file.fileno())
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime)
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.images", description=__doc__)
    parser.add_argument("--folder", type=Path, help="on which disk; default: the folder of temporary files")
    parser.add_argument("--gib", type=float, default=1.0, help="size of the image that goes up and down")
    args = parser.parse_args()
    size = int(args.gib * GIB) // MIB * MIB
    os.environ["AEROSTAT_IDENTITY_BCRYPT_ROUNDS"] = "4"
    print("| what | CPU ms | wall ms |\n|---|---:|---:|")
    _show("md5 and sha512 alone, per GiB", *_timed(time.process_time, lambda: _hash(size)), size)
    _show("the bytes alone, from a socket into a file, per GiB", *_bytes_alone(args.folder, size), size)
    temporary = tempfile.TemporaryDirectory(prefix="aerostat-bench-", dir=args.folder)
    with temporary as folder, FakeCloud(Path(folder) / "s") as cloud:
        _bytes(cloud, size)
        _lists(cloud)


def _bytes(cloud: FakeCloud, size: int) -> None:
    before_mib = cloud.tree.pss_mib()
    _upload(cloud, _make(cloud), MIB)  # loads what a first upload loads
    image = _make(cloud)
    _show("upload, per GiB", *_timed(cloud.tree.cpu_s, lambda: _upload(cloud, image, size)), size)
    grown_mib = cloud.tree.pss_mib() - before_mib
    _show("download, per GiB", *_timed(cloud.tree.cpu_s, lambda: _download(cloud, image, size)), size)
    tail = {"Range": f"bytes={size - 100}-"}
    cpu_s, wall_s = _timed(cloud.tree.cpu_s, lambda: [_download(cloud, image, 100, tail) for _ in range(200)])
    _show("the last 100 bytes of it", cpu_s / 200, wall_s / 200)
    print(f"\nPSS after the upload: {grown_mib:.0f} MiB more than before.\n")


def _bytes_alone(folder: Path | None, size: int) -> tuple[float, float]:
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        words = [sys.executable, "-c", BYTES_ALONE, file.name]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            port, began_s = int(process.stdout.readline()), time.monotonic()
            with socket.create_connection(("127.0.0.1", port)) as connection:
                for _ in range(size // MIB):
                    connection.sendall(BLOCK)
            cpu_s = float(process.stdout.readline())
            return cpu_s, time.monotonic() - began_s


def _lists(cloud: FakeCloud) -> None:
    image = _make(cloud)
    for number in range(MANY - 1):
        _make(cloud, name=f"i{number}")
    print(f"| what, of {MANY:,} images | CPU ms | wall ms |\n|---|---:|---:|")
    for name, path, count in (
        ("show", f"images/{image}", 500),
        ("page of 25", "images", 200),
        ("page of 1,000", "images?limit=1000", 10),
        ("by name", f"images?name=i{MANY // 2}", 200),
    ):
        _get(cloud, path)
        cpu_s, wall_s = _timed(cloud.tree.cpu_s, partial(_get, cloud, path, count))
        _show(name, cpu_s / count, wall_s / count)


def _timed(cpu_s: Callable[[], float], once: Callable[[], object]) -> tuple[float, float]:
    before_s, began_s = cpu_s(), time.monotonic()
    once()
    wall_s = time.monotonic() - began_s
    time.sleep(0.4)  # records of requests are written a moment later
    return cpu_s() - before_s, wall_s


def _show(name: str, cpu_s: float, wall_s: float, size: int = GIB) -> None:
    print(f"| {name} | {cpu_s * 1000 * GIB / size:,.2f} | {wall_s * 1000 * GIB / size:,.2f} |", flush=True)


def _hash(size: int) -> None:
    md5, sha512 = hashlib.md5(usedforsecurity=False), hashlib.sha512()
    for _ in range(size // MIB):
        md5.update(BLOCK)
        sha512.update(BLOCK)


def _make(cloud: FakeCloud, name: str = "i") -> str:
    body = {"name": name, "disk_format": "raw", "container_format": "bare"}
    return str(cloud.api.call("POST", "/image/v2/images", body)["id"])


def _get(cloud: FakeCloud, path: str, count: int = 1) -> None:
    for _ in range(count):
        cloud.api.call("GET", f"/image/v2/{path}")


def _upload(cloud: FakeCloud, image: str, size: int) -> None:
    def blocks() -> Iterator[bytes]:
        for _ in range(size // MIB):
            yield BLOCK

    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    answer = _ask(cloud, "PUT", image, headers, blocks())
    answer.read()
    assert answer.status == 204, answer.status


def _download(cloud: FakeCloud, image: str, size: int, headers: dict[str, str] | None = None) -> None:
    answer = _ask(cloud, "GET", image, headers or {})
    held, got = memoryview(bytearray(MIB)), 0
    while count := answer.readinto(held):
        got += count
    assert got == size, got


def _ask(
    cloud: FakeCloud, method: str, image: str, headers: dict[str, str], body: Any = None
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", cloud.port, timeout=300)
    headers = {"X-Auth-Token": cloud.api.token or "", **headers}
    connection.request(method, f"/image/v2/images/{image}/file", body, headers)
    return connection.getresponse()


if __name__ == "__main__":
    main()
