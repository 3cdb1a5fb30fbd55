"""Many histories: each in a process of its own, forked from one that has founded the cloud.

A child begins exactly as every other one does, whatever was run before it, and what it did to the clock, to chance
and to the modules is gone when it ends.
"""

import contextlib
import functools
import gc
import importlib
import logging
import os
import random
import resource
import selectors
import shutil
import signal
import tempfile
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import IO, NoReturn

import msgspec
import structlog

from . import chance
from .cloud import Lasting
from .founding import Founded, found
from .history import Outcome
from .life import Life
from .loop import VirtualLoop

LIFE_LIMIT_S = 120  # of real time

Plant = Callable[[], None]


def run(seeds: Sequence[int], *, jobs: int = 1, plant: Plant | None = None) -> Generator[Outcome, None, None]:
    """One outcome per seed, in the order in which they end. `plant` breaks something in each child, for tests."""
    pids: list[int] = []
    readers: list[IO[bytes]] = []
    for job in range(jobs):
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            _nursery(seeds[job::jobs], writing, plant)
        os.close(writing)
        pids.append(pid)
        readers.append(os.fdopen(reading, "rb"))
    try:
        yield from _read(readers)
    finally:
        for pid, reader in zip(pids, readers, strict=True):
            reader.close()
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)


def _read(readers: list[IO[bytes]]) -> Iterator[Outcome]:
    """What all of them send, as it comes."""
    decoder = msgspec.msgpack.Decoder(Outcome)
    with selectors.DefaultSelector() as selector:
        for reader in readers:
            selector.register(reader.fileno(), selectors.EVENT_READ, reader)
        while selector.get_map():
            for key, _ in selector.select():
                size = key.data.read(4)
                if size:
                    yield decoder.decode(key.data.read(int.from_bytes(size)))
                else:
                    selector.unregister(key.fileobj)


def _nursery(seeds: Sequence[int], writing: int, plant: Plant | None) -> NoReturn:
    """Found the cloud, then fork a child for each seed."""
    shared = Path("/dev/shm")
    folder = Path(
        tempfile.mkdtemp(prefix="aerostat-sim-", dir=shared if os.access(shared, os.W_OK) else None)
    )
    signal.signal(signal.SIGTERM, _stop)
    code, child = 0, 0
    try:
        _import_all()
        template = folder / "founded"
        loop = VirtualLoop(random.Random(0))
        chance.take_over(random.Random(0), loop)
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
        founded, lasting = found(loop, template)
        # Children have all of this in common; none of them lives long enough to make garbage of its own.
        gc.collect()
        gc.freeze()
        gc.disable()
        for seed in seeds:
            place = folder / f"seed-{seed}"
            live = functools.partial(_live, seed, founded, lasting, template, place)
            child = os.fork()
            if child == 0:
                _child(writing, plant, live)
            _, status = os.waitpid(child, 0)
            child = 0
            shutil.rmtree(place, ignore_errors=True)
            if status != 0:
                _send(writing, _broken_off(seed, status))
    except _Stopped:
        if child:
            os.kill(child, signal.SIGKILL)
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(code)


def _import_all() -> None:
    """Modules that are imported for the first time draw chance of their own: `multiprocessing` makes itself a key.
    Whoever ran before in this process may have imported some of them; so all are, before the seed takes over.
    """
    from aerostat import app

    app.rooms()
    importlib.import_module("multiprocessing.context")


def _child(writing: int, plant: Plant | None, live: Callable[[], Outcome]) -> NoReturn:
    """One life. Nothing of it is tidied up: what died half done must stay so."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.alarm(LIFE_LIMIT_S)
    code = 1
    try:
        if plant is not None:
            plant()
        outcome = live()
        used = resource.getrusage(resource.RUSAGE_SELF)
        outcome.cpu_s = used.ru_utime + used.ru_stime
        _send(writing, outcome)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _live(seed: int, founded: Founded, lasting: Lasting, template: Path, place: Path) -> Outcome:
    return Life(seed, founded, lasting, template, place).run()


class _Stopped(BaseException):
    """Whoever started us does not want to hear more."""


def _stop(*_: object) -> None:
    raise _Stopped


def _broken_off(seed: int, status: int) -> Outcome:
    how = (
        f"with status {os.WEXITSTATUS(status)}"
        if os.WIFEXITED(status)
        else f"by signal {os.WTERMSIG(status)}"
    )
    what = f"the process of this history ended {how}"
    return Outcome(
        seed=seed, digest="", steps=0, virtual_s=0.0, requests=0, faults={}, violations=[what], lines=[]
    )


def _send(writing: int, outcome: Outcome) -> None:
    data = msgspec.msgpack.encode(outcome)
    data = len(data).to_bytes(4) + data
    while data:
        data = data[os.write(writing, data) :]
