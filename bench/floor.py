"""`python -m bench.floor`: what nothing can be cheaper than here: files that are flushed, and nginx that sends them.

Of the disk: a file of 1 KiB written, flushed, renamed, and its folder flushed, as an object is; CPU ms of the process
that does it and of nobody else. Of nginx (when it is installed): GET by sendfile, PUT by its DAV module *without any
flush*, on one worker and loopback; CPU ms of its processes, as `bench.objects` counts those of a store.
"""

import argparse
import os
import random
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from aerostat.cli.up import find_free_port

from .objects import GIB, KIB, MIB, Connection, cpu_s_of, timed

START_LIMIT_S = 10.0
CONFIG = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    sendfile on;
    tcp_nodelay on;
    keepalive_requests 1000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/t1; fastcgi_temp_path {folder}/t2; uwsgi_temp_path {folder}/t3; scgi_temp_path {folder}/t4;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/files;
        location / {{ client_max_body_size 0; dav_methods PUT DELETE; create_full_put_path on; }}
    }}
}}
"""


def disk(folder: Path, count: int) -> tuple[float, float]:
    """CPU ms and wall ms of one file that will be there after a power failure."""
    body = random.Random(1).randbytes(KIB)
    begun, began_s = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    for number in range(count):
        path = f"{folder}/{number}"
        fd = os.open(path + ".part", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        os.write(fd, body)
        os.fdatasync(fd)
        os.close(fd)
        os.rename(path + ".part", path)
        os.fsync(opened)
    os.close(opened)
    ended = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = ended.ru_utime - begun.ru_utime + ended.ru_stime - begun.ru_stime
    return cpu_s / count * 1000, (time.monotonic() - began_s) / count * 1000


class Nginx:
    """One worker, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        (folder / "files").mkdir()
        self.port = find_free_port("127.0.0.1")
        config = folder / "nginx.conf"
        config.write_text(
            CONFIG.format(folder=folder, port=self.port, user="user root;" if os.geteuid() == 0 else "")
        )
        self._master = subprocess.Popen(["nginx", "-p", str(folder), "-c", str(config)])
        deadline = time.monotonic() + START_LIMIT_S
        while not (folder / "nginx.pid").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        children = Path(f"/proc/{self._master.pid}/task/{self._master.pid}/children").read_text().split()
        self._pids = [self._master.pid, *map(int, children)]

    def connection(self) -> Connection:
        return Connection(self.port, "")

    def cpu_s(self) -> float:
        return sum(map(cpu_s_of, self._pids))

    def close(self) -> None:
        self._master.terminate()
        self._master.wait(START_LIMIT_S)


def nginx(folder: Path, count: int, size: int) -> Iterator[tuple[str, int, float, float]]:
    body, piece = random.Random(1).randbytes(KIB), random.Random(2).randbytes(MIB)
    server = Nginx(folder)
    try:
        for at_once in (1, 8):

            def path(number: int, at_once: int = at_once) -> str:
                return f"/o-{at_once}-{number:07d}"

            yield (
                "PUT 1 KiB, not flushed",
                at_once,
                *timed(server, at_once, count, lambda ask, n: ask("PUT", path(n), body)),
            )
            yield "GET 1 KiB", at_once, *timed(server, at_once, count, lambda ask, n: ask("GET", path(n)))
            yield "DELETE", at_once, *timed(server, at_once, count, lambda ask, n: ask("DELETE", path(n)))
        if size:
            sent = {"Content-Length": str(size)}
            pieces = (piece for _ in range(size // MIB))
            name = f"{size >> 20} MiB, one stream"
            yield (
                f"PUT {name}, not flushed",
                1,
                *timed(server, 1, 1, lambda ask, _: ask("PUT", "/large", pieces, sent)),
            )
            yield f"GET {name}", 1, *timed(server, 1, 2, lambda ask, _: ask("GET", "/large"))
    finally:
        server.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--folder", type=Path, help="on the disk that is asked about (default: the temporary folder)"
    )
    parser.add_argument("--count", type=int, default=2000, help="files in each row")
    parser.add_argument(
        "--size", type=int, default=GIB // MIB, metavar="MIB", help="of the one stream; 0: none"
    )
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="aerostat-floor-", dir=args.folder))
    try:
        print("| the floor | connections | CPU ms | wall ms |\n|---|---:|---:|---:|")
        (folder / "disk").mkdir()
        cpu_ms, wall_ms = disk(folder / "disk", args.count)
        print(f"| a file of 1 KiB, flushed, with its folder | – | {cpu_ms:.2f} | {wall_ms:.2f} |", flush=True)
        if shutil.which("nginx") is None:
            print("\nnginx is not installed: no more to compare with")
            return
        for name, at_once, cpu_ms, wall_ms in nginx(folder, args.count, args.size * MIB):
            print(f"| nginx: {name} | {at_once} | {cpu_ms:.2f} | {wall_ms:.2f} |", flush=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
