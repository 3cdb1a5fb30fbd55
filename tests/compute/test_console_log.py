"""Console logs on the disk: read from their end, and kept from filling it."""

import os
import shutil

import pytest

from aerostat.services.compute.drivers.libvirt.consoles import read_tail, trim_log


def test_the_end_is_read_and_bytes_that_are_no_text_harm_nothing(tmp_path):
    log = tmp_path / "console.log"
    assert read_tail(log, 100) == ""
    log.write_bytes(b"first\nsecond\xff\n")
    assert read_tail(log, 100) == "first\nsecond\ufffd\n"
    assert read_tail(log, 3) == "d\ufffd\n"
    assert read_tail(log, 0) == ""


@pytest.mark.skipif(shutil.which("fallocate") is None, reason="needs fallocate")
async def test_a_large_log_gives_back_what_is_old_and_can_still_be_written(tmp_path):
    log = tmp_path / "console.log"
    with log.open("ab", buffering=0) as guest:
        guest.write(os.urandom(4 << 20))
        await trim_log(log, above_bytes=8 << 20, keep_bytes=1 << 20)
        assert log.stat().st_blocks * 512 >= 4 << 20
        await trim_log(log, above_bytes=2 << 20, keep_bytes=1 << 20)
        assert log.stat().st_blocks * 512 <= 2 << 20
        guest.write(b"still here")
    assert log.stat().st_size == (4 << 20) + 10
    assert read_tail(log, 5) == " here"
