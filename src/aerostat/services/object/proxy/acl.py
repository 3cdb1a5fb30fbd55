"""Access control lists of containers: who may read, who may write.

    .r:*  .r:.example.com  .r:-bad.example.com  .rlistings      by where the request comes from
    account:user  account  role                                   by who asks

https://docs.openstack.org/swift/latest/overview_acl.html#container-acls
"""

from urllib.parse import unquote, urlsplit

from ..http.response import Refusal

LISTINGS = ".rlistings"
_REFERRER = (".r", ".ref", ".referer", ".referrer")


def clean(header: str, value: str) -> str:
    """An ACL as it is kept. Raises `Refusal` 400 for one that makes no sense. `header` is its name."""
    kept = []
    for part in value.split(","):
        entry = part.strip()
        if not entry:
            continue
        first, colon, second = (half.strip() for half in entry.partition(":"))
        if colon and first.startswith("."):
            kept.append(_referrer(header, first, second, entry))
        else:
            kept.append(entry)
    return ",".join(kept)


def _referrer(header: str, first: str, second: str, entry: str) -> str:
    if first not in _REFERRER:
        raise Refusal(400, f"{header.title()} : Unknown designator {first!r} in ACL: {entry!r}")
    if header.lower().endswith("-write"):
        raise Refusal(400, f"{header.title()} : Referrers not allowed in write ACL: {entry!r}")
    negated = second.startswith("-")
    host = second[1:].strip() if negated else second
    if host.startswith("*") and host != "*":
        host = host[1:].strip()
    if not host or host == ".":
        raise Refusal(
            400, f"{header.title()} : No host/domain value after referrer designation in ACL: {entry!r}"
        )
    return f".r:{'-' if negated else ''}{host}"


def parse(acl: str | None) -> tuple[list[str], list[str]]:
    """Referrers' and groups' entries."""
    referrers, groups = [], []
    for entry in (acl or "").split(","):
        if not entry:
            continue
        if entry.startswith(".r:"):
            referrers.append(entry[3:])
        else:
            groups.append(unquote(entry))
    return referrers, groups


def lets_referrer(referrer: str | None, entries: list[str]) -> bool:
    """Whether a request from there may read: the last entry that fits decides."""
    allowed = False
    try:
        host = urlsplit(referrer or "").hostname or "unknown"
    except ValueError:
        host = "unknown"
    for entry in entries:
        negated = entry.startswith("-")
        wanted = entry[1:] if negated else entry
        if wanted in ("*", host) or (wanted.startswith(".") and host.endswith(wanted)):
            allowed = not negated
    return allowed
