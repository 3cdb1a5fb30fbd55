"""What the orchestration room refuses, in upstream's names and words."""

from collections.abc import Iterator
from contextlib import contextmanager

from aerostat.kernel.errors import ApiError, BadRequest, Conflict, Forbidden, NotFound

from .template import TemplateError


class EntityNotFound(NotFound):
    message = "The %(entity)s (%(name)s) could not be found."


class ResourceNotFound(NotFound):
    message = "The Resource (%(resource)s) could not be found in Stack %(stack)s."
    code = "EntityNotFound"


class ResourceNotAvailable(NotFound):
    message = "The Resource (%(name)s) is not available."


class EventNotFound(NotFound):
    message = "No event %(id)s found"
    code = "HTTPNotFound"


class OutputNotFound(NotFound):
    message = "Specified output key %(key)s not found."
    code = "NotFound"


class StackExists(Conflict):
    message = "The Stack (%(name)s) already exists."


class ActionInProgress(Conflict):
    message = "Stack %(name)s already has an action (%(action)s) in progress."


class StackValidationFailed(BadRequest):
    message = "%(reason)s"


class InvalidTemplateAttribute(BadRequest):
    message = "The Referenced Attribute (%(resource)s %(key)s) is incorrect."


class NotSupported(BadRequest):
    message = "%(feature)s is not supported."


class ResourceActionNotSupported(BadRequest):
    message = "%(action)s is not supported for resource."


class InvalidBreakPointHook(BadRequest):
    """A hook that there is not, or at which nothing waits."""


class InvalidRestrictedAction(BadRequest):
    """What others still refer to cannot be taken away."""


class RequestLimitExceeded(BadRequest):
    message = "Request limit exceeded: %(reason)s"


class ImmutableParameterModified(BadRequest):
    message = "The following parameters are immutable and may not be updated: %(names)s"


class BadBody(BadRequest):
    """The body is not what this call takes."""

    code = "HTTPBadRequest"


class WrongProject(Forbidden):
    message = "Access was denied to this resource."
    code = "HTTPForbidden"


class RefusedTemplate(BadRequest):
    """A template, an environment or its parameters cannot stand; `code` says what, in upstream's words."""

    def __init__(self, error: TemplateError) -> None:
        super().__init__(str(error))
        self.code = error.kind


@contextmanager
def refusing() -> Iterator[None]:
    """What the template engine finds wrong inside the block is told to the client."""
    try:
        yield
    except TemplateError as error:
        raise RefusedTemplate(error) from error


class ResourceFailure(ApiError):
    """A resource could not be made, changed or deleted, and why: `Conflict: resources.port: no address left`.

    `kind` names the sort of failure, `path` the resource, through nested stacks.
    """

    status = 500

    def __init__(self, message: str, kind: str = "ResourceInError", path: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.path = path

    def at(self, resource: str) -> str:
        """The reason that the resource of this name shows."""
        where = f"resources.{resource}" + (f".{self.path}" if self.path else "")
        return f"{self.kind}: {where}: {self.text}"
