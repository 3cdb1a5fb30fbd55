"""Workers on one port: who was killed is replaced, and no longer named."""

import asyncio
import os
import signal
import socket
import sys

from aerostat.cli import CommandError, workers
from aerostat.cli.parts import ready_file_of, write_ready
from aerostat.cli.served import served
from aerostat.kernel.config import load
from aerostat.kernel.state_folder import StateFolder
from tests.waiting import eventually

SLEEPER = "import time; time.sleep(60)"


async def test_a_killed_worker_is_not_missed_once_another_has_its_seat(tmp_path, monkeypatch):
    folder = StateFolder(tmp_path / "s")
    folder.create()
    spawn = asyncio.create_subprocess_exec

    async def spawn_sleeper(*words, **_how):
        """A worker that is ready at once."""
        child = await spawn(sys.executable, "-c", SLEEPER)
        name = words[words.index("--process") + 1]
        write_ready(folder, name, {})
        file = ready_file_of(folder, name)
        file.write_text(file.read_text().replace(str(os.getpid()), str(child.pid)))
        return child

    monkeypatch.setattr(asyncio, "create_subprocess_exec", spawn_sleeper)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        pool = workers.Pool(load(folder), "api", [], listener, 1)
        running = asyncio.create_task(pool.run())
        try:
            await asyncio.to_thread(eventually, (folder.run / "api.ready").exists, 10, why="ready")
            first = next(one for one in served(folder) if one["name"] != "api")
            os.kill(first["pid"], signal.SIGKILL)

            def replaced():
                found = [one for one in served(folder) if one["name"] != "api"]
                return [one["state"] for one in found] == ["running"] and found[0]["pid"] != first["pid"]

            await asyncio.to_thread(eventually, replaced, 10)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            await running


async def _begun(tmp_path, monkeypatch, count, plan):
    """A pool whose workers do as `plan` says: they are ready and sleep, or end. How it ended, and who was started."""
    folder = StateFolder(tmp_path / "s")
    folder.create()
    monkeypatch.setattr(workers, "FIRST_PAUSE_S", 0.01)
    spawn = asyncio.create_subprocess_exec
    started = []

    async def spawn_planned(*words, **_how):
        name = words[words.index("--process") + 1]
        started.append(name)
        code = plan(name, len([one for one in started if one[:-1] == name[:-1]]))
        if code is None:
            write_ready(folder, name, {})
            return await spawn(sys.executable, "-c", SLEEPER)
        if code < 0:
            return await spawn("sh", "-c", f"kill {code} $$")
        return await spawn("sh", "-c", f"exit {code}")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", spawn_planned)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        pool = workers.Pool(load(folder), "api", [], listener, count)
        running = asyncio.create_task(pool.run())
        async with asyncio.timeout(20):
            while not (running.done() or (folder.run / "api.ready").exists()):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        if not running.done():
            os.kill(os.getpid(), signal.SIGTERM)
        try:
            return await running, started
        except CommandError as error:
            return str(error), started


async def test_who_is_killed_before_it_was_ready_is_started_again(tmp_path, monkeypatch):
    ended, started = await _begun(tmp_path, monkeypatch, 1, lambda _, turn: -9 if turn < 3 else None)
    assert (ended, len(started)) == (0, 3)


async def test_who_is_never_ready_is_given_up_in_words(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "MOST_BEGINNINGS", 3)
    ended, started = await _begun(tmp_path, monkeypatch, 1, lambda _, turn: -9)
    assert (ended, len(started)) == ("worker 1 was killed (SIGKILL) 3 times before it was ready", 3)


async def test_what_keeps_all_from_beginning_is_not_tried_again(tmp_path, monkeypatch):
    ended, started = await _begun(tmp_path, monkeypatch, 1, lambda _, turn: 3)
    assert (ended, len(started)) == (3, 1)


async def test_who_fails_where_others_began_is_tried_again(tmp_path, monkeypatch):
    def plan(name, turn):
        return None if name.startswith("api.1") or turn == 3 else 4

    ended, started = await _begun(tmp_path, monkeypatch, 2, plan)
    assert (ended, len([one for one in started if one.startswith("api.2")])) == (0, 3)
