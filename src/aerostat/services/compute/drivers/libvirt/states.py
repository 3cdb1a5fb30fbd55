"""libvirt's numbers for states, reasons and events, in the contract's words."""

from typing import Any

import libvirt

from aerostat.services.compute.host.protocol import Happening, State

_STATES: dict[int, State] = {
    libvirt.VIR_DOMAIN_NOSTATE: "shutoff",
    libvirt.VIR_DOMAIN_RUNNING: "running",
    libvirt.VIR_DOMAIN_BLOCKED: "running",
    libvirt.VIR_DOMAIN_PAUSED: "paused",
    libvirt.VIR_DOMAIN_SHUTDOWN: "running",  # on its way, still there
    libvirt.VIR_DOMAIN_SHUTOFF: "shutoff",
    libvirt.VIR_DOMAIN_CRASHED: "crashed",
    libvirt.VIR_DOMAIN_PMSUSPENDED: "running",  # asleep by its own will
}

_REASONS: dict[tuple[int, int], str] = {
    (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN): "the guest shut down",
    (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED): "the power was cut",
    (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_CRASHED): "its process ended unexpectedly",
    (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_FAILED): "it could not be started",
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR): "a disk failed or is full",
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_CRASHED): "the guest panicked",
    (libvirt.VIR_DOMAIN_CRASHED, libvirt.VIR_DOMAIN_CRASHED_PANICKED): "the guest panicked",
}

_EVENTS: dict[int, Happening] = {
    libvirt.VIR_DOMAIN_EVENT_UNDEFINED: "removed",
    libvirt.VIR_DOMAIN_EVENT_STARTED: "started",
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED: "paused",
    libvirt.VIR_DOMAIN_EVENT_RESUMED: "resumed",
    libvirt.VIR_DOMAIN_EVENT_STOPPED: "stopped",
    libvirt.VIR_DOMAIN_EVENT_CRASHED: "crashed",
}

_STOPPED: dict[int, Happening] = {
    libvirt.VIR_DOMAIN_EVENT_STOPPED_CRASHED: "crashed",
    libvirt.VIR_DOMAIN_EVENT_STOPPED_FAILED: "crashed",
    libvirt.VIR_DOMAIN_EVENT_STOPPED_SAVED: "suspended",
}


def state_of(domain: Any) -> tuple[State, str]:
    """The state of a libvirt domain, and why."""
    number, why = domain.state()
    reason = _REASONS.get((number, why), "")
    if number == libvirt.VIR_DOMAIN_SHUTOFF:
        if domain.hasManagedSaveImage():
            return "suspended", ""
        if why == libvirt.VIR_DOMAIN_SHUTOFF_CRASHED:
            return "crashed", reason
    return _STATES[number], reason


def happening(event: int, detail: int) -> Happening | None:
    """What a lifecycle event means; None for those that tell nothing new."""
    if event == libvirt.VIR_DOMAIN_EVENT_STOPPED:
        return _STOPPED.get(detail, "stopped")
    return _EVENTS.get(event)
