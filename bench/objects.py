"""`python -m bench.objects`: what an object store costs: CPU ms of its processes per operation, and its memory.

It starts a store of its own on folders below --folder (on a real disk: every PUT is flushed), asks it over HTTP on
keep-alive connections, and prints tables for `bench/RESULTS.md`. `--names` fills a container with that many names.
"""

import argparse
import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Protocol

from aerostat.cli.up import find_free_port

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
COMMAND_LIMIT_S = 120
SOAKED_NAMES = 5000
USER, KEY = "bench:bench", "bench"
SETTINGS = f"""
[object.middleware.tempauth.users."{USER}"]
key = "{KEY}"
groups = [".admin"]
"""


class Store:
    """`aerostat object up` in a folder of its own; a second time it is the same store, whatever is asked for."""

    def __init__(self, folder: Path, devices: int, replicas: int) -> None:
        self.state = folder / "s"
        self.port = find_free_port("127.0.0.1")
        first: list[str] = []
        if not self.state.exists():
            self.state.mkdir(mode=0o700)
            (self.state / "aerostat.toml").write_text(SETTINGS)
            first = ["--replicas", str(replicas), "--devices"]
            first += [str(folder / f"d{number + 1}") for number in range(devices)]
        self._command("up", "--detach", "--port", str(self.port), *first)
        self.pid = int((self.state / "run" / "object.lock").read_text())
        self.token = ""
        with self.connection() as ask:
            headers = ask("GET", "/auth/v1.0", headers={"X-Auth-User": USER, "X-Auth-Key": KEY})
            self.token = headers["X-Auth-Token"]
        self.account = "/v1/AUTH_bench"

    def _command(self, *words: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "aerostat", "object", *words, "--state", str(self.state)],
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=COMMAND_LIMIT_S,
        )

    def close(self) -> None:
        self._command("down")

    def connection(self) -> "Connection":
        return Connection(self.port, self.token)

    def cpu_s(self) -> float:
        return cpu_s_of(self.pid)

    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def pss_mib(self) -> float:
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / KIB
        return 0.0


def cpu_s_of(pid: int) -> float:
    """What a process has taken until now, in user and kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


class Connection:
    """Calls on one connection. Raises AssertionError on an answer that is no success, and is none of `beside`."""

    def __init__(self, port: int, token: str) -> None:
        self._http = HTTPConnection("127.0.0.1", port, timeout=120)
        self._headers = {"X-Auth-Token": token} if token else {}
        self.body = b""

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def __call__(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None,
                 beside: tuple[int, ...] = ()):  # type: ignore[no-untyped-def]  # fmt: skip
        self._http.request(method, path, body=body, headers={**self._headers, **(headers or {})})  # type: ignore[arg-type]
        answer = self._http.getresponse()
        self.body = answer.read() if (answer.length or 0) < 64 * MIB else b""
        while not answer.isclosed() and answer.read(MIB):
            pass
        assert answer.status < 300 or answer.status in beside, (method, path, answer.status, self.body[:200])
        return answer.headers


class Measured(Protocol):
    """A server."""

    def connection(self) -> Connection: ...

    def cpu_s(self) -> float:
        """Of all its processes, until now."""


def timed(
    store: Measured, at_once: int, count: int, one: Callable[[Connection, int], object]
) -> tuple[float, float]:
    """CPU ms and wall ms of one operation, `count` of them on `at_once` connections."""
    failed: list[BaseException] = []

    def work(first: int) -> None:
        try:
            with store.connection() as ask:
                for number in range(first, count, at_once):
                    one(ask, number)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(at_once)]
    before_s, began_s = store.cpu_s(), time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return (store.cpu_s() - before_s) / count * 1000, (time.monotonic() - began_s) / count * 1000


def small_objects(store: Store, count: int) -> Iterator[tuple[str, int, float, float]]:
    body = random.Random(1).randbytes(KIB)
    with store.connection() as ask:
        ask("PUT", f"{store.account}/small")
    for at_once in (1, 8):

        def path(number: int, at_once: int = at_once) -> str:
            return f"{store.account}/small/o-{at_once}-{number:07d}"

        yield "PUT 1 KiB", at_once, *timed(store, at_once, count, lambda ask, n: ask("PUT", path(n), body))
        yield "GET 1 KiB", at_once, *timed(store, at_once, count, lambda ask, n: ask("GET", path(n)))
        yield "HEAD", at_once, *timed(store, at_once, count, lambda ask, n: ask("HEAD", path(n)))
        yield "DELETE", at_once, *timed(store, at_once, count, lambda ask, n: ask("DELETE", path(n)))


def streams(store: Store, size: int) -> Iterator[tuple[str, int, float, float]]:
    piece = random.Random(2).randbytes(MIB)
    with store.connection() as ask:
        ask("PUT", f"{store.account}/large")

    def pieces() -> Iterator[bytes]:
        for _ in range(size // MIB):
            yield piece

    name, path = f"{size >> 20} MiB, one stream", f"{store.account}/large/o"
    sent = {"Content-Length": str(size)}
    yield f"PUT {name}", 1, *timed(store, 1, 1, lambda ask, _: ask("PUT", path, pieces(), sent))
    yield f"GET {name}", 1, *timed(store, 1, 2, lambda ask, _: ask("GET", path))


def listings(store: Store, names: int) -> Iterator[tuple[str, int, float, float]]:
    path = f"{store.account}/many"
    with store.connection() as ask:
        ask("PUT", path)
    tenth = names // 10
    for part in range(10):
        first = part * tenth
        cost = timed(
            store, 16, tenth, lambda ask, n, first=first: ask("PUT", f"{path}/{spread(first + n)}", b"")
        )
        if part in (0, 9):
            yield f"PUT of an empty object, names {first:,} to {first + tenth:,}", 16, *cost
    middle = spread(names // 2)
    page = f"{path}?format=json&marker={middle}"
    if names >= 20_000:
        yield "listing page of 10,000, JSON", 1, *timed(store, 1, 20, lambda ask, _: ask("GET", page))
    short = f"{page}&limit=100"
    yield f"listing page of 100 among {names:,}", 1, *timed(store, 1, 300, lambda ask, _: ask("GET", short))


def soak(store: Store, requests: int) -> Iterator[tuple[int, float, float, int]]:
    """Requests of all kinds in no order: how many there were, CPU ms of each since the last row, MiB, open files."""
    bodies = [random.Random(size).randbytes(size) for size in (0, KIB, 40 * KIB, 200 * KIB)]
    container = f"{store.account}/soak"
    with store.connection() as ask:
        ask("PUT", container)
    yield 0, 0.0, store.pss_mib(), store.open_files()

    def one(ask: Connection, number: int) -> None:
        dice = random.Random(number)
        path, missing = f"{container}/{dice.randrange(SOAKED_NAMES):05d}", (404,)
        what = dice.random()
        if what < 0.3:
            ask("PUT", path, dice.choice(bodies))
        elif what < 0.65:
            ask("GET", path, beside=missing)
        elif what < 0.75:
            ask("HEAD", path, beside=missing)
        elif what < 0.85:
            ask("DELETE", path, beside=missing)
        elif what < 0.95:
            ask("POST", path, headers={"X-Object-Meta-Number": str(number)}, beside=missing)
        else:
            ask("GET", f"{container}?format=json&limit=100&marker={dice.randrange(SOAKED_NAMES):05d}")

    tenth = requests // 10
    for part in range(10):
        cpu_ms, _ = timed(store, 8, tenth, lambda ask, n, first=part * tenth: one(ask, first + n))
        yield (part + 1) * tenth, cpu_ms, store.pss_mib(), store.open_files()


def spread(number: int) -> str:
    """A name in no order, as keys often are."""
    return hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="where devices are made (default: the temporary folder)")
    parser.add_argument("--count", type=int, default=2000, help="small objects in each row")
    parser.add_argument("--names", type=int, default=100_000, help="in the container that is listed; 0: none")
    parser.add_argument("--size", type=int, default=1024, metavar="MIB", help="of the one stream; 0: none")
    parser.add_argument(
        "--soak", type=int, default=0, metavar="N", help="so many requests of all kinds; 0: none"
    )
    args = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for devices, replicas in ((1, 1), (4, 3)):
        folder = Path(tempfile.mkdtemp(prefix="aerostat-objects-", dir=args.folder))
        try:
            store = Store(folder, devices, replicas)
            try:
                print(
                    f"\n{replicas} replica(s) on {devices} device(s); PSS at rest {store.pss_mib():.0f} MiB\n"
                )
                print("| operation | connections | CPU ms | wall ms |\n|---|---:|---:|---:|")
                rows = small_objects(store, args.count)
                for name, at_once, cpu_ms, wall_ms in rows:
                    print(f"| {name} | {at_once} | {cpu_ms:.2f} | {wall_ms:.2f} |", flush=True)
                if replicas == 1:
                    for rows in (streams(store, args.size * MIB) if args.size else iter(()),
                                 listings(store, args.names) if args.names else iter(())):  # fmt: skip
                        for name, at_once, cpu_ms, wall_ms in rows:
                            print(f"| {name} | {at_once} | {cpu_ms:.2f} | {wall_ms:.2f} |", flush=True)
                print(f"\nPSS after these: {store.pss_mib():.0f} MiB")
                if replicas == 1 and args.soak:
                    print("\n| requests | CPU ms each | PSS, MiB | open files |\n|---:|---:|---:|---:|")
                    for count, cpu_ms, pss_mib, files in soak(store, args.soak):
                        print(f"| {count:,} | {cpu_ms:.2f} | {pss_mib:.0f} | {files} |", flush=True)
            finally:
                store.close()
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
