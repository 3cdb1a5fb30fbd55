"""What the image room refuses, in upstream's words."""

from aerostat.kernel.errors import (
    ApiError,
    BadRequest,
    Conflict,
    Forbidden,
    Gone,
    NotFound,
    TooLarge,
    UnsupportedMediaType,
)


class ImageNotFound(NotFound):
    message = "No image found with ID %(id)s"


class ImageGone(Gone):
    message = (
        "Image %(id)s could not be found after upload. The image may have been deleted during the upload."
    )


class MemberNotFound(NotFound):
    message = "%(member)s not found in the member list of the image %(id)s."


class ImageProtected(Forbidden):
    message = "Image %(id)s is protected and cannot be deleted."


class ImageNotQueued(Conflict):
    message = "Image status transition from %(status)s to %(wanted)s is not allowed"


class UnknownStore(BadRequest):
    message = "Unknown store: %(name)s"


class ReadOnly(Forbidden):
    message = "Attribute '%(name)s' is read-only."


class Reserved(Forbidden):
    message = "Attribute '%(name)s' is reserved."


class FormatMismatch(UnsupportedMediaType):
    message = "Image content does not match disk_format: declared %(declared)s, found %(found)s"


class UnsafeImage(UnsupportedMediaType):
    message = "Image is not safe to use: %(reason)s"


class ImageTooLarge(TooLarge):
    message = "The incoming image is too large: it is larger than the %(limit)s bytes that one may have."


class StoreIsFull(TooLarge):
    message = "Image storage media is full: %(reason)s"


class RangeNotSatisfiable(ApiError):
    status = 416
    message = "The requested range cannot be satisfied: the image has %(size)s bytes."


class ClientSilent(ApiError):
    status = 408
    message = "Nothing more of the image has come for %(seconds)s seconds."


class OtherSize(BadRequest):
    message = "The image has %(found)s bytes, and not the %(declared)s that were declared."


class TooMany(TooLarge):
    message = (
        "The limit has been exceeded on the number of allowed image %(what)s. "
        "Attempted: %(asked)s, Maximum: %(limit)s"
    )


class MustBeShared(Forbidden):
    message = "Only shared images have members."


class OverLimit(TooLarge):
    message = (
        "Project is over its limit of %(name)s: asked for %(asked)s, in use %(used)s, limit %(limit)s. "
        "ResourceProjectLimitExceeded"
    )


class NotFetched(BadRequest):
    message = "URI for %(what)s does not pass filtering: %(uri)s. %(reason)s"


class OnlyQueuedFor(Conflict):
    message = "Image needs to be in 'queued' state to use '%(method)s' method"


class TaskNotFound(NotFound):
    message = "Task not found with id: %(id)s"


class LocationsHidden(Forbidden):
    message = "It's not allowed to %(what)s locations if locations are invisible."
