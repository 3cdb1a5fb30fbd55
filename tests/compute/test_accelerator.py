"""Which accelerator is used, and why not the other."""

import shutil

import pytest

from aerostat.kernel.errors import DriverError
from aerostat.services.compute.drivers.libvirt import accelerator
from aerostat.services.compute.drivers.libvirt.accelerator import Accelerator, find_accelerator
from aerostat.services.compute.drivers.libvirt.boot_sector import echo, exit_by_device, print_and_halt


@pytest.fixture
def boots(monkeypatch):
    """Say what each boot shall report; gives the list of those that were tried."""

    def plan(**answers: list[str]) -> list[tuple[str, float]]:
        tried = []

        async def boot(name, limit_s):
            tried.append((name, limit_s))
            return answers[name].pop(0)

        monkeypatch.setattr(accelerator, "_boot", boot)
        monkeypatch.setattr(accelerator, "_why_no_device", lambda: "")
        return tried

    return plan


async def test_kvm_is_used_when_a_guest_ran_under_it(boots):
    boots(kvm=[""])
    assert await find_accelerator() == Accelerator("kvm")


async def test_a_hanging_kvm_is_not_believed(boots):
    tried = boots(kvm=["it hung"], tcg=[""])
    assert await find_accelerator() == Accelerator("tcg", "a test guest under KVM failed: it hung")
    assert [name for name, _ in tried] == ["kvm", "tcg"]


async def test_kvm_has_a_second_chance_on_a_loaded_machine(boots, monkeypatch):
    monkeypatch.setattr(accelerator, "SLOW_MACHINE_S", -1.0)
    tried = boots(kvm=["it hung", ""], tcg=[""])
    assert (await find_accelerator()).name == "kvm"
    assert tried[-1] == ("kvm", accelerator.SLOW_LIMIT_S)


async def test_without_any_working_qemu_there_is_an_error(boots):
    boots(kvm=["it hung"], tcg=["bad binary"])
    with pytest.raises(DriverError, match="does not run"):
        await find_accelerator()


async def test_wanting_kvm_where_it_fails_is_an_error(boots):
    boots(kvm=["it hung"], tcg=[""])
    with pytest.raises(DriverError, match="KVM does not work here"):
        await find_accelerator("kvm")


async def test_a_missing_device_is_said(monkeypatch):
    monkeypatch.setattr(accelerator, "_why_no_device", lambda: "there is no /dev/kvm")
    assert await find_accelerator() == Accelerator("tcg", "there is no /dev/kvm")


async def test_a_proof_is_remembered_until_the_machine_changes(boots, monkeypatch, tmp_path):
    tried = boots(kvm=["it hung", ""], tcg=[""])
    file = tmp_path / "accelerator.json"
    first = await find_accelerator(remembered=file)
    assert await find_accelerator(remembered=file) == first
    assert len(tried) == 2
    monkeypatch.setattr(accelerator, "_machine", lambda: "started again")
    assert await find_accelerator(remembered=file) == Accelerator("kvm")
    file.write_bytes(b'{"mach')
    boots(kvm=[""])
    assert await find_accelerator(remembered=file) == Accelerator("kvm")


@pytest.mark.metal
@pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="needs qemu-system-x86_64")
async def test_a_boot_sector_really_boots_by_emulation():
    assert await accelerator._boot("tcg", 20.0) == ""


@pytest.mark.parametrize("make", [echo, exit_by_device, print_and_halt])
def test_a_boot_sector_is_one_sector_with_its_signature(make):
    sector = make(b"text")
    assert len(sector) == 512
    assert sector.endswith(b"\x55\xaa")
    with pytest.raises(ValueError, match="does not fit"):
        make(b"x" * 200)
