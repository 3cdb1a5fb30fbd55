"""What other rooms refuse, as the compute API said it when it forwarded calls to them (until 2.35 and 2.43)."""

import contextlib
from collections.abc import Iterator

from aerostat.kernel.client import RoomError
from aerostat.kernel.errors import ApiError, BadRequest, Conflict, Forbidden, NotFound
from aerostat.kernel.ids import is_uuid

_KINDS: dict[int, type[ApiError]] = {400: BadRequest, 403: Forbidden, 404: NotFound, 413: Forbidden}


@contextlib.contextmanager
def refusals_relayed(**other: type[ApiError]) -> Iterator[None]:
    """A refusal of another room within the block becomes ours, with its words; `conflict` says what a 409 becomes."""
    try:
        yield
    except RoomError as error:
        if error.status == 409:
            over_quota = "quota" in error.text.lower()
            raise (Forbidden if over_quota else other.get("conflict", Conflict))(error.text) from None
        kind = _KINDS.get(error.status)
        if kind is None:
            raise
        raise kind(error.text) from None


def check_id(what: str, id: str) -> None:
    """Raises what upstream says to an id that none of the network room's things can have."""
    if not is_uuid(id):
        raise BadRequest(f"{what} id should be uuid")
