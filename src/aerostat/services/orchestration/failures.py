"""Why a resource failed, in words for its status reason."""

from aerostat.kernel.client import RoomError
from aerostat.kernel.errors import ApiError, DriverError, Unavailable

from .errors import ResourceFailure
from .template import TemplateError

_KINDS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    413: "OverLimit",
    429: "OverLimit",
    501: "NotImplemented",
    503: "ServiceUnavailable",
}


def understood(error: Exception) -> ResourceFailure:
    """Any exception as a failure; `detail` is set on what nobody foresaw."""
    if isinstance(error, ResourceFailure):
        return error
    if isinstance(error, RoomError):
        return ResourceFailure(error.text, _KINDS.get(error.status, "ServerError"))
    if isinstance(error, ApiError):
        return ResourceFailure(error.text, error.error_code)
    if isinstance(error, DriverError):
        return ResourceFailure(error.message, "DriverError")
    if isinstance(error, TemplateError):
        return ResourceFailure(str(error), error.kind)
    failure = ResourceFailure(f"unexpected {type(error).__name__}", "InternalError")
    failure.detail = f"{type(error).__name__}: {error}"
    return failure


def is_passing(error: Exception) -> bool:
    """Whether the same call may succeed later."""
    if isinstance(error, DriverError):
        return error.retry  # so it is where something is away
    if isinstance(error, RoomError):
        return error.status == 503
    return isinstance(error, Unavailable)


def parse_reason(reason: str) -> ResourceFailure:
    """The failure of a resource in a nested stack, from that stack's reason, to be told one stack higher."""
    head, found, rest = reason.partition(" failed: ")
    parts = rest.split(": ", 2)
    if found and head.startswith("Resource ") and len(parts) == 3 and parts[1].startswith("resources"):
        return ResourceFailure(parts[2], parts[0], parts[1])
    return ResourceFailure(reason or "the nested stack failed")
