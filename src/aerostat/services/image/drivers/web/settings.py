"""What may be fetched from the web, and for how long it is waited for."""

from pathlib import Path

import msgspec


class WebSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[image.web]`: from where images may be fetched.

    Where an `allowed_…` is not empty, its `disallowed_…` is not looked at.
    """

    allowed_schemes: tuple[str, ...] = ("http", "https")
    disallowed_schemes: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    disallowed_hosts: tuple[str, ...] = ()
    allowed_ports: tuple[int, ...] = (80, 443)
    disallowed_ports: tuple[int, ...] = ()
    private_addresses: bool = False
    """Whether hosts may have addresses that are not of the public internet: loopback, private and link-local ones."""
    max_redirects: int = 5
    connect_timeout_s: float = 10.0
    silence_timeout_s: float = 60.0
    """A server that sends nothing for this long is given up."""
    timeout_s: float = 6 * 3600.0
    """One whole fetch."""
    ca_file: Path | None = None
    """Authorities beside the machine's own that https servers may be vouched for by."""
