"""Switching domains on, off and between: the transitions that the contract's `ensure_power` names.

Each step looks where the domain is and does the one thing that leads on, so that it does not matter who
else moved it meanwhile, or where an earlier call died.
"""

import asyncio
import time
from collections import defaultdict
from typing import Any

import libvirt

from aerostat.kernel.errors import DriverError
from aerostat.services.compute.host.protocol import Power, State

from .connection import Connection
from .states import state_of

START_LIMIT_S = 120.0
SAVE_LIMIT_S = 300.0  # the guest's memory goes to the disk
PRESS_AGAIN_S = 10.0  # a guest that is booting loses the press of its button
LOOK_EVERY_S = 0.2
MAX_STEPS = 5


def lookup(connection: Any, domain_id: str) -> Any:
    """libvirt's object for a domain, or the error that the contract asks for."""
    try:
        return connection.lookupByUUIDString(domain_id)
    except libvirt.libvirtError as failed:
        if failed.get_error_code() not in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_INVALID_ARG):
            raise
        raise DriverError("The host does not know this server.", detail=str(failed)) from failed


class PowerSwitch:
    """The switches of all domains on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rebooted: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def bring_to(self, domain_id: str, power: Power, limit_s: float) -> None:
        """See `Hypervisor.ensure_power`."""
        for _ in range(MAX_STEPS):
            state = await self._state(domain_id)
            if state == power:
                return
            await self._step(domain_id, state, power, limit_s)
        raise DriverError(f"The server did not become {power}.", detail=f"it is {state}", retry=True)

    async def reboot(self, domain_id: str, hard: bool, limit_s: float) -> None:
        """See `Hypervisor.reboot`."""
        if await self._state(domain_id) != "running":
            await self.bring_to(domain_id, "running", 0.0)
            return
        if not hard and await self._reboot_softly(domain_id, limit_s):
            return
        await self._call("The server could not be reset.", domain_id, lambda domain: domain.reset())

    def saw_reboot(self, domain_id: str) -> None:
        """To be called when libvirt tells that a guest has restarted."""
        if domain_id in self._rebooted:
            self._rebooted[domain_id].set()

    async def cut(self, domain_id: str) -> None:
        """Stop at once, whatever the guest is doing."""

        def destroy(domain: Any) -> None:
            try:
                if domain.isActive():
                    domain.destroy()
            except libvirt.libvirtError:
                if domain.isActive():  # otherwise it stopped by itself just now
                    raise

        await self._call("The server could not be stopped.", domain_id, destroy, limit_s=60.0)

    async def _step(self, domain_id: str, state: State, power: Power, limit_s: float) -> None:
        if power == "shutoff":
            if state == "running":
                await self._shut_down(domain_id, limit_s)
            elif state == "paused":
                await self.cut(domain_id)
            else:
                await self._forget(domain_id, state)
        elif power == "suspended":
            if state not in ("running", "paused"):
                raise DriverError("Only a running or paused server can be suspended.")
            await self._call(
                "The server could not be saved.", domain_id, lambda d: d.managedSave(), limit_s=SAVE_LIMIT_S
            )
        elif state in ("running", "paused"):
            await self._call(
                "The server could not be paused or resumed.",
                domain_id,
                lambda domain: domain.suspend() if power == "paused" else domain.resume(),
            )
        else:
            await self._start(domain_id, paused=power == "paused")

    async def _start(self, domain_id: str, *, paused: bool) -> None:
        def start(domain: Any) -> None:
            try:
                domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED if paused else 0)
            except libvirt.libvirtError:
                if not domain.isActive():  # otherwise somebody was faster
                    raise

        complaint = "The hypervisor could not start the server."
        await self._call(complaint, domain_id, start, limit_s=START_LIMIT_S)

    async def _forget(self, domain_id: str, state: State) -> None:
        """Make a saved or crashed domain an ordinary one that is off."""
        if state == "suspended":
            await self._call(
                "The saved state could not be removed.", domain_id, lambda d: d.managedSaveRemove()
            )
        else:
            # libvirt keeps "crashed" until the next start: a start that runs no instruction, and a stop
            await self._start(domain_id, paused=True)
            await self.cut(domain_id)

    async def _shut_down(self, domain_id: str, limit_s: float) -> None:
        deadline = time.monotonic() + limit_s
        press_at = 0.0
        while (now := time.monotonic()) < deadline:
            if now >= press_at:
                await self._press_power_button(domain_id)
                press_at = now + PRESS_AGAIN_S
            if await self._state(domain_id) != "running":
                return
            await asyncio.sleep(LOOK_EVERY_S)
        await self.cut(domain_id)

    async def _press_power_button(self, domain_id: str) -> None:
        def press(domain: Any) -> None:
            try:
                domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
            except libvirt.libvirtError:
                if domain.isActive():
                    raise

        await self._call("The server could not be asked to stop.", domain_id, press)

    async def _reboot_softly(self, domain_id: str, limit_s: float) -> bool:
        """Whether the guest obeyed. libvirt resets it as soon as it has powered itself off."""
        deadline = time.monotonic() + limit_s
        seen = self._rebooted[domain_id]
        seen.clear()
        try:
            while (left_s := deadline - time.monotonic()) > 0:
                await self._call(
                    "The server could not be asked to restart.",
                    domain_id,
                    lambda domain: domain.reboot(libvirt.VIR_DOMAIN_REBOOT_ACPI_POWER_BTN),
                )
                try:
                    await asyncio.wait_for(seen.wait(), min(left_s, PRESS_AGAIN_S))
                except TimeoutError:
                    continue
                return True
        finally:
            self._rebooted.pop(domain_id, None)
        return False

    async def _state(self, domain_id: str) -> State:
        state: State = await self._call(
            "The server's state is not known.", domain_id, lambda domain: state_of(domain)[0]
        )
        return state

    async def _call(self, complaint: str, domain_id: str, work: Any, *, limit_s: float = 30.0) -> Any:
        return await self._connection.call(
            complaint, lambda connection: work(lookup(connection, domain_id)), limit_s=limit_s
        )
