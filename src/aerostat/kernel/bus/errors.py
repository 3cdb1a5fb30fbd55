"""What a call over the bus can end with, besides an answer.

All are `DriverError`s: to a flow, a host that cannot be reached and a back-end that fails are the same
question, whether to try again.
"""

from aerostat.kernel.errors import DriverError


class BusError(DriverError):
    """The bus could not carry a call to its end. Whether the work was done is unknown; repeat it."""

    def __init__(self, message: str, *, detail: str | None = None, retry: bool = True) -> None:
        super().__init__(message, detail=detail, retry=retry)


class BusTimeout(BusError):
    """No answer within the caller's limit. The work may still be going on."""


class BusNobody(BusError):
    """Nobody serves the topic. The work was not begun."""


class BusGone(BusError):
    """The connection, or the process that was to answer, went away."""


class BusAway(BusGone):
    """There was no connection to begin with. The work was not begun."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.away = True


class BusRefused(BusError):
    """The queue's server is there and will not have us: wrong user, password or virtual host."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retry=False)


class RemoteError(DriverError):
    """The handler failed with an error of its own: `type` is its class name, `detail` may hold its trace."""

    def __init__(
        self,
        type: str,
        message: str,
        *,
        detail: str | None = None,
        retry: bool = False,
        away: bool = False,
    ) -> None:
        super().__init__(message, detail=detail, retry=retry, away=away)
        self.type = type
