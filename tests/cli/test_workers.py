"""Workers on one port: who was killed is replaced, and no longer named."""

import asyncio
import os
import signal
import socket
import sys

from aerostat.cli import workers
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
