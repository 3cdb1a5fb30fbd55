"""The folder of an object store on one machine: its secret, its rings, its devices.

FOLDER/secret            what names are hashed with, and what nodes know each other by
FOLDER/rings/NAME.builder, NAME.ring     NAME: account, container, object, object-1 …
FOLDER/devices/…         the devices that were not put elsewhere
FOLDER/device-ids/NAME   what stands on the disk of that device since its first use; taken away where a disk is replaced
FOLDER/generations       see `proxy/infos.py`
"""

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from .config import ObjectConfig, policies_of
from .ring import Builder, Ring, RingError

SECRET_BYTES = 32


class Places:
    """Where things are. Nothing is made but by `found`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rings = folder / "rings"
        self.devices = folder / "devices"
        self._device_ids = folder / "device-ids"
        self.generations = folder / "generations"
        self._secret = folder / "secret"

    @property
    def is_founded(self) -> bool:
        return self._secret.exists() and self.ring_file("account").exists()

    def secret(self) -> bytes:
        """Raises FileNotFoundError."""
        return self._secret.read_bytes()

    def ring_file(self, name: str) -> Path:
        return self.rings / f"{name}.ring"

    def builder_file(self, name: str) -> Path:
        return self.rings / f"{name}.builder"

    def device(self, name: str) -> Path:
        """The root of a device of this node: a folder, or a link to a mounted file system."""
        return self.devices / name

    def device_id(self, name: str) -> str | None:
        """What is to stand on it; None when it was never used."""
        try:
            return (self._device_ids / name).read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None

    def remember_device(self, name: str, device_id: str) -> None:
        self._device_ids.mkdir(mode=0o700, exist_ok=True)
        part = self._device_ids / f"{name}.{os.getpid()}.part"
        part.write_text(device_id + "\n", encoding="ascii")
        os.replace(part, self._device_ids / name)

    def forget_device(self, name: str) -> None:
        """What is found there next is the device from then on: a new disk in the place of an old one."""
        (self._device_ids / name).unlink(missing_ok=True)

    def ring(self, name: str) -> Ring:
        """Raises FileNotFoundError, `RingError`."""
        return Ring.load(self.ring_file(name))

    def found(self, settings: ObjectConfig, devices: Iterable[str]) -> None:
        """Secret, rings and devices, as far as they are not there; may be run again after it was cut off."""
        for path in (self.folder, self.rings, self.devices):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = list(devices)
        for name in names:
            self.device(name).mkdir(mode=0o700, exist_ok=True)
        if not self._secret.exists():
            self._write_secret(secrets.token_bytes(SECRET_BYTES))
        for name, amount in self.missing_rings(settings).items():
            builder = Builder(settings.part_power, amount)
            for device in names:
                builder.add(node=settings.node, name=device, weight=100.0)
            self._save_first(name, builder)

    def missing_rings(self, settings: ObjectConfig) -> dict[str, float]:
        """Those that the settings want and that are not there, each with its replicas. Raises `PolicyError`."""
        amounts = {"account": settings.replicas, "container": settings.replicas}
        amounts |= {ring_name(policy.index): policy.devices for policy in policies_of(settings)}
        return {name: amount for name, amount in amounts.items() if not self.ring_file(name).exists()}

    def add_missing_rings(self, settings: ObjectConfig) -> dict[str, float]:
        """Of policies that are new in the settings, over the devices that hold the objects of policy 0; answers which,
        each with its replicas.

        Raises `RingError` where rings are not made but taken from another node, or there are too few devices.
        """
        missing = self.missing_rings(settings)
        for name, replicas in missing.items():
            file = self.builder_file(ring_name(0))
            if not file.exists():
                raise RingError(f"there is no ring {name}: rings are made elsewhere, take them anew")
            first = Builder.load(file)
            count = sum(one.weight > 0 for one in first.devices.values())
            if replicas > count:
                raise RingError(f"the storage policy of {name} needs {replicas:g} devices; there are {count}")
            builder = Builder(
                first.part_power, replicas, min_part_hours=first.min_part_hours, overload=first.overload
            )
            for one in first.devices.values():
                builder.add(node=one.node, name=one.name, weight=one.weight, region=one.region, zone=one.zone)
            self._save_first(name, builder)
        return missing

    def join(self, secret: bytes) -> None:
        """Be of the cluster that has this secret. Raises FileExistsError where there is another one."""
        for path in (self.folder, self.rings, self.devices):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._secret.exists():
            self._write_secret(secret)
        elif self.secret() != secret:
            raise FileExistsError(self._secret)

    def _write_secret(self, secret: bytes) -> None:
        part = self._secret.with_name(f"secret.{os.getpid()}.part")
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(fd, "wb") as file:
            file.write(secret)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, self._secret)

    def _save_first(self, name: str, builder: Builder) -> None:
        builder.rebalance()
        builder.save(self.builder_file(name))
        builder.ring().save(self.ring_file(name))


def ring_name(policy: int) -> str:
    """Of a policy's objects."""
    return "object" if policy == 0 else f"object-{policy}"
