"""API versions and microversions: which a room has, which a request asks for, how they are announced.

https://specs.openstack.org/openstack/api-sig/guidelines/microversion_specification.html
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..errors import BadRequest, NotAcceptable

_VERSION = re.compile(r"([1-9]\d*)\.(\d+)")


class Version(NamedTuple):
    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


def parse(text: str) -> Version:
    """`"2.60"` → `Version(2, 60)`. Raises `BadRequest`."""
    match = _VERSION.fullmatch(text)
    if match is None:
        raise BadRequest(
            f"API Version String '{text}' is of invalid format. Must be of format MajorNum.MinorNum."
        )
    return Version(int(match[1]), int(match[2]))


class Span(NamedTuple):
    """From `since` to `until`, both included; None is without limit."""

    since: Version | None = None
    until: Version | None = None

    def __contains__(self, version: object) -> bool:
        assert isinstance(version, Version)
        return (self.since is None or version >= self.since) and (self.until is None or version <= self.until)


def span(since: str | None, until: str | None) -> Span:
    return Span(parse(since) if since else None, parse(until) if until else None)


class Versions:
    """The versions of one room.

    `service_type` names the room in the `OpenStack-API-Version` header, None for rooms without microversions;
    `legacy_header` is the older header of the room. `changes` says in a line each what a microversion changed:
    the last one is the newest that is announced.
    """

    def __init__(
        self,
        service_type: str | None = None,
        *,
        minimum: str = "1.0",
        changes: Sequence[tuple[str, str]] = (),
        legacy_header: str | None = None,
    ) -> None:
        self.service_type = service_type
        self.legacy_header = legacy_header
        self.minimum = parse(minimum)
        self.changes = changes
        self.maximum = max([parse(version) for version, _ in changes], default=self.minimum)
        self.default = self.minimum

    def asked(self, headers: Mapping[str, str]) -> Version:
        """The version a request asks for. Raises `BadRequest` (malformed) and `NotAcceptable` (not ours)."""
        if self.service_type is None:
            return self.default
        text = self._header(headers)
        if text is None:
            return self.default
        if text.lower() == "latest":
            return self.maximum
        version = parse(text)
        if not self.minimum <= version <= self.maximum:
            raise NotAcceptable(
                f"Version {text} is not supported by the API. Minimum is {self.minimum} and maximum is {self.maximum}."
            )
        return version

    def answered(self, version: Version) -> dict[str, str]:
        """The headers that tell the client which version it got."""
        if self.service_type is None:
            return {}
        headers = {"OpenStack-API-Version": f"{self.service_type} {version}", "Vary": "OpenStack-API-Version"}
        if self.legacy_header:
            headers[self.legacy_header] = str(version)
            headers["Vary"] += f", {self.legacy_header}"
        return headers

    def _header(self, headers: Mapping[str, str]) -> str | None:
        value = headers.get("openstack-api-version")
        if value:
            for part in value.split(","):
                name, _, version = part.strip().partition(" ")
                if name.lower() == self.service_type:
                    return version.strip()
        return headers.get(self.legacy_header.lower()) if self.legacy_header else None
