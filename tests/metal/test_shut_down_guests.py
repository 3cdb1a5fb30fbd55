"""`down` finds guests that nobody else knows any more, and ends them by their own monitors."""

import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from aerostat.cli.guests import find_guests, shut_down_guests
from aerostat.kernel.ids import new_id
from aerostat.kernel.processes import find_start_ticks
from aerostat.kernel.state_folder import StateFolder
from tests.contracts.hypervisor_worlds import why_no_libvirt
from tests.metal.test_libvirt_driver import DIE, ENSURE, LOOK, PROCESS, REMOVE

# libvirt looks at its guests in threads of its own after it was opened.
WAIT = "    await asyncio.sleep(1)\n"

pytestmark = [
    pytest.mark.metal,
    pytest.mark.skipif(bool(why_no_libvirt()), reason=why_no_libvirt() or "-"),
]


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="as-down-", dir="/tmp") as path:
        yield StateFolder(path)


@pytest.fixture
def host_process(folder):
    """Run steps in a host process of their own; gives what the last of them said."""
    ids = (new_id(), new_id())

    def run(*steps: str) -> dict:
        command = [sys.executable, "-c", PROCESS.replace("STEPS", "".join(steps)), str(folder.path), *ids]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == (-9 if DIE in steps else 0), done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    yield run
    run(REMOVE)


def test_a_guest_whose_host_process_was_killed_is_found_and_ended(folder, host_process):
    pid = host_process(ENSURE, DIE)["pid"]
    found = find_guests(folder)
    assert list(found) == [pid]
    assert Path(found[pid]).is_socket(), "the monitor that will be asked"

    assert asyncio.run(shut_down_guests(folder, patience_s=1.0)) == 1
    assert find_start_ticks(pid) is None
    assert find_guests(folder) == {}
    assert host_process(WAIT, LOOK)["state"] in ("shutoff", "crashed")
    assert asyncio.run(shut_down_guests(folder)) == 0
