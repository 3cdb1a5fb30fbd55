"""What clients say of accounts and containers: headers that are kept, and headers that are answered."""

from collections.abc import Iterable, Mapping

from ..config import Limits
from ..http.constraints import check_amount, check_metadata, check_utf8, size_of
from ..http.request import Request
from ..timestamp import Timestamp

Words = dict[str, tuple[str, Timestamp]]


def words(request: Request, kind: str, extra: Iterable[str], limits: Limits, at: Timestamp) -> Words:
    """The metadata of a PUT or POST, by header, with its time; an empty value removes. Raises `Refusal` 400.

    `extra`: headers that are kept beside `x-KIND-meta-*`. The store's own requests may say `x-KIND-sysmeta-*` as well.
    """
    check_metadata(request.headers, kind, limits)
    meta, sysmeta, removal = f"x-{kind}-meta-", f"x-{kind}-sysmeta-", "x-remove-"
    said: Words = {}
    for name, value in request.headers.items():
        if name.startswith(removal):
            kept = "x-" + name[len(removal) :]
            if (kept.startswith(meta) or kept in extra) and kept not in request.headers:
                said[kept] = ("", at)
        elif name.startswith((meta, sysmeta)) or name in extra:
            check_utf8(value, "Metadata value")
            said[name] = (value, at)
    return said


def check_together(present: Mapping[str, str], said: Words, kind: str, limits: Limits) -> None:
    """Raises `Refusal` 400 when the metadata that would be there then is too much."""
    prefix = f"x-{kind}-meta-"
    merged = {name: value for name, value in present.items() if name.startswith(prefix)}
    merged |= {name: value for name, (value, _) in said.items() if name.startswith(prefix)}
    kept = {name[len(prefix) :]: value for name, value in merged.items() if value}
    check_amount(len(kept), sum(size_of(name) + size_of(value) for name, value in kept.items()), limits)
