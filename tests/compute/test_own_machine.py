"""A compute host on a machine of its own: what its settings become."""

from aerostat import app_own_machine
from aerostat.kernel.config import load
from aerostat.kernel.host_place import place_of
from aerostat.kernel.state_folder import StateFolder
from aerostat.services.compute.config import ComputeConfig
from aerostat.services.compute.drivers.libvirt.settings import LibvirtSettings
from aerostat.services.network.config import NetworkConfig
from aerostat.services.network.drivers.ovn.chassis import Chassis, ChassisPlan


async def settled(tmp_path, monkeypatch, address: str, compute: str = "") -> LibvirtSettings:
    """What the hypervisor's driver is told on a machine where all is as it should be."""

    async def ensure_chassis(switch: str, wanted: Chassis) -> ChassisPlan:
        return ChassisPlan({}, [], wanted.tunnel_address)

    async def wait_connected() -> bool:
        return True

    monkeypatch.setattr(app_own_machine, "find_missing", lambda config: [])
    monkeypatch.setattr(app_own_machine, "ensure_chassis", ensure_chassis)
    monkeypatch.setattr(app_own_machine, "wait_connected", wait_connected)
    folder = StateFolder(tmp_path / "s")
    folder.create()
    network = f'southbound = "tcp:10.0.0.5:6642"\ntunnel_address = "{address}"'
    folder.settings.write_text(f"[network]\n{network}\n[compute]\n{compute}\n")
    config = load(folder, {"compute": ComputeConfig, "network": NetworkConfig}, environ={})
    return (await app_own_machine.settle_in(config, place_of(config, None))).libvirt


async def test_other_hosts_reach_its_libvirt_by_the_setting(tmp_path, monkeypatch) -> None:
    uri = 'migration_uri = "qemu+tls://{address}/system"'
    found = await settled(tmp_path, monkeypatch, "10.1.0.7", uri)
    assert (found.address, found.landing_uri) == ("10.1.0.7", "qemu+tls://10.1.0.7/system")
    found = await settled(tmp_path, monkeypatch, "fd00::7", uri)
    assert found.landing_uri == "qemu+tls://[fd00::7]/system"


async def test_nobody_comes_without_the_setting(tmp_path, monkeypatch) -> None:
    found = await settled(tmp_path, monkeypatch, "10.1.0.7")
    assert (found.uri, found.landing_uri) == ("qemu:///system", "")
