"""Which host takes a server: pure functions over what is known of the hosts. No I/O here."""

from .choose import Decision, choose
from .picture import Asked, HostPicture, Refusal

__all__ = ["Asked", "Decision", "HostPicture", "Refusal", "choose"]
