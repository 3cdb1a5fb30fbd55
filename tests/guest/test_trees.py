"""The pieces that the guest's image is put together from."""

import re
import shutil
import subprocess
from importlib.resources import files

import pytest

import aerostat.guest
from aerostat.guest.disk import _boot_record
from aerostat.guest.trees import CpioArchive, fill_in

OWN = files(aerostat.guest) / "files"


def own_files(folder=OWN):
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from own_files(entry)
        else:
            yield entry


@pytest.mark.skipif(shutil.which("cpio") is None, reason="needs cpio")
def test_an_archive_is_what_cpio_reads(tmp_path):
    archive = CpioArchive()
    archive.add_folder("bin")
    archive.add_file("bin/tool", b"#!/bin/sh\n", 0o755)
    archive.add_file("odd", b"12345")
    subprocess.run(["cpio", "-id", "--quiet"], input=archive.finish(), cwd=tmp_path, check=True)
    assert (tmp_path / "bin/tool").read_bytes() == b"#!/bin/sh\n"
    assert (tmp_path / "bin/tool").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "odd").read_bytes() == b"12345"


def test_the_boot_record_has_two_partitions_and_a_signature():
    record = _boot_record(b"\xeb" * 440)
    assert len(record) == 512
    assert record.endswith(b"\x55\xaa")
    boot, system = record[446:462], record[462:478]
    assert (boot[0], boot[4]) == (0x80, 0x0E)
    assert (system[0], system[4]) == (0x00, 0x83)
    boot_start, boot_count = (int.from_bytes(boot[at : at + 4], "little") for at in (8, 12))
    assert boot_start == 2048
    assert int.from_bytes(system[8:12], "little") == boot_start + boot_count


def test_words_are_filled_in_and_none_is_left_over():
    words = dict.fromkeys(("LABEL", "USER", "PASSWORD", "KERNEL", "HASH"), "x")
    for file in own_files():
        assert not re.search(rb"@[A-Z]+@", fill_in(file, words)), file.name


SCRIPTS = [file for file in own_files() if file.read_text().startswith("#!")]


@pytest.mark.parametrize("script", sorted(SCRIPTS, key=str), ids=lambda file: file.name)
def test_scripts_are_valid_shell(script):
    done = subprocess.run(["sh", "-n", str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
