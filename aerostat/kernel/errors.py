"""Errors that cross rooms: what a driver tells the flow that called it."""


class DriverError(Exception):
    """The world did not do what was asked.

    `message` is the reason, for the user: no paths, no addresses of ours. `detail` is for the log.
    `retry` says whether the same call may succeed later without anybody changing anything.
    """

    def __init__(self, message: str, *, detail: str = "", retry: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.retry = retry

    def __str__(self) -> str:
        return f"{self.message} ({self.detail})" if self.detail else self.message
