"""A fake host whose guests outlive its process, as those of a real hypervisor do: for hosts in processes of their own.

After each verb that changes something, images, guests and their states are written to one file; `open` makes them
again from it.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from ..host.protocol import BaseImage, BaseImageSpec, Domain, DomainSpec, Interface, Power, State
from .fake import FakeHypervisor


class _Guest(msgspec.Struct, frozen=True):
    spec: DomainSpec
    state: State


class _Kept(msgspec.Struct, frozen=True):
    images: list[str] = []
    guests: list[_Guest] = []


class KeptFakeHypervisor(FakeHypervisor):
    """One host of a fake world, kept in `folder`."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name)
        self._file = folder / "fake-guests.json"
        self._opened = False

    async def open(self) -> None:
        await super().open()
        if self._opened:
            return
        if self._file.exists():
            kept = msgspec.json.decode(self._file.read_bytes(), type=_Kept)
            for image_id in kept.images:
                self.remember_image(image_id)
            for guest in kept.guests:
                await self._make_again(guest)
        self._opened = True

    async def ensure_base_image(self, image: BaseImageSpec, chunks: AsyncIterator[bytes]) -> BaseImage:
        found = await super().ensure_base_image(image, chunks)
        await self._keep()
        return found

    async def remove_base_image(self, image_id: str) -> None:
        await super().remove_base_image(image_id)
        await self._keep()

    async def ensure_domain(self, spec: DomainSpec, power: Power = "running") -> Domain:
        found = await super().ensure_domain(spec, power)
        await self._keep()
        return found

    async def remove_domain(self, domain_id: str) -> None:
        await super().remove_domain(domain_id)
        await self._keep()

    async def ensure_power(self, domain_id: str, power: Power, *, limit_s: float = 60.0) -> Domain:
        found = await super().ensure_power(domain_id, power, limit_s=limit_s)
        await self._keep()
        return found

    async def ensure_interface(self, domain_id: str, interface: Interface) -> None:
        await super().ensure_interface(domain_id, interface)
        await self._keep()

    async def remove_interface(self, domain_id: str, port_id: str, *, limit_s: float = 20.0) -> None:
        await super().remove_interface(domain_id, port_id, limit_s=limit_s)
        await self._keep()

    async def _make_again(self, guest: _Guest) -> None:
        self.remember_image(guest.spec.root.image_id)
        power: Power = "shutoff" if guest.state == "crashed" else guest.state
        # Only what ran can be suspended.
        await super().ensure_domain(guest.spec, "running" if power == "suspended" else power)
        await super().ensure_power(guest.spec.id, power)

    async def _keep(self) -> None:
        """The present state, whole or not at all."""
        if not self._opened:
            return
        images = [image.id for image in await self.list_base_images()]
        guests = [_Guest(self.spec(one.id), one.state) for one in await self.list_domains()]
        beside = self._file.with_suffix(".new")
        beside.write_bytes(msgspec.json.encode(_Kept(images, guests)))
        os.replace(beside, self._file)
