"""What only real processes show: guests that outlive the one that started them.

Embedded libvirt belongs to its process, so each "process of ours" here is a Python of its own.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from aerostat.kernel.ids import new_id
from tests.contracts.hypervisor_worlds import why_no_libvirt

pytestmark = [
    pytest.mark.metal,
    pytest.mark.skipif(bool(why_no_libvirt()), reason=why_no_libvirt() or "-"),
]

PROCESS = """
import asyncio, json, os, sys
from pathlib import Path
from aerostat.services.compute.drivers.libvirt.boot_sector import echo
from aerostat.services.compute.drivers.libvirt.hypervisor import LibvirtHypervisor
from aerostat.services.compute.drivers.libvirt.settings import LibvirtSettings
from aerostat.services.compute.host.protocol import BaseImageSpec, DomainSpec, RootDisk

state, domain_id, image_id = sys.argv[1:4]
image = BaseImageSpec(id=image_id, format="raw")
spec = DomainSpec(id=domain_id, name="as-outlives", vcpus=1, memory_mib=32, root=RootDisk(image_id))

async def content():
    yield echo(b"hello").ljust(1 << 20)

def say(domain):
    pid = Path(state, "libvirt/run/qemu/as-outlives.pid")
    print(json.dumps({
        "state": domain and domain.state,
        "reason": domain and domain.reason,
        "pid": int(pid.read_text()) if pid.exists() else None,
    }), flush=True)

async def main():
    hypervisor = LibvirtHypervisor(LibvirtSettings(Path(state), accelerator="tcg"))
    await hypervisor.open()
STEPS

asyncio.run(main())
"""
ENSURE = """
    await hypervisor.ensure_base_image(image, content())
    say(await hypervisor.ensure_domain(spec, "paused"))
"""
DIE = "    os.kill(os.getpid(), 9)\n"
LOOK = "    say(await hypervisor.inspect_domain(domain_id))\n"
LOOK_UNTIL_IT_IS_OFF = """
    async with asyncio.timeout(20):
        while (domain := await hypervisor.inspect_domain(domain_id)).state == "paused":
            await asyncio.sleep(0.1)
    say(domain)
"""
REMOVE = "    await hypervisor.remove_domain(domain_id)\n" + LOOK


@pytest.fixture
def process():
    """Run steps in a process of their own; gives what the last of them said."""
    state = Path(tempfile.mkdtemp(prefix="as-hv-", dir="/tmp"))
    ids = (new_id(), new_id())

    def run(*steps: str) -> dict:
        code = PROCESS.replace("STEPS", "".join(steps))
        command = [sys.executable, "-c", code, str(state), *ids]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == (-9 if DIE in steps else 0), done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    yield run
    run(REMOVE)
    shutil.rmtree(state)


def test_a_guest_outlives_the_process_that_made_it(process):
    first = process(ENSURE, DIE)
    found = process(LOOK)
    assert first["state"] == found["state"] == "paused"
    assert first["pid"] == found["pid"] is not None
    again = process(ENSURE)
    assert again == found


def test_a_guest_that_died_while_nobody_looked_is_seen_and_started_again(process):
    first = process(ENSURE, DIE)
    subprocess.run(["kill", "-9", str(first["pid"])], check=True)
    found = process(LOOK_UNTIL_IT_IS_OFF)
    assert found["state"] in ("shutoff", "crashed")
    assert process(ENSURE)["state"] == "paused"


def test_a_domain_is_gone_for_later_processes_too(process):
    process(ENSURE)
    assert process(REMOVE)["state"] is None
    assert process(LOOK)["state"] is None
