"""How each room words an error on the wire. One place; handlers only raise.

Shapes follow the published error bodies of the upstream APIs; clients parse them.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from ..errors import ApiError

Envelope = Callable[[ApiError, str], dict[str, Any]]

_COMPUTE_FAULTS = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    429: "overLimit",
    501: "notImplemented",
    503: "serviceUnavailable",
}


def title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def compute(error: ApiError, request_id: str) -> dict[str, Any]:
    """`{"itemNotFound": {"code": 404, "message": …}}`"""
    return {_COMPUTE_FAULTS.get(error.status, "computeFault"): {"code": error.status, "message": error.text}}


_NETWORK_TYPES = {
    "BadRequest": "HTTPBadRequest",
    "NotFound": "HTTPNotFound",
    "Conflict": "HTTPConflict",
    "PreconditionFailed": "HTTPPreconditionFailed",
    "ApiError": "HTTPInternalServerError",
}


def network(error: ApiError, request_id: str) -> dict[str, Any]:
    """`{"NeutronError": {"type": …, "message": …, "detail": ""}}`"""
    kind = error.code or _NETWORK_TYPES.get(type(error).__name__, type(error).__name__)
    return {"NeutronError": {"type": kind, "message": error.text, "detail": ""}}


def identity(error: ApiError, request_id: str) -> dict[str, Any]:
    """`{"error": {"code": 404, "title": "Not Found", "message": …}}`"""
    return {"error": {"code": error.status, "title": title(error.status), "message": error.text}}


def orchestration(error: ApiError, request_id: str) -> dict[str, Any]:
    """`{"code": 404, "title": …, "explanation": …, "error": {"type": …, "message": …, "traceback": null}}`"""
    return {
        "code": error.status,
        "title": title(error.status),
        "explanation": _EXPLANATIONS.get(error.status, error.text),
        "error": {"message": error.text, "traceback": None, "type": error.error_code},
    }


_EXPLANATIONS = {
    400: "The server could not comply with the request since it is either malformed or otherwise incorrect.",
    403: "Access was denied to this resource.",
    404: "The resource could not be found.",
    409: "There was a conflict when trying to complete your request.",
}


def placement(error: ApiError, request_id: str) -> dict[str, Any]:
    """`{"errors": [{"status": 404, "title": …, "detail": …, "request_id": …, "code": "placement.undefined_code"}]}`"""
    return {
        "errors": [
            {
                "status": error.status,
                "title": title(error.status),
                "detail": error.text,
                "code": error.code or "placement.undefined_code",
                "request_id": request_id,
            }
        ]
    }


def image(error: ApiError, request_id: str) -> dict[str, Any]:
    """`{"message": …, "code": "404 Not Found", "title": "Not Found"}`, as the image service answers JSON clients."""
    return {
        "message": error.text,
        "code": f"{error.status} {title(error.status)}",
        "title": title(error.status),
    }


def plain(error: ApiError, request_id: str) -> dict[str, Any]:
    """Our own endpoints."""
    return {"error": {"code": error.status, "message": error.text, "request_id": request_id}}
