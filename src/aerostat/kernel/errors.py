"""What can go wrong, as types. `http/envelopes.py` turns an `ApiError` into a room's own wire form, in one
place.

A room derives its own errors (`class ServerNotFound(NotFound): message = "Instance %(id)s could not be
found."`) and raises them with the values of the template: `raise ServerNotFound(id=id)`.
"""

from typing import Any


class ApiError(Exception):
    """An error the user is told about.

    `status` is the HTTP status; `message` a template filled from the keywords; `code` is the name some rooms
    show (the network room's `type`, the orchestration room's error type), the class name unless set. `detail`
    is for the log and the operation record, never for the user.
    """

    status = 500
    away = False  # see `is_away`
    message = "An unexpected error prevented the server from fulfilling your request."
    code: str | None = None
    headers: dict[str, str] = {}

    def __init__(self, text: str | None = None, *, detail: str | None = None, **values: Any) -> None:
        self.values = values
        self.detail = detail
        self.text = text if text is not None else self.message % values if values else self.message
        super().__init__(self.text)

    @property
    def error_code(self) -> str:
        return self.code or type(self).__name__


class BadRequest(ApiError):
    status = 400
    message = "The request is not valid."


class Unauthorized(ApiError):
    status = 401
    message = "The request you have made requires authentication."


class Forbidden(ApiError):
    status = 403
    message = "You are not authorized to perform the requested action."


class NotFound(ApiError):
    status = 404
    message = "The resource could not be found."


class MethodNotAllowed(ApiError):
    status = 405
    message = "The method is not allowed for this resource."


class NotAcceptable(ApiError):
    status = 406
    message = "The requested version is not supported."


class Conflict(ApiError):
    status = 409
    message = "The request conflicts with the state of the resource."


class Gone(ApiError):
    status = 410
    message = "The resource is gone."


class PreconditionFailed(ApiError):
    status = 412
    message = "A precondition of the request is not met."


class TooLarge(ApiError):
    status = 413
    message = "The request is too large."


class UnsupportedMediaType(ApiError):
    status = 415
    message = "The content type of the request is not supported."


class OverQuota(ApiError):
    """413 in older APIs, 403 or 409 in today's: the room says."""

    status = 403
    message = "Quota exceeded for %(resource)s: asked for %(asked)s, in use %(used)s, limit %(limit)s."


class NotImplementedHere(ApiError):
    status = 501
    message = "The requested operation is not implemented."


class Unavailable(ApiError):
    status = 503
    message = "The service is temporarily unavailable. Please try again later."
    headers = {"Retry-After": "5"}


class Away(Unavailable):
    """The cloud's own database or message queue cannot be reached."""

    away = True
    code = "Unavailable"
    message = "The cloud's database cannot be reached at present. Please try again later."


class InvalidState(Conflict):
    """A transition that the thing's state does not allow."""

    message = "Cannot '%(event)s' %(id)s while it is in state %(state)s."


class DriverError(Exception):
    """A back-end could not do what it was asked.

    `message` may be shown to the user, `detail` goes to the log and the operation record; `retry` tells the
    flow whether the same call may succeed later. `away`: see `is_away`.
    """

    def __init__(
        self, message: str, *, detail: str | None = None, retry: bool = False, away: bool = False
    ) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.retry = retry or away
        self.away = away


def is_away(error: BaseException) -> bool:
    """Whether the cloud's own database or message queue was away, and the work therefore not even begun.

    That says nothing about the work: whoever has patience waits, and does not count it as a try.
    """
    return bool(getattr(error, "away", False))
