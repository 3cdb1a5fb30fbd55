"""What placement's resources share on the wire: last-modified headers, parsed queries, provider look-ups."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from aerostat.kernel.clock import now
from aerostat.kernel.db import Row, Store, Transaction
from aerostat.kernel.errors import BadRequest
from aerostat.kernel.http import Request, Response
from aerostat.kernel.http.versions import Version

from .. import model
from ..errors import GenerationConflict, ProviderNotFound
from ..names import CUSTOM, STANDARD_CLASSES, STANDARD_TRAITS

_COUNT = re.compile(r"[1-9][0-9]{0,9}")
_UUID = re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")


def at_least(req: Request, minor: int) -> bool:
    return req.version >= Version(1, minor)


def dated(req: Request, data: Any, status: int = 200, *, changed_at: datetime | None = None) -> Response:
    """An answer with the headers that version 1.15 promises."""
    headers = {}
    if at_least(req, 15):
        moment = (changed_at or now()).replace(tzinfo=UTC)
        headers = {"Last-Modified": format_datetime(moment, usegmt=True), "Cache-Control": "no-cache"}
    return Response(data, status, headers)


async def get_provider(db: Store | Transaction, id: str) -> Row:
    row = await db.find(model.PROVIDERS, id=id)
    if row is None:
        raise ProviderNotFound(id=id)
    return row


async def next_generation(tx: Transaction, provider: Row, seen: int | None) -> int:
    """Move the provider's generation on, if it is still the one that the client saw."""
    if seen is not None and seen != provider.generation:
        raise GenerationConflict()
    where = {"id": provider.id, "generation": provider.generation}
    if not await tx.update(model.PROVIDERS, where, generation=provider.generation + 1):
        raise GenerationConflict()
    return int(provider.generation) + 1


def read_resources(text: str) -> dict[str, int]:
    """`VCPU:1,MEMORY_MB:512`. Raises `BadRequest`."""
    found: dict[str, int] = {}
    for part in text.split(","):
        name, _, amount = part.partition(":")
        if not name or (count := read_count(amount)) is None:
            raise BadRequest(
                "Badly formed resources parameter. Expected resources query string parameter in form: "
                f'?resources=VCPU:2,MEMORY_MB:1024. Got: "{text}".'
            )
        found[name] = count
    return found


def read_count(text: str) -> int | None:
    """A positive number of at most 10 digits; None for anything else."""
    return int(text) if _COUNT.fullmatch(text) else None


def check_arguments(req: Request, known: Mapping[str, int]) -> None:
    """Raises `BadRequest` for query arguments that the request's version does not know. `known`: name → minor."""
    odd = sorted(name for name in req.query if name not in known or not at_least(req, known[name]))
    if odd:
        raise BadRequest(
            f"Invalid query string parameters: Additional properties are not allowed ({', '.join(odd)})"
        )


async def check_classes(db: Store | Transaction, names: Mapping[str, Any]) -> None:
    """Raises `BadRequest` for resource classes that do not exist."""
    odd = [name for name in names if name not in STANDARD_CLASSES]
    known = {row.name for row in await db.all(model.RESOURCE_CLASSES, {"name": odd})} if odd else set()
    for name in odd:
        if name not in known:
            raise BadRequest(f"Invalid resource class in resources parameter: No such resource class {name}.")


async def unknown_traits(db: Store | Transaction, names: set[str]) -> set[str]:
    custom = names - set(STANDARD_TRAITS)
    if not custom:
        return set()
    return custom - {row.name for row in await db.all(model.TRAITS, {"name": custom})}


def read_traits(req: Request) -> tuple[set[str], set[str]]:
    """`required=A,!B` as wanted and forbidden traits. Raises `BadRequest`."""
    wanted: set[str] = set()
    forbidden: set[str] = set()
    for part in (req.argument("required") or "").split(","):
        if part.startswith("!"):
            if not at_least(req, 22):
                raise BadRequest(
                    f"Invalid query string parameters: forbidden trait {part} needs version 1.22."
                )
            forbidden.add(part[1:])
        elif part:
            wanted.add(part)
        elif "required" in req.query:
            raise BadRequest(
                f"Invalid query string parameters: Expected 'required' parameter value of the form: "
                f"HW_CPU_X86_VMX,CUSTOM_MAGIC. Got: {req.argument('required')}"
            )
    if both := wanted & forbidden:
        raise BadRequest(f"Conflicting required traits: {', '.join(sorted(both))}")
    return wanted, forbidden


def read_member_of(req: Request) -> list[set[str]]:
    """`member_of=in:a,b&member_of=c`: a provider is in one of each set."""
    values = req.query.get("member_of", [])
    if len(values) > 1 and not at_least(req, 24):
        raise BadRequest("Multiple member_of parameters are not supported")
    found = []
    for value in values:
        names = value.removeprefix("in:").split(",") if value.startswith("in:") else [value]
        for name in names:
            if _UUID.fullmatch(name) is None:
                raise BadRequest(f"Expected 'member_of' parameter to contain valid UUID(s). Got: {value}")
        found.append(set(names))
    return found


def check_custom(name: str, what: str) -> None:
    if CUSTOM.fullmatch(name) is None:
        raise BadRequest(
            f"The {what} is invalid. A valid {what} must be no longer than 255 characters, start with the prefix "
            '"CUSTOM_" and use following characters: "A"-"Z", "0"-"9" and "_"'
        )
