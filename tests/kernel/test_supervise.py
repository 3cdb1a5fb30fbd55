"""The supervisor against small real processes."""

import asyncio
import contextlib
import errno
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from aerostat.kernel.processes import Process, find_start_ticks
from aerostat.kernel.supervise import (
    Child,
    ChildStatus,
    Supervisor,
    SupervisorError,
    end_leftovers,
    find_supervisor_pid,
    read_status,
)

SLEEPER = ["/bin/sleep", "600"]


def shell(name: str, script: str, **rest: object) -> Child:
    return Child(name=name, argv=["/bin/sh", "-c", script], **rest)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def supervised(state_dir: Path, *children: Child):
    supervisor = Supervisor(children, state_dir)
    await supervisor.start()
    try:
        yield supervisor
    finally:
        await supervisor.stop()


def pid_of(supervisor: Supervisor, name: str) -> int:
    pid = next(one.pid for one in supervisor.status() if one.name == name)
    assert pid is not None
    return pid


async def wait_for(what, limit_s: float = 10.0):
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if value := what():
            return value
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen in time")


async def test_children_start_in_order_and_stop_in_reverse(tmp_path: Path) -> None:
    order: list[tuple[str, str]] = []

    def note(status: ChildStatus) -> None:
        if status.state in ("running", "stopped"):
            order.append((status.name, status.state))

    children = [Child(name=name, argv=SLEEPER) for name in ("first", "second", "third")]
    supervisor = Supervisor(children, tmp_path, on_change=note)
    await supervisor.start()
    pids = [pid_of(supervisor, name) for name in ("first", "second", "third")]
    await supervisor.stop()
    assert [name for name, state in order if state == "running"] == ["first", "second", "third"]
    assert [name for name, state in order if state == "stopped"] == ["third", "second", "first"]
    assert [find_start_ticks(pid) for pid in pids] == [None, None, None]


async def test_a_child_waits_only_for_those_it_names(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def open_gate() -> bool:
        return gate.is_set()

    slow = Child(name="slow", argv=SLEEPER, ready=open_gate)
    free = Child(name="free", argv=SLEEPER, after=())
    bound = Child(name="bound", argv=SLEEPER, after=("slow",))
    supervisor = Supervisor([slow, free, bound], tmp_path)
    starting = asyncio.create_task(supervisor.start())

    def states() -> list[str]:
        return [one.state for one in supervisor.status()]

    await wait_for(lambda: states() == ["starting", "running", "waiting"])
    gate.set()
    await starting
    assert states() == ["running", "running", "running"]
    await supervisor.stop()


async def test_a_killed_child_is_started_again_and_settled_again(tmp_path: Path) -> None:
    settled: list[int] = []

    async def settle() -> None:
        settled.append(1)

    async with supervised(tmp_path, Child(name="one", argv=SLEEPER, settle=settle)) as supervisor:
        before = pid_of(supervisor, "one")
        os.kill(before, signal.SIGKILL)
        await wait_for(
            lambda: supervisor.status()[0].restarts == 1 and supervisor.status()[0].state == "running"
        )
        status = supervisor.status()[0]
        assert status.pid not in (None, before)
        assert status.last_exit == "killed by SIGKILL"
        assert len(settled) == 2


async def test_a_child_killed_on_a_full_disk_comes_back_when_there_is_room(
    tmp_path: Path, monkeypatch
) -> None:
    tried: list[int] = []

    def no_room(*_: object) -> None:
        tried.append(1)
        raise OSError(errno.ENOSPC, "No space left on device")

    async with supervised(tmp_path, Child(name="one", argv=SLEEPER)) as supervisor:
        before = pid_of(supervisor, "one")
        with monkeypatch.context() as full:
            full.setattr(Path, "write_bytes", no_room)
            os.kill(before, signal.SIGKILL)
            await wait_for(lambda: len(tried) >= 3)
            assert supervisor.status()[0].pid in (None, before), "nothing runs that stands in no record"
        await wait_for(lambda: supervisor.status()[0].state == "running")
        assert pid_of(supervisor, "one") != before


async def test_a_child_that_shall_not_restart_stays_ended(tmp_path: Path) -> None:
    async with supervised(tmp_path, shell("once", "exit 3", restart=False)) as supervisor:
        await wait_for(lambda: supervisor.status()[0].state == "ended")
        assert supervisor.status()[0].last_exit == "exited with 3"


async def test_a_child_that_cannot_start_fails_the_start_with_its_last_words(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    good = Child(name="good", argv=SLEEPER)
    bad = shell("bad", "echo no such luck >&2; exit 1", ready=never)
    supervisor = Supervisor([good, bad], tmp_path)
    with pytest.raises(SupervisorError, match=r"exited with 1 before it was ready.*no such luck"):
        await supervisor.start()
    assert [one.state for one in supervisor.status()] == ["stopped", "stopped"]


async def test_a_child_that_is_never_ready_is_ended_after_its_time(tmp_path: Path) -> None:
    async def never() -> bool:
        raise ConnectionRefusedError

    supervisor = Supervisor([Child(name="mute", argv=SLEEPER, ready=never, ready_timeout_s=0.2)], tmp_path)
    with pytest.raises(SupervisorError, match=r"not ready after 0\.2 s"):
        await supervisor.start()
    assert supervisor.status()[0].pid is None


async def test_a_child_deaf_to_its_stop_signal_is_killed(tmp_path: Path) -> None:
    deaf = shell("deaf", "trap '' TERM; echo up; while :; do sleep 0.05; done", stop_timeout_s=0.2)
    async with supervised(tmp_path, deaf) as supervisor:
        await wait_for(lambda: "up" in supervisor.log_path("deaf").read_text())
        pid = pid_of(supervisor, "deaf")
    assert find_start_ticks(pid) is None


async def test_output_goes_to_the_log(tmp_path: Path) -> None:
    async with supervised(tmp_path, shell("talker", "echo out; echo err >&2; exec sleep 600")) as supervisor:
        await wait_for(lambda: supervisor.log_path("talker").read_text() == "out\nerr\n")


async def test_children_come_and_go_at_run_time(tmp_path: Path) -> None:
    async with supervised(tmp_path, Child(name="one", argv=SLEEPER)) as supervisor:
        await supervisor.add(Child(name="two", argv=SLEEPER))
        pid = pid_of(supervisor, "two")
        assert [one.name for one in read_status(tmp_path)] == ["one", "two"]
        with pytest.raises(SupervisorError, match="there already"):
            await supervisor.add(Child(name="two", argv=SLEEPER))
        await supervisor.remove("two")
        await supervisor.remove("two")
        assert find_start_ticks(pid) is None
        assert [one.name for one in supervisor.status()] == ["one"]


async def test_a_folder_has_one_supervisor(tmp_path: Path) -> None:
    async with supervised(tmp_path, Child(name="one", argv=SLEEPER)):
        assert find_supervisor_pid(tmp_path) == os.getpid()
        with pytest.raises(SupervisorError, match="already runs"):
            await Supervisor([], tmp_path).start()
    assert find_supervisor_pid(tmp_path) is None


PREDECESSOR = """
import asyncio, sys
from pathlib import Path
from aerostat.kernel.supervise import Child, Supervisor
async def main():
    children = [Child(name="switch", argv=["/bin/sleep", "600"], adopt=True),
                Child(name="control", argv=["/bin/sh", "-c", "sleep 600 & echo $!; wait"])]
    await Supervisor(children, Path(sys.argv[1])).start()
    print("up", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


async def killed_predecessor(state_dir: Path) -> dict[str, int]:
    """A supervisor with an adoptable and an ordinary child, killed; answers the pids it left."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PREDECESSOR, str(state_dir), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 20) == b"up\n"
    process.kill()
    await process.wait()
    return {one.name: one.pid for one in read_status(state_dir) if one.pid is not None}


async def test_a_successor_adopts_the_switch_and_ends_the_rest(tmp_path: Path) -> None:
    left = await killed_predecessor(tmp_path)
    guest = int(await wait_for(lambda: (tmp_path / "log" / "control.log").read_text()))
    children = [Child(name="switch", argv=SLEEPER, adopt=True), Child(name="control", argv=SLEEPER)]
    async with supervised(tmp_path, *children) as supervisor:
        assert pid_of(supervisor, "switch") == left["switch"]
        assert supervisor.status()[0].adopted
        assert pid_of(supervisor, "control") != left["control"]
        assert find_start_ticks(left["control"]) is None
        assert find_start_ticks(guest) is not None  # a child's child is not ours to end
        os.kill(left["switch"], signal.SIGKILL)  # an adopted child is watched like any other
        await wait_for(
            lambda: supervisor.status()[0].restarts == 1 and supervisor.status()[0].state == "running"
        )
        assert not supervisor.status()[0].adopted
    os.kill(guest, signal.SIGKILL)


async def test_a_changed_command_is_not_adopted(tmp_path: Path) -> None:
    left = await killed_predecessor(tmp_path)
    guest = int(await wait_for(lambda: (tmp_path / "log" / "control.log").read_text()))
    async with supervised(
        tmp_path, Child(name="switch", argv=["/bin/sleep", "601"], adopt=True)
    ) as supervisor:
        assert pid_of(supervisor, "switch") != left["switch"]
        assert find_start_ticks(left["switch"]) is None
    os.kill(guest, signal.SIGKILL)


async def test_leftovers_can_be_ended_without_a_successor(tmp_path: Path) -> None:
    left = await killed_predecessor(tmp_path)
    guest = int(await wait_for(lambda: (tmp_path / "log" / "control.log").read_text()))
    assert await end_leftovers(tmp_path) == []
    assert [find_start_ticks(pid) for pid in left.values()] == [None, None]
    os.kill(guest, signal.SIGKILL)


async def test_a_pid_with_another_start_time_is_a_stranger() -> None:
    ticks = find_start_ticks(os.getpid())
    assert ticks is not None
    assert Process.find(os.getpid(), ticks + 1) is None
    ours = Process.find(os.getpid(), ticks)
    assert ours is not None
    ours.close()


async def test_a_child_held_by_a_dead_supervisor_never_runs(tmp_path: Path) -> None:
    """The hold: without the word on its pipe the command is not executed."""
    from aerostat.kernel.supervise import _HOLD

    witness = tmp_path / "witness"
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", _HOLD, "name", "/usr/bin/touch", str(witness), stdin=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.close()
    assert await process.wait() != 0
    assert not witness.exists()


@pytest.mark.metal
@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
async def test_a_child_runs_in_its_namespace(tmp_path: Path) -> None:
    from pyroute2 import netns

    name = f"as-test-{os.getpid()}"
    netns.create(name)
    try:
        child = shell("inside", "readlink /proc/self/ns/net; exec sleep 600", namespace=name)
        async with supervised(tmp_path, child) as supervisor:
            await wait_for(lambda: supervisor.log_path("inside").read_text())
            inside = supervisor.log_path("inside").read_text().strip()
            assert inside == os.readlink(f"/proc/{pid_of(supervisor, 'inside')}/ns/net")
            assert inside != os.readlink("/proc/self/ns/net")
    finally:
        netns.remove(name)
